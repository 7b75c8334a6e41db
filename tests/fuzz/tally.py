"""What happened in a fuzz run?"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from shardkit.errors import CrossDatabaseQuery, CrossShardQuery
from shardkit.routing.plan import Gather, Local, Merge, Plan, Refuse, Single
from tests.fuzz.asking import Verdict
from tests.fuzz.questions import Question

#: Plans by how much has to meet, the least first.
PLANS: Final = ("none", "local", "single", "merge rows", "merge groups", "gather", "refuse")
_NAMES: Final = re.compile(r"\b(shop|nasty|flights)([._]\w+)+( \([\w, ]+\))?|'[\w.]+'")
_LISTS: Final = re.compile(r"…(, …)+")


@dataclass
class Tally:
    """Counts of questions by how they went."""

    asked: int = 0
    data_sets: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    plans: Counter[str] = field(default_factory=Counter)
    refused_shapes: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def note(self, question: Question, verdict: Verdict) -> None:
        self.asked += 1
        self.outcomes[verdict.outcome] += 1
        self.shapes[question.shape] += 1
        if verdict.outcome == "same":
            self.plans[plan_name(verdict.shards.plans)] += 1
        elif verdict.outcome == "refused":
            self.refused_shapes[question.shape] += 1
            self.refusals[reason(verdict.shards.error)] += 1
        elif verdict.outcome == "both refused":
            self.errors[type(verdict.plain.error).__name__] += 1

    def summary(self, **more: Any) -> str:
        """Return all counts as one line of JSON."""
        answerable = self.asked - self.outcomes["both refused"]
        return json.dumps(
            {
                **more,
                "asked": self.asked,
                "data_sets": self.data_sets,
                "differences": self.outcomes["different"],
                "same": self.outcomes["same"],
                "both_refused": self.outcomes["both refused"],
                "refused": self.outcomes["refused"],
                "refusal_rate": round(self.outcomes["refused"] / max(1, answerable), 5),
                "plans": dict(self.plans.most_common()),
                "shapes": dict(self.shapes.most_common()),
                "refusals": dict(self.refusals.most_common(40)),
                "errors": dict(self.errors.most_common(10)),
            },
            ensure_ascii=False,
        )

    def lines(self) -> Iterable[str]:
        """Yield what people want to read."""
        yield f"{self.asked} questions about {self.data_sets} data sets: {_listed(self.outcomes)}"
        yield f"shapes: {_listed(self.shapes)}"
        yield f"plans of the answers: {_listed(self.plans)}"
        if self.refusals:
            yield "refused by the shards:"
            yield from (f"  {count:6} {why}" for why, count in self.refusals.most_common(25))
        if self.errors:
            yield f"refused by both: {_listed(self.errors)}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def plan_name(plans: Iterable[Plan]) -> str:
    """Name the largest of *plans*."""
    names = [_name(plan) for plan in plans] or ["none"]
    return max(names, key=PLANS.index)


def _name(plan: Plan) -> str:
    match plan:
        case Local():
            return "local"
        case Single():
            return "single"
        case Merge(recipe=recipe):
            return f"merge {recipe.value}"
        case Gather():
            return "gather"
        case Refuse():
            return "refuse"


def reason(error: Exception | None) -> str:
    """Return why a question was refused, without the names of models."""
    match error:
        case CrossShardQuery():
            text = f"{error.plan}: {error.why}"
        case CrossDatabaseQuery():
            text = "tables of different databases"
        case _:
            text = f"{type(error).__name__}: {error}".splitlines()[0]
    return _LISTS.sub("…", _NAMES.sub("…", re.sub(r"\d+ shards", "shards", text)))[:160]
