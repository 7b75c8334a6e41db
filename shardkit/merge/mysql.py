"""How do MariaDB and MySQL sort?

Numbers and times as Python does. Text by a collation: short columns by the sort key that the server makes of them,
anything else by its text, which the server ranks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from shardkit.merge.errors import OrderUnknown
from shardkit.merge.keys import as_bytes, as_they_are, ranked
from shardkit.merge.ordering import ITSELF, Kind, Ordering, Sorted

# Collations that pad compare as if all texts were equally long. Those that do not must not be padded. The first byte
# says whether there is more text than the model knows of, which the sort key lacks.
_WEIGHT: Final = (
    "CONCAT(CHAR_LENGTH({sql}) > {width}, IF(LOCATE('nopad', COLLATION({sql})) + LOCATE('_0900_', COLLATION({sql})), "
    "WEIGHT_STRING({sql}), WEIGHT_STRING({sql} AS CHAR({width}))))"
)
_IS_LONGER: Final = b"1"
_COLLATION: Final = "COLLATION({sql})"
#: Longer texts travel as they are: a padded sort key has at least two bytes for each character that a column may hold.
_LONGEST_WEIGHED: Final = 255
# The type leaves room for no more than the longest value: the server sorts by the first 1,024 bytes of a sort key, and
# in that of a long type, what a multi-level collation compares last comes behind those.
_RANK_SQL: Final = (
    "SELECT DENSE_RANK() OVER (ORDER BY {value}) FROM "
    "JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY, v {type} PATH '$')) AS given ORDER BY n"
)
_MULTI_LEVEL: Final = ("_w2", "_as_cs", "_as_ci")
#: As long as a VARCHAR may be, in characters of four bytes.
_LONGEST_VARCHAR: Final = 16_000
#: FIELD_TYPEs that read as text and sort by something else: JSON, ENUM, SET, GEOMETRY, MariaDB's UUID and INET6.
_OPAQUE: Final = frozenset({245, 247, 248, 254, 255})
_MAYBE_TEXT: Final = frozenset({Kind.TEXT, Kind.ADDRESS, Kind.UNKNOWN})
_STORED_AS_CHAR: Final = frozenset({Kind.TEXT, Kind.ADDRESS, Kind.UUID, Kind.BYTES})
#: How many characters a UUID of MariaDB's own type reads as.
_DASHED: Final = 36


class MySQLOrdering(Ordering):
    """The order of MariaDB and MySQL."""

    nulls_are_largest: ClassVar[bool] = False

    def probes(self, what: Sorted) -> tuple[str, ...]:
        """Ask for the expression, or for its sort key, or for its collation too."""
        if what.kind not in _MAYBE_TEXT:
            return (ITSELF,)
        if _is_weighed(what):
            return (_WEIGHT.replace("{width}", str(what.width)),)
        return (ITSELF, _COLLATION)

    def check(self, what: Sorted, types: Sequence[Any]) -> None:
        """Refuse what reads as text and is none."""
        if what.kind not in _STORED_AS_CHAR and types[0] in _OPAQUE:
            raise OrderUnknown("it sorts by values of a type that only the database knows")

    def keys(self, what: Sorted, columns: Sequence[list[Any]]) -> list[Any]:
        """Return values that Python compares alike, or the server's ranks."""
        values = columns[0]
        if _is_weighed(what):
            return _weights(values)
        types = set(map(type, values)) - {type(None)}
        if str not in types:
            return as_bytes(values) if bytes in types else as_they_are(values)
        if what.kind is Kind.UUID:
            return self._uuids(values)
        if what.kind not in _MAYBE_TEXT:
            raise OrderUnknown("text turned up where the model says none")
        collation = next(str(name) for name in columns[1] if name is not None)
        if what.width == 0 and collation.endswith(_MULTI_LEVEL):
            raise OrderUnknown(f"{collation} sorts long text by as much of several levels as fits into a sort key")
        value = f"CONVERT(v USING {collation.partition('_')[0]}) COLLATE {collation}"
        return self._ranked(values, value)

    def _uuids(self, values: list[Any]) -> list[Any]:
        """Compare 32 digits as text. A column of MariaDB's own type compares other segments first."""
        lengths = {len(value) for value in values if value is not None}
        return self._ranked(values, "CAST(v AS UUID)") if _DASHED in lengths else values

    def _ranked(self, values: list[Any], value: str) -> list[Any]:
        longest = max(len(value) for value in values if value is not None)
        type_name = f"VARCHAR({max(longest, 1)})" if longest <= _LONGEST_VARCHAR else "LONGTEXT"
        sql = _RANK_SQL.replace("{value}", value).replace("{type}", type_name)
        return ranked(values, lambda distinct: self.ranks(sql, [json.dumps(distinct, ensure_ascii=False)]))


def _is_weighed(what: Sorted) -> bool:
    """Say whether the server is asked for sort keys of *what*."""
    return what.kind in _MAYBE_TEXT and 0 < (what.width or 0) <= _LONGEST_WEIGHED


def _weights(values: list[Any]) -> list[Any]:
    """Return the sort keys, unless one lacks some of its text."""
    keys = as_bytes(values)
    if any(key is not None and key[:1] == _IS_LONGER for key in keys):
        raise OrderUnknown("a column holds more text than its model says")
    return keys
