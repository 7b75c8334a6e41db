"""How do rows travel between PostgreSQL databases?

As the text that a type's output function writes and its input function reads: that is the same value again for every
type that has both, which is also what dumps rely on. Nothing of it passes through a Python type. Rows are lines of
COPY's text format all the way from one server to the other; its binary format has ids of types in it, which differ
from one database to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, ClassVar, Final

from django.db import Error, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.catalog.statements import own_statements
from shardkit.shadows.copying import copying
from shardkit.shadows.shapes import Column, Source
from shardkit.shadows.styles import require_same_styles
from shardkit.shadows.transport import Conditions, Load, Row, Transport

#: How closely the planner looks: at 3,000 rows, in a tenth of the time that PostgreSQL's own choice takes.
STATISTICS: Final = 10
#: Types that come with the server have smaller ids, the same in every database.
FIRST_OWN_OID: Final = 16384

# The id of a type is all that a result says; only the database that it came from knows its own types by theirs.
_TYPE_SQL: Final = "SELECT format_type(%s, %s)"

# Tables can be made neither in a transaction that may not write, such as any on a standby, nor by everybody. They are
# found first unless the path names their schema, which then has the place that it says.
_CONDITIONS_SQL: Final = """
    SELECT current_setting('transaction_read_only') = 'off'
    AND has_database_privilege(current_database(), 'TEMPORARY'),
    current_setting('search_path') NOT LIKE '%%pg_temp%%'
