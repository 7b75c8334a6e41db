"""How does PostgreSQL sort?

Numbers, times and bytes as Python does, NaN above all numbers. Text by a collation that the server names for the very
expression; unless that compares code points, the server ranks what has to be compared. Whatever else there is, as its
text, which the server reads back and ranks too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

from shardkit.merge.errors import OrderUnknown, Uncertain
from shardkit.merge.keys import Keys, as_bytes, as_they_are, nan_last, ranked
from shardkit.merge.ordering import ITSELF, Kind, Ordering, Sorted

# pg_collation_for() raises for a type that has none, and CASE keeps it from being asked. What is volatile, as the
# clock is, is computed behind ORDER BY and LIMIT: for the rows that are sent, and not for all that are sorted.
_COLLATION: Final = (
    "CASE WHEN clock_timestamp() IS NOT NULL AND pg_typeof({sql}) IN ('text'::regtype, 'varchar'::regtype) "
    "THEN pg_collation_for({sql}) END"
)
_COLLATION_IF_ANY: Final = (
    "CASE WHEN clock_timestamp() IS NOT NULL "
    "AND pg_typeof({sql})::oid = ANY (ARRAY(SELECT oid FROM pg_type WHERE typcollation <> 0)) "
    "THEN pg_collation_for({sql}) END"
)
_UNKNOWN: Final = (
    "({sql})::text",
    "pg_typeof({sql})::text",
    _COLLATION_IF_ANY,
)
#: Object ids of the types in `pg_type`, which never change.
_NATIVE: Final[Mapping[Kind, frozenset[int]]] = {
    Kind.NUMBER: frozenset({20, 21, 23, 26, 700, 701, 1700}),
    Kind.BOOLEAN: frozenset({16}),
    Kind.TIME: frozenset({1082, 1083, 1114, 1184}),
    Kind.UUID: frozenset({2950}),
    Kind.BYTES: frozenset({17}),
    Kind.TEXT: frozenset({25, 1043}),
}
_KEYS: Final[Mapping[Kind, Keys]] = {
    Kind.NUMBER: nan_last,
    Kind.BOOLEAN: as_they_are,
    Kind.TIME: as_they_are,
    Kind.UUID: as_they_are,
    Kind.BYTES: as_bytes,
}
#: Collations that compare code points, as `pg_collation_for` writes them.
_CODE_POINTS: Final = frozenset({'"C"', '"POSIX"', "ucs_basic", "pg_c_utf8"})
#: What the text of a type can be compared by here.
_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "smallint": int,
    "integer": int,
    "bigint": int,
    "numeric": Decimal,
    "real": float,
    "double precision": float,
    "boolean": str,
    "uuid": str,
}
#: Without a length these two mean a length of one.
_UNLIMITED: Final = {"character": "bpchar", "bit": "varbit"}
_RANK_SQL: Final = (
    "SELECT dense_rank() OVER (ORDER BY {key}) "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS given(value, number) ORDER BY given.number"
)


class PostgreSQLOrdering(Ordering):
    """The order of PostgreSQL."""

    nulls_are_largest: ClassVar[bool] = True

    def probes(self, what: Sorted) -> tuple[str, ...]:
        """Ask for the expression, and for what says how it sorts."""
        if what.kind not in _NATIVE:
            return _UNKNOWN
        return (ITSELF, _COLLATION) if what.kind is Kind.TEXT else (ITSELF,)

    def keeps_distinct(self, what: Sorted) -> bool:
        """Say no where the text of values is asked for: equal ones may read differently."""
        return what.kind in _NATIVE

    def check(self, what: Sorted, types: Sequence[Any]) -> None:
        """Compare what the model says with the column that came."""
        if what.kind in _NATIVE and types[0] not in _NATIVE[what.kind]:
            raise Uncertain

    def keys(self, what: Sorted, columns: Sequence[list[Any]]) -> list[Any]:
        """Return values that Python compares alike, or the server's ranks."""
        if what.kind in _KEYS:
            return _KEYS[what.kind](columns[0])
        values = columns[0]
        if what.kind is Kind.TEXT:
            return self._ranked(values, "text", _only(columns[1]))
        return self._ranked(values, _only(columns[1]) or "text", _only(columns[2]))

    def _ranked(self, values: list[Any], type_name: str, collation: str | None) -> list[Any]:
        if type_name in {"text", "character varying"} and collation in _CODE_POINTS:
            return values
        if type_name in _READ:
            return nan_last([None if value is None else _READ[type_name](value) for value in values])
        if type_name == "record" or type_name.startswith(("character[", "bit[")):
            raise OrderUnknown(f"values of type {type_name} cannot be sent back to be compared")
        type_name = _UNLIMITED.get(type_name, type_name)
        collate = "" if collation is None else f" COLLATE {collation}"
        key = f"given.value::{type_name}{collate}".replace("%", "%%")
        return ranked(values, self._rank(_RANK_SQL.replace("{key}", key)))

    def _rank(self, sql: str) -> Callable[[list[Any]], Sequence[int]]:
        return lambda distinct: self.ranks(sql, [distinct])


def _only(column: list[Any]) -> str | None:
    """Return what a column says that is the same in each row."""
    return next((str(value) for value in column if value is not None), None)
