"""Laws of putting sorted streams together: one sort of everything is the truth."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkit.merge.blocks import Batch, between, concatenated, merged
from shardkit.merge.errors import OrderUnknown

Row = tuple[int, str]
streams = st.lists(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5), max_size=4)


def by_first(rows: list[Row]) -> list[int]:
    return sorted(range(len(rows)), key=lambda position: rows[position][0])


def made(numbers: list[list[list[int]]]) -> list[list[list[Row]]]:
    """Turn numbers into sorted streams of blocks, whose rows say where they are from."""
    found = []
    for number, blocks in enumerate(numbers):
        rows = iter(sorted(chain.from_iterable(blocks)))
        named = iter([(value, f"{number}.{place}") for place, value in enumerate(rows)])
        found.append([[next(named) for _ in block] for block in blocks])
    return found


def rows_of(batches: Iterator[Batch]) -> list[tuple[int, Row]]:
    return [(number, row) for batch in batches for number, rows in batch.runs() for row in rows]


@given(streams, st.integers(1, 5))
def test_a_merge_is_a_stable_sort_of_all_streams(numbers: list[list[list[int]]], least: int) -> None:
    blocks = made(numbers)
    expected = sorted(chain.from_iterable(map(chain.from_iterable, blocks)), key=lambda row: row[0])

    found = rows_of(merged([iter(stream) for stream in blocks], by_first, least=least))

    assert expected == [row for _, row in found]
    assert all(row[1].startswith(f"{number}.") for number, row in found)


@given(streams, st.integers(0, 12), st.none() | st.integers(0, 12))
def test_limits_cut_what_a_slice_would(numbers: list[list[list[int]]], low: int, size: int | None) -> None:
    high = None if size is None else low + size
    blocks = made(numbers)
    expected = rows_of(merged([iter(stream) for stream in blocks], by_first))[low:high]

    assert expected == rows_of(between(merged([iter(stream) for stream in blocks], by_first), low, high))


def test_nothing_is_read_beyond_the_limit() -> None:
    read: list[int] = []

    def stream(number: int) -> Iterator[list[Row]]:
        for value in range(100):
            read.append(number)
            yield [(value, f"{number}")]

    assert 3 == len(rows_of(between(merged([stream(0), stream(1)], by_first), 0, 3)))
    assert len(read) <= 5


def test_no_stream_is_read_far_ahead() -> None:
    """Memory is some blocks of each stream, also if one of them sorts before all others."""
    held = 0
    most = 0

    def stream(first: int) -> Iterator[list[Row]]:
        nonlocal held, most
        for value in range(first, first + 1000, 10):
            held += 10
            most = max(most, held)
            yield [(value + n, "") for n in range(10)]

    for batch in merged([stream(0), stream(1000), stream(2000)], by_first, least=10):
        held -= len(batch.rows)

    assert held == 0
    assert most <= 60


def test_the_last_stream_goes_out_as_it_is() -> None:
    batches = list(merged([iter([[(1, "a")], [(2, "b")]]), iter([])], by_first))

    assert [([(1, "a")], 0), ([(2, "b")], 0)] == [(batch.rows, batch.owners) for batch in batches]


def test_rows_that_their_database_sorts_otherwise_are_noticed() -> None:
    with pytest.raises(OrderUnknown):
        list(merged([iter([[(2, "a"), (1, "b")]]), iter([[(3, "c")]])], by_first))


def test_unordered_streams_follow_one_another() -> None:
    assert [(0, (1, "a")), (1, (0, "b"))] == rows_of(concatenated([iter([[(1, "a")], []]), iter([[(0, "b")]])]))
