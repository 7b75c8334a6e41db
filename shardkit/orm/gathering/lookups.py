"""By which columns will the database look for rows of a table, once for each row of another one?

A subquery that looks at the row which it is for does so, and an outer join does. Whoever has no index then reads the
whole table each time. Only what an index can hold on every database is given one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shardkit.orm.gathering.edges import Edge, equalities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.orm.gathering.push import Occurrence
    from shardkit.routing.graph import Level

#: So many columns make an index at most; further ones would tell few rows apart.
MAX_COLUMNS: Final = 6
#: So many characters of text may an index hold for each row.
MAX_CHARACTERS: Final = 240
#: Types of fields whose values are short, and that every database keeps in order.
_SHORT: Final = frozenset(
    {
        *("BigIntegerField", "BooleanField", "DateField", "DateTimeField", "DecimalField", "DurationField"),
        *("FloatField", "IntegerField", "PositiveBigIntegerField", "PositiveIntegerField"),
        *("PositiveSmallIntegerField", "SmallIntegerField", "TimeField", "UUIDField"),
        *("AutoField", "BigAutoField", "SmallAutoField"),
    }
)


def indexes_of(table: str, occurrences: Sequence[Occurrence]) -> tuple[tuple[str, ...], ...]:
    """Return the columns of each index that *table* needs, of all *occurrences* of tables in the statement."""
    found: dict[tuple[int, int], list[Any]] = {}
    for edge in equalities(occurrences):
        if edge.end.table == table and _is_repeated(edge):
            found.setdefault((id(edge.start), id(edge.end)), []).append(edge.end_field)
    sets = [_indexed(fields) for fields in found.values()]
    return tuple(dict.fromkeys(columns for columns in sets if columns))


def _is_repeated(edge: Edge) -> bool:
    """Say whether the end of *edge* is looked through for each row of its start, and not the other way round."""
    if edge.start.level is edge.end.level:
        return not (edge.is_strict and edge.field.primary_key)
    return _is_around(edge.start.level, edge.end.level)


def _is_around(level: Level, inner: Level) -> bool:
    outer = inner.outer
    return outer is not None and (outer is level or _is_around(level, outer))


def _indexed(fields: Sequence[Any]) -> tuple[str, ...]:
    """Return the columns of *fields* that an index can have, none when the primary key finds the rows already."""
    if any(field.primary_key for field in fields):
        return ()
    columns, room = [], MAX_CHARACTERS
    for column, field in {str(field.column): field for field in fields}.items():
        size = _characters(field)
        if size is not None and size <= room:
            columns.append(column)
            room -= size
    return tuple(columns[:MAX_COLUMNS])


def _characters(field: Any) -> int | None:
    """Return how many characters of text the values of *field* have at most, None when nobody knows."""
    while getattr(field, "target_field", None) is not None:
        field = field.target_field
    if not field.model._meta.managed:  # its columns may hold more than the fields say
        return None
    if field.get_internal_type() == "CharField":
        length: int | None = field.max_length
        return length
    return 0 if field.get_internal_type() in _SHORT else None
