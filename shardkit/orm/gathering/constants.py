"""Which values must a column have, because it equals another one that has them?

In ``inner.month = outer.month AND outer.month = 5`` the inner month is 5 as well. Nothing has to be asked for that, and
it holds where the rows of the other table are too many to be asked for their keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db.models.expressions import Col
from django.db.models.lookups import In

from shardkit.orm.gathering.kinds import MAX_KEYS, is_key, key_kind
from shardkit.routing.pins import is_exact, is_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shardkit.orm.gathering.edges import Edge
    from shardkit.orm.gathering.push import Occurrence

#: Beyond these an integer is a parameter that some driver cannot send.
_INTEGERS: Final = range(-(2**63), 2**63)


def carry(edges: Sequence[Edge]) -> None:
    """Add to the conditions at the end of each of *edges* the values that its start is compared with there."""
    for edge in edges:  # those of outer levels come first
        if _values_of(edge.end, edge.end_field) is None:
            values = _values_of(edge.start, edge.field)
            if values is not None:
                edge.end.conditions.append(In(Col(edge.end.alias, edge.end_field), values))


def is_known(edge: Edge) -> bool:
    """Say whether rows at both sides of *edge* have one value, so that its keys are known without asking."""
    sides = [_values_of(edge.start, edge.field), _values_of(edge.end, edge.end_field)]
    return all(values is not None and len(values) == 1 for values in sides)


def is_named(one: Occurrence) -> bool:
    """Say whether the rows of *one* that matter are named by values of which each is one row's."""
    named = [lookup for lookup in _of_columns(one) if lookup.lhs.target.unique]
    return any(_compared(lookup, one, lookup.lhs.target) is not None for lookup in named)


def same_values(one: Occurrence, field: Any, other: Occurrence, other_field: Any) -> list[Any]:
    """List the conditions of *other* that give *other_field* no other values than those that *field* has anyway."""
    mine = _values_of(one, field)
    if mine is None:
        return []
    found = [(lookup, _compared(lookup, other, other_field)) for lookup in _of_columns(other)]
    return [lookup for lookup, values in found if values is not None and set(mine) <= set(values)]


def _values_of(one: Occurrence, field: Any) -> list[Any] | None:
    """Return values of which *field* has one in every row of *one* that matters, None when none are known."""
    found = (_compared(lookup, one, field) for lookup in _of_columns(one))
    return next((values for values in found if values is not None), None)


def _of_columns(one: Occurrence) -> Iterator[Any]:
    """Yield the conditions of *one* that say which values a column has."""
    for lookup in one.conditions:
        if (is_exact(lookup) or is_in(lookup)) and isinstance(lookup.lhs, Col):
            yield lookup


def _compared(lookup: Any, one: Occurrence, field: Any) -> list[Any] | None:
    """Return the values that *lookup* compares the column of *field* in *one* with, None if it is none of that."""
    if lookup.lhs.alias != one.alias or lookup.lhs.target.column != field.column:
        return None
    return _sendable(lookup, key_kind(field))


def _sendable(lookup: Any, kind: str | None) -> list[Any] | None:
    rhs = [lookup.rhs] if is_exact(lookup) else lookup.rhs
    if kind is None or hasattr(rhs, "as_sql") or not 0 < len(rhs) <= MAX_KEYS:
        return None
    are_keys = all(is_key(value, kind) and (kind != "int" or value in _INTEGERS) for value in rhs)
    return list(rhs) if are_keys else None