"""

_SAVEPOINT: Final = "shardkit_shadows"

# A declared length or precision rounds and cuts; what a column holds has been through it already, and a table that
# Django does not manage may hold more than the field says.
_LENGTH: Final = re.compile(
    r"^(varchar|character varying|numeric|decimal|time|timestamp|interval)\s*\([^()]*\)", re.IGNORECASE
)
_PADDED: Final = re.compile(r"^(?:char|character|bpchar)\s*(?:\([^()]*\))?(?=\[|$)", re.IGNORECASE)
_BITS: Final = re.compile(r"^bit\s*(?:\([^()]*\))?(?=\[|$)", re.IGNORECASE)

#: What COPY writes for a character that has a meaning in a line, and what it reads.
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_UNESCAPED: Final = re.compile(rb"[\\\t\n\r]")
_MEANINGS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPES: Final = {b"\\": rb"\\", b"\t": rb"\t", b"\n": rb"\n", b"\r": rb"\r"}


class PostgreSQLTransport(Transport):
    """How rows travel to a connection with PostgreSQL."""

    __slots__ = ()

    has_key_from_the_start: ClassVar[bool] = False
    room_is_undone: ClassVar[bool] = True
    #: A table is filled by one COPY for each chunk.
    CHUNK: ClassVar[int] = 5000

    def cursor(self, connection: BaseDatabaseWrapper, load: Load) -> Any:
        """Copy where the types are known, and otherwise let the result tell them."""
        cursor = copying(connection) if load.is_typed else connection.cursor()
        require_same_styles(connection, self.connection)
        return cursor

    def question(self, source: Source, load: Load, cursor: Any, most: int) -> tuple[str, tuple[Any, ...]]:
        """Ask for lines where the types are known, and otherwise for no more rows than this process should hold."""
        del load
        if not hasattr(cursor, "lines"):
            return f"SELECT * FROM ({source.sql}) AS rows_to_send LIMIT {most}", source.params  # noqa: S608
        # Without parameters psycopg leaves the statement as it is written.
        sql = source.sql if source.params else source.sql.replace("%%", "%")
        return f"COPY ({sql}) TO STDOUT", source.params

    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Name the types by the ids in the result."""
        del load
        return [_type_name(cursor, column.type_code, index) for index, column in enumerate(cursor.description)]

    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield lines of COPY's text format."""
        lines = cursor.lines() if hasattr(cursor, "lines") else _lines(cursor.pgresult)
        while chunk := self._taken(lines, cursor):
            yield chunk, sum(map(len, chunk))

    def _taken(self, lines: Iterator[bytes], cursor: Any) -> list[Row]:
        with cursor.db.wrap_database_errors:
            return list(islice(lines, self.CHUNK))

    def abandon(self, cursor: Any) -> None:
        """End what the server still sends."""
        with suppress(Error):
            if hasattr(cursor, "end"):
                cursor.end()
        cursor.close()

    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """Unnest an array of texts for each column, and cast each text."""
        numbers = range(1, len(load.columns) + 1)
        casts = ", ".join(self._cast(f"c{n}", column) for n, column in zip(numbers, load.columns, strict=True))
        arrays = ", ".join("%s::text[]" for _ in numbers)
        names = ", ".join(f"c{n}" for n in numbers)
        sql = f"SELECT {casts} FROM unnest({arrays}) AS s({names})"  # noqa: S608 - types, quoted names and numbers
        rows = [line[:-1].split(b"\t") for line in load.rows]
        params = [_array(row[index] for row in rows) for index in range(len(load.columns))]
        return f"{self.heading(load)} AS MATERIALIZED ({sql})", params

    def _cast(self, name: str, column: Column) -> str:
        collate = f" COLLATE {self.quoted(column.collation)}" if column.collation else ""
        return f"CAST({name} AS {_unlimited(column)}){collate}"

    def conditions(self) -> Conditions:
        """Ask the server, which alone knows whether it is a standby."""
        with self.working() as cursor:
            cursor.execute(_CONDITIONS_SQL, ())
            return Conditions(*cursor.fetchone())

    @contextmanager
    def room(self) -> Iterator[None]:
        """Stay in one transaction, and thereby on one server behind a pooler; undo only what happens in the block."""
        if self.connection.get_autocommit() and not self.connection.in_atomic_block:
            with transaction.atomic(using=self.connection.alias):
                yield
            return
        self._tell(f"SAVEPOINT {_SAVEPOINT}")
        try:
            yield
        except BaseException:  # whatever goes wrong is raised, and the caller's transaction goes on from the savepoint
            with suppress(Error):
                self._tell(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
                self._tell(f"RELEASE SAVEPOINT {_SAVEPOINT}")
            raise
        self._tell(f"RELEASE SAVEPOINT {_SAVEPOINT}")

    def table(self, name: str) -> str:
        """Qualify the name."""
        return f"pg_temp.{self.quoted(name)}"

    def definition(self, column: Column) -> str:
        """Return the type without its length, and the collation."""
        collate = f" COLLATE {self.quoted(column.collation)}" if column.collation else ""
        return f"{_unlimited(column)}{collate}"

    def fill(self, name: str, load: Load, rows: Sequence[Row]) -> None:
        """Copy the lines as they are."""
        sql = f"COPY {self.table(name)} ({self.names(load)}) FROM STDIN".replace("%%", "%")
        with own_statements(), copying(self.connection) as cursor, self.connection.wrap_database_errors:
            cursor.execute(sql, ())
            cursor.write(b"".join(rows))

    def finish(self, name: str, load: Load) -> None:
        """Add the keys, which is quicker than to keep them while rows come, and let the planner look at them."""
        table, key = self.table(name), load.shadow.primary_key
        changes = [f"ALTER {self.quoted(column.name)} SET STATISTICS {STATISTICS}" for column in load.columns]
        if key is not None:
            changes.append(f"ADD PRIMARY KEY ({self.quoted(key)})")
        self.execute(f"ALTER TABLE {table} {', '.join(changes)}")
        for columns in load.shadow.indexes:
            self.execute(f"CREATE INDEX ON {table} ({', '.join(map(self.quoted, columns))})")
        self.execute(f"ANALYZE {table}")

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

    def _tell(self, sql: str) -> None:
        """Execute *sql* also in a transaction that has failed."""
        with self.connection.wrap_database_errors, self.connection.connection.cursor() as cursor:
            cursor.execute(sql)


def _type_name(cursor: Any, oid: int, index: int) -> str:
    known = cursor.connection.adapters.types.get(oid) if oid < FIRST_OWN_OID else None
    if known is not None:
        name = known.name.strip('"')
        name = name if known.oid == oid else f"_{name}"
        return f'pg_catalog."{name}"'
    with own_statements(), cursor.db.cursor() as asking:
        asking.execute(_TYPE_SQL, [oid, cursor.pgresult.fmod(index)])
        (found,) = asking.fetchone()
    return str(found)


def _unlimited(column: Column) -> str:
    """Return the SQL of the type of *column* without the length or precision that it was declared with."""
    type_ = _LENGTH.sub(r"\1", column.type or "text")
    type_ = _PADDED.sub("bpchar", type_)
    return _BITS.sub('"bit"', type_).replace("%", "%%")


def _lines(result: Any) -> Iterator[bytes]:
    """Write the rows of a *result* of libpq's as COPY does."""
    value, columns = result.get_value, range(result.nfields)
    for place in range(result.ntuples):
        yield b"\t".join([_escaped(value(place, column)) for column in columns]) + b"\n"


def _escaped(text: bytes | None) -> bytes:
    return rb"\N" if text is None else _UNESCAPED.sub(lambda found: _ESCAPES[found[0]], text)


def _array(texts: Iterator[bytes]) -> str:
    """Write *texts*, as they stand between the tabs of a line, as an array of PostgreSQL's."""
    return "{" + ",".join("NULL" if text == rb"\N" else _element(text) for text in texts) + "}"


def _element(text: bytes) -> str:
    if b"\\" in text:
        text = _ESCAPED.sub(lambda found: _MEANINGS.get(found[1], found[1]), text).replace(b"\\", rb"\\")
    return '"' + text.replace(b'"', rb"\"").decode() + '"'
