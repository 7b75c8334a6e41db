"""How does SQLite sort?

By storage class first, whatever the column was declared as: numbers, text, blobs. The `sqlite3` module parses columns
that were declared as dates or booleans, and only columns, so those are asked for as expressions: their text is what
SQLite compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from shardkit.merge.errors import OrderUnknown
from shardkit.merge.keys import (
    Keys,
    as_they_are,
    by_storage_class,
    ignoring_ascii_case,
    ignoring_trailing_blanks,
    ranked,
)
from shardkit.merge.ordering import ITSELF, Kind, Ordering, Sorted

_UNPARSED: Final = "+({sql})"
#: What the driver hands out as it is stored.
_STORED: Final = frozenset({Kind.NUMBER, Kind.TEXT, Kind.UUID, Kind.BYTES, Kind.DURATION})
_COLLATIONS: Final[Mapping[str, Keys]] = {
    "": as_they_are,
    "binary": as_they_are,
    "nocase": ignoring_ascii_case,
    "rtrim": ignoring_trailing_blanks,
}
_RANK_SQL: Final = "SELECT dense_rank() OVER (ORDER BY value COLLATE {collation}) FROM json_each(%s) ORDER BY key"


class SQLiteOrdering(Ordering):
    """The order of SQLite."""

    nulls_are_largest: ClassVar[bool] = False

    def probes(self, what: Sorted) -> tuple[str, ...]:
        """Ask for the expression, unparsed."""
        return (ITSELF if what.kind in _STORED else _UNPARSED,)

    def keys(self, what: Sorted, columns: Sequence[list[Any]]) -> list[Any]:
        """Sort by storage class, and text by its collation."""
        return by_storage_class(columns[0], partial(self._text, what))

    def _text(self, what: Sorted, values: list[Any]) -> list[Any]:
        if not what.is_plain:
            raise OrderUnknown("SQLite does not say by which collation raw SQL and functions of others sort")
        known = _COLLATIONS.get(what.collation.lower())
        if known is not None:
            return known(values)
        sql = _RANK_SQL.format(collation=self.connection.ops.quote_name(what.collation).replace("%", "%%"))
        return ranked(values, lambda distinct: self.ranks(sql, [json.dumps(distinct)]))
