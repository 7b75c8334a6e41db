"""How do rows travel between PostgreSQL databases?

As the text that a type's output function writes and its input function reads: that is the same value again for every
type that has both, which is also what dumps rely on. Nothing of it passes through a Python type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from shardkit.shadows.shapes import Column
from shardkit.shadows.transport import Load, Row, Transport

#: Types that come with the server have smaller ids, the same in every database.
FIRST_OWN_OID: Final = 16384

# The id of a type is all that a result says; only the database that it came from knows its own types by theirs.
_TYPE_SQL: Final = "SELECT format_type(%s, %s)"

# A declared length or precision rounds and cuts; what a column holds has been through it already, and a table that
# Django does not manage may hold more than the field says.
_LENGTH: Final = re.compile(
    r"^(varchar|character varying|numeric|decimal|time|timestamp|interval)\s*\([^()]*\)", re.IGNORECASE
)
_PADDED: Final = re.compile(r"^(?:char|character|bpchar)\s*(?:\([^()]*\))?(?=\[|$)", re.IGNORECASE)
_BITS: Final = re.compile(r"^bit\s*(?:\([^()]*\))?(?=\[|$)", re.IGNORECASE)


class PostgreSQLTransport(Transport):
    """How rows travel to a connection with PostgreSQL."""

    __slots__ = ()

    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Name the types by the ids in the result."""
        del load
        found = [(column.type_code, index) for index, column in enumerate(cursor.description)]
        return [self._type_name(cursor, oid, index) for oid, index in found]

    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield the text of each value as the server sent it."""
        result = cursor.pgresult
        value, columns = result.get_value, range(result.nfields)
        for start in range(0, result.ntuples, self.CHUNK):
            places = range(start, min(start + self.CHUNK, result.ntuples))
            rows: list[Row] = [[value(place, column) for column in columns] for place in places]
            yield rows, sum(len(text) for row in rows for text in row if text is not None)

    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """Unnest an array of texts for each column, and cast each text."""
        numbers = range(1, len(load.columns) + 1)
        casts = ", ".join(self._cast(f"c{n}", column) for n, column in zip(numbers, load.columns, strict=True))
        arrays = ", ".join("%s::text[]" for _ in numbers)
        names = ", ".join(f"c{n}" for n in numbers)
        sql = f"SELECT {casts} FROM unnest({arrays}) AS s({names})"  # noqa: S608 - types, quoted names and numbers
        params = [_array(row[index] for row in load.rows) for index in range(len(load.columns))]
        return f"{self.heading(load)} AS MATERIALIZED ({sql})", params

    @contextmanager
    def unprepared(self) -> Iterator[None]:
        """Take away psycopg's threshold for the time of the block."""
        driver = self.connection.connection
        threshold = getattr(driver, "prepare_threshold", None)
        if driver is None or threshold is None:
            yield
            return
        driver.prepare_threshold = None
        try:
            yield
        finally:
            driver.prepare_threshold = threshold

    def _cast(self, name: str, column: Column) -> str:
        collate = f" COLLATE {self.quoted(column.collation)}" if column.collation else ""
        return f"CAST({name} AS {unlimited(column.type or 'text')}){collate}".replace("%", "%%")

    @staticmethod
    def _type_name(cursor: Any, oid: int, index: int) -> str:
        known = cursor.connection.adapters.types.get(oid) if oid < FIRST_OWN_OID else None
        if known is not None:
            name = known.name if known.oid == oid else f"_{known.name}"
            return f'pg_catalog."{name}"'
        with cursor.db.cursor() as asking:
            asking.execute(_TYPE_SQL, [oid, cursor.pgresult.fmod(index)])
            (found,) = asking.fetchone()
        return str(found)


def unlimited(type_: str) -> str:
    """Return the SQL of *type_* without the length or precision that its column was declared with."""
    type_ = _LENGTH.sub(r"\1", type_)
    type_ = _PADDED.sub("bpchar", type_)
    return _BITS.sub('"bit"', type_)


def _array(texts: Iterator[bytes | None]) -> str:
    """Write *texts* as an array of PostgreSQL's."""
    return "{" + ",".join("NULL" if text is None else _element(text.decode()) for text in texts) + "}"


def _element(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
