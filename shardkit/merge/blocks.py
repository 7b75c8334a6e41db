"""How do rows that several databases have sorted become one sorted stream?

Not row by row: from a block of each stream, everything goes out that no later row of any stream can precede. Finding
that takes one sort of a few sorted runs, which Python does in C and a database can do as well, for keys that only a
database can compare. Memory is a few blocks, however long the streams are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import eq, length_hint
from typing import Any

from shardkit.merge.errors import OrderUnknown

#: Say the positions of rows in their order; equal rows stay in the order in which they are given.
Order = Callable[[list[Any]], list[int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that follow one another."""

    rows: list[Any]
    #: The number of the stream that each row comes from, or that all come from.
    owners: list[int] | int

    def between(self, low: int, high: int | None) -> Batch:
        """Return the rows from number *low* on and before number *high*."""
        owners = self.owners
        return Batch(self.rows[low:high], owners if isinstance(owners, int) else owners[low:high])

    def runs(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield rows that come from one stream together, with its number."""
        owners = self.owners
        if isinstance(owners, int):
            yield owners, self.rows
            return
        start, current = 0, owners[0]
        for position, owner in enumerate(owners):
            if owner != current:
                yield current, self.rows[start:position]
                start, current = position, owner
        yield current, self.rows[start:]


def merged(streams: Sequence[Iterator[list[Any]]], order: Order, *, least: int = 1) -> Iterator[Batch]:
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
            yield Batch(blocks[filled[0]], filled[0])
            blocks[filled[0]] = []
        elif filled:
            yield _step(blocks, open_ones, order)
        elif not open_ones:
            return


def concatenated(streams: Sequence[Iterator[list[Any]]]) -> Iterator[Batch]:
    """Put unordered *streams* one after another."""
    for number, stream in enumerate(streams):
        for rows in filter(None, stream):
            yield Batch(rows, number)


def between(batches: Iterable[Batch], low: int, high: int | None) -> Iterator[Batch]:
    """Yield the rows of *batches* from number *low* on and before number *high*, and read no further."""
    position = 0
    for batch in batches:
        end = position + len(batch.rows)
        if position >= low and (high is None or end <= high):
            yield batch
        elif end > low:
            kept = batch.between(max(low - position, 0), None if high is None else high - position)
            if kept.rows:
                yield kept
        position = end
        if high is not None and position >= high:
            return


def _step(blocks: list[list[Any]], open_ones: set[int], order: Order) -> Batch:
    """Return what can go out of *blocks* now, and leave the rest in them."""
    rows: list[Any] = []
    owners: list[int] = []
    for number, block in enumerate(blocks):
        rows += block
        owners += [number] * len(block)
    ends = list(accumulate(map(len, blocks)))
    positions = order(rows)
    # What sorts after the last known row of a stream may have to wait for the next one of that stream.
    lasts = [ends[number] - 1 for number in open_ones if blocks[number]]
    if lasts:
        del positions[min(map(positions.index, lasts)) + 1 :]
    going = list(map(owners.__getitem__, positions))
    # Of each stream, rows have to go out as they stand in it, or its database sorts otherwise than *order*.
    ranges = [iter(range(end - len(block), end)) for block, end in zip(blocks, ends, strict=True)]
    if not all(map(eq, positions, map(next, map(ranges.__getitem__, going)))):
        raise OrderUnknown("the database sorts its rows otherwise than expected")
    for block, left in zip(blocks, ranges, strict=True):
        del block[: len(block) - length_hint(left)]
    return Batch(list(map(rows.__getitem__, positions)), going)
