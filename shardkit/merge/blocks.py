"""How do rows that several databases have sorted become one sorted stream?

Not row by row: from a block of each stream, everything goes out that no later row of any stream can precede. Finding
that takes one sort of a few sorted runs, which Python does in C and a database can do as well, for keys that only a
database can compare. Memory is a few blocks, however long the streams are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from shardkit.merge.errors import OrderUnknown

Row = Sequence[Any]
#: Rows that follow one another and come from the stream of that number.
Run = tuple[int, list[Any]]
#: Say the positions of rows in their order; equal rows stay in the order in which they are given.
Order = Callable[[list[Any]], list[int]]


def merged(streams: Sequence[Iterator[list[Any]]], order: Order, *, least: int = 1) -> Iterator[Run]:
    """Merge sorted *streams* of blocks of rows. Equal rows go out in the order of their streams.

    At least *least* rows of each stream are looked at in a step, as far as it has so many.
    """
    blocks: list[list[Any]] = [[] for _ in streams]
    open_ones = set(range(len(streams)))
    while True:
        for number in sorted(open_ones):
            while len(blocks[number]) < least:
                rows = next(streams[number], None)
                if rows is None:
                    open_ones.discard(number)
                    break
                blocks[number] += rows
        filled = [number for number, block in enumerate(blocks) if block]
        if len(filled) == 1 and open_ones <= set(filled):
            yield filled[0], blocks[filled[0]]
            blocks[filled[0]] = []
        elif filled:
            yield from _step(blocks, open_ones, order)
        elif not open_ones:
            return


def concatenated(streams: Sequence[Iterator[list[Any]]]) -> Iterator[Run]:
    """Put unordered *streams* one after another."""
    for number, stream in enumerate(streams):
        for rows in stream:
            yield number, rows


def between(runs: Iterable[Run], low: int, high: int | None) -> Iterator[Run]:
    """Yield the rows of *runs* from number *low* on and before number *high*, and read no further."""
    position = 0
    for number, rows in runs:
        end = position + len(rows)
        if end > low:
            kept = rows[max(low - position, 0) : None if high is None else high - position]
            if kept:
                yield number, kept
        position = end
        if high is not None and position >= high:
            return


def _step(blocks: list[list[Any]], open_ones: set[int], order: Order) -> Iterator[Run]:
    """Yield what can go out of *blocks* now, and leave the rest in them."""
    rows: list[Any] = []
    owners: list[int] = []
    lasts: list[int] = []
    for number, block in enumerate(blocks):
        rows += block
        owners += [number] * len(block)
        if number in open_ones and block:
            lasts.append(len(rows) - 1)
    positions = order(rows)
    # What sorts after the last known row of a stream may have to wait for the next one of that stream.
    end = min(map(positions.index, lasts)) + 1 if lasts else len(rows)
    taken = [0] * len(blocks)
    starts = _starts(blocks)
    run: list[Any] = []
    current = owners[positions[0]]
    for position in islice(positions, end):
        owner = owners[position]
        if position != starts[owner] + taken[owner]:
            raise OrderUnknown("the database sorts them otherwise than expected")
        taken[owner] += 1
        if owner != current:
            yield current, run
            run, current = [], owner
        run.append(rows[position])
    yield current, run
    for number, count in enumerate(taken):
        del blocks[number][:count]


def _starts(blocks: list[list[Any]]) -> list[int]:
    starts = [0]
    for block in blocks:
        starts.append(starts[-1] + len(block))
    return starts
