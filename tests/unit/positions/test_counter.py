"""Which counts of which counter include which?"""

from __future__ import annotations

from shardkit.positions.counter import Counter


def test_the_same_counter_includes_what_it_has_passed() -> None:
    assert Counter(1, 17).includes(Counter(1, 17))
    assert Counter(1, 18).includes(Counter(1, 17))
    assert not Counter(1, 16).includes(Counter(1, 17))


def test_another_counter_says_nothing() -> None:
    assert not Counter(2, 18).includes(Counter(1, 17))
    assert Counter(2, 18).joined(Counter(1, 17)) is None


def test_it_is_written_as_the_count() -> None:
    assert str(Counter(99, 17)) == "17"
