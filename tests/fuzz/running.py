"""How is a fuzz run done, question by question?

Every few hundred questions there is a new data set. A question is known by the seed and its number: the same two make
the same rows and the same question again.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

from django.conf import settings
from django.db import transaction
from django.test import override_settings

from shardkit.orm.gathering import keys
from tests.fuzz.asking import Verdict, judge
from tests.fuzz.code import Chain, calls
from tests.fuzz.questions import Question, draw_question
from tests.fuzz.rows import Data, clear, fill
from tests.fuzz.shrinking import shrink
from tests.fuzz.tally import Tally, plan_name, reason
from tests.fuzz.worlds import WORLDS

#: How many questions are asked about one data set, unless a run says otherwise.
PER_DATA_SET: Final = 400
#: How often each world is asked about.
_WORLDS: Final = ("shop", "shop", "nasty", "nasty", "flights")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Run:
    """One fuzz run, from its seed."""

    seed: int
    vendor: str
    tally: Tally = field(default_factory=Tally)
    #: Differences by their sort, of which only the first is printed.
    differences: Counter[str] = field(default_factory=Counter)
    say: Callable[[str], None] = say
    #: So many are made small; of the others there is only the number.
    shrunk: int = 150
    per_data_set: int = PER_DATA_SET

    def ask(self, first: int, last: int, *, until: float | None = None) -> None:
        """Ask the questions from number *first* to before *last*, or *until* that reading of the monotonic clock."""
        number = first
        while number < last and (until is None or time.monotonic() < until):
            end = min(last, (number // self.per_data_set + 1) * self.per_data_set)
            self._ask_about_one_data_set(number, end, until)
            number = end

    def _ask_about_one_data_set(self, first: int, last: int, until: float | None) -> None:
        with self.data_set(first // self.per_data_set) as data:
            for number in range(first, last):
                if until is not None and time.monotonic() >= until:
                    return
                question = self.question(data, number)
                try:
                    verdict = judge(question.code)
                except Exception as error:  # raised again: nothing more can be asked, and this says at which question
                    error.add_note(f"at number {number} of seed {self.seed}: {question}")
                    raise
                self.tally.note(question, verdict)
                if verdict.differs:
                    self._report(number, question, verdict)

    @contextmanager
    def data_set(self, number: int) -> Iterator[Data]:
        """Make the data set of that *number*, in which a few keys may be too many to be asked for, as many are."""
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - it is to be repeated
        world = WORLDS[chance.choice(_WORLDS)]
        self.tally.data_sets += 1
        with ExitStack() as stack:
            stack.enter_context(override_settings(SHARDKIT={**settings.SHARDKIT, **_engine(chance)}))
            stack.enter_context(mock.patch.object(keys, "MAX_KEYS", chance.choice((1000, 1000, 1, 4))))
            if chance.random() < 0.3:
                stack.enter_context(_rolled_back())
            stack.callback(clear, world)
            yield fill(world, chance)

    def question(self, data: Data, number: int) -> Question:
        """Draw the question of that *number*."""
        chance = random.Random(f"{self.seed}/{number}/question")  # noqa: S311
        return draw_question(data, chance)

    def _report(self, number: int, question: Question, verdict: Verdict) -> None:
        if sum(self.differences.values()) >= self.shrunk:
            self.differences["more"] += 1
            return
        smallest = shrink(question.code, lambda code: _is_alike(judge(code), verdict))
        final = judge(smallest)
        sort = _sort_of(smallest, final)
        self.differences[sort] += 1
        if self.differences[sort] > 1:
            return
        self.say(f"\nDIFFERENT  seed {self.seed} number {number} on {self.vendor} ({question.shape})")
        self.say(f"  asked    {question}")
        self.say(f"  smallest {smallest!r}")
        self.say(f"  plan     {plan_name(final.shards.plans)}: {final.shards.plans[-1:]}")
        self.say(f"  shards   {_short(final.shards)}")
        self.say(f"  plain    {_short(final.plain)}")


def _is_alike(verdict: Verdict, other: Verdict) -> bool:
    """Say whether both are different, and both by an error of the same class or both by their answers."""
    errors = [(type(found.shards.error), type(found.plain.error)) for found in (verdict, other)]
    return verdict.differs and errors[0] == errors[1]


def _sort_of(code: Chain, verdict: Verdict) -> str:
    """Name what differences of one cause have in common, as far as can be seen."""
    error = verdict.shards.error
    if error is not None:
        return f"{plan_name(verdict.shards.plans)}: {reason(error)[:80]}"
    return f"{plan_name(verdict.shards.plans)}: another answer: {' '.join(sorted(set(calls(code)) - {'Q', 'F'}))}"


def _short(answer: Any) -> str:
    text = str(answer)
    return text if len(text) < 1500 else f"{text[:1500]}…"


def _engine(chance: random.Random) -> dict[str, Any]:
    """Choose how the shards' rows come together, where there is a choice."""
    return {"GATHER_CTE_ROWS": chance.choice((0, 1000, 1000, 20))}


@contextmanager
def _rolled_back() -> Iterator[None]:
    """Ask everything inside one transaction."""
    with transaction.atomic(), transaction.atomic(using="oracle"):
        yield
        transaction.set_rollback(True)
        transaction.set_rollback(True, using="oracle")
