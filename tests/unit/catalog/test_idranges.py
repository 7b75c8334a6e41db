from __future__ import annotations

import pytest

from shardkit.catalog.idranges import _Counter


@pytest.fixture
def counter() -> _Counter:
    counter = _Counter("flights.flight")
    counter.keep(range(5, 10))
    return counter


def test_a_counter_gives_its_block_in_order(counter: _Counter) -> None:
    assert [*counter.take(2), *counter.take(2)] == [5, 6, 7, 8]


def test_a_counter_gives_no_more_than_it_has(counter: _Counter) -> None:
    assert list(counter.take(99)) == [5, 6, 7, 8, 9]
    assert list(counter.take(1)) == []


def test_a_new_counter_has_nothing() -> None:
    assert list(_Counter("flights.flight").take(1)) == []


def test_a_block_that_comes_too_late_is_lost(counter: _Counter) -> None:
    counter.keep(range(100, 200))

    assert list(counter.take(99)) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(("floor", "left"), [(3, [5, 6, 7, 8, 9]), (7, [7, 8, 9]), (10, []), (99, [])])
def test_numbers_below_the_floor_are_skipped(counter: _Counter, floor: int, left: list[int]) -> None:
    counter.skip_to(floor)

    assert list(counter.take(99)) == left
    assert counter.floor == floor


def test_a_floor_is_never_lowered(counter: _Counter) -> None:
    counter.raise_floor(9)
    counter.raise_floor(3)

    assert counter.floor == 9
