"""In which order do rows stand, given what is known of each term of an ORDER BY?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class Term:
    """One term of an ORDER BY, and where in a row the values are that it sorts by."""

    positions: tuple[int, ...]
    descending: bool
    nulls_first: bool
    #: Make comparable keys of the columns at the positions, None for each NULL.
    keys: Callable[[Sequence[list[Any]]], list[Any]]


def positions_in_order(rows: Sequence[Any], terms: Sequence[Term]) -> list[int]:
    """List the positions of *rows* in the order of *terms*; equal rows stay as they are.

    Descending is a sort backwards: no key is negated or wrapped. Where directions differ, rows are sorted once for
    each change of direction, the last one first.
    """
    order = list(range(len(rows)))
    changes = [list(found) for _, found in groupby(terms, key=attrgetter("descending"))]
    for group in reversed(changes):
        columns = [_keys(rows, term) for term in group]
        keys = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        order.sort(key=keys.__getitem__, reverse=group[0].descending)
    return order


def _keys(rows: Sequence[Any], term: Term) -> list[Any]:
    """Return keys of *rows* that sort NULL where *term* says."""
    keys = term.keys([list(map(itemgetter(position), rows)) for position in term.positions])
    if None not in keys:
        return keys
    is_least = term.nulls_first is not term.descending
    null, other = (0, 1) if is_least else (1, 0)
    return [(null,) if key is None else (other, key) for key in keys]
