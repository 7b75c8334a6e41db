"""What a database said is believed for a while."""

from __future__ import annotations

from itertools import count

import pytest
from django.db.models.signals import post_migrate

from shardkit.orm.remembering import MAX_ANSWERS, SECONDS, Remembered


class Clock:
    """A clock that stands still."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(clock: Clock) -> Remembered[int]:
    return Remembered(now=clock)


def test_a_question_is_asked_once_in_a_while(clock: Clock, remembered: Remembered[int]) -> None:
    numbers = count()

    def ask() -> int:
        return next(numbers)

    assert [0, 0, 1] == [remembered.answer("a", ask), remembered.answer("a", ask), remembered.answer("b", ask)]
    clock.time += SECONDS
    assert remembered.answer("a", ask) == 2


def test_a_migration_ends_what_is_believed(remembered: Remembered[int]) -> None:
    remembered.answer("a", lambda: 1)

    assert any(receiver == remembered.forget for _, receiver, *_ in post_migrate.receivers)
    remembered.forget(sender=None)

    assert remembered.answer("a", lambda: 2) == 2


def test_an_error_is_no_answer(remembered: Remembered[int]) -> None:
    with pytest.raises(ZeroDivisionError):
        remembered.answer("a", lambda: 1 // 0)

    assert remembered.answer("a", lambda: 2) == 2


def test_no_more_is_kept_than_there_is_room_for(remembered: Remembered[int]) -> None:
    for number in range(MAX_ANSWERS + 1):
        remembered.answer(number, lambda: 1)

    assert remembered.answer(0, lambda: 2) == 2
    assert remembered.answer(MAX_ANSWERS, lambda: 2) == 1
