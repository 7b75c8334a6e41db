"""Whatever is asked at random, the shards answer as one plain database does, or refuse by name.

A few hundred questions of fixed seeds, so that a run repeats; ``make fuzz`` asks as many as you like.
"""

from __future__ import annotations

import pytest

from tests.fuzz.code import read
from tests.fuzz.running import Run
from tests.nasty.models import VENDOR

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.mark.parametrize("seed", [101, 102, 103, 104, 105, 106])
def test_random_questions_have_one_answer(seed: int) -> None:
    said: list[str] = []
    run = Run(seed, VENDOR, say=said.append, per_data_set=60)

    run.ask(0, 60)

    assert not run.differences, "\n".join(said)
    assert run.tally.outcomes["same"] > 40


def test_a_question_reads_back_as_it_is_printed() -> None:
    run = Run(101, VENDOR)

    with run.data_set(0) as data:
        for number in range(100):
            question = run.question(data, number)
            read_back = read(_unevaluated(repr(question)))
            assert question.code.model in repr(question)
            assert read_back is not None


def _unevaluated(text: str) -> str:
    """Let *text* not be evaluated but compiled, since its answer is not what matters here."""
    return f"lambda: {text}"
