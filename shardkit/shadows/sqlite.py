"""How do rows travel between SQLite databases?

As what is stored: an integer, a real, a text, a blob or NULL, whatever the column was declared to hold. Python has one
type for each, and sqlite3 reads and binds them as they are, once it is kept from converting them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from sqlite3 import sqlite_version_info
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.shadows.shapes import Column, Source
from shardkit.shadows.transport import Conditions, Load, Row, Transport

#: What a number takes, in bytes.
NUMBER_BYTES: Final = 8
#: So many parameters has a statement at most, unless SQLite was built otherwise.
PARAMETERS: Final = 32766

_AFFINITIES: Final[Sequence[tuple[str, str]]] = (
    ("INT", "INTEGER"),
    ("CHAR", "TEXT"),
    ("CLOB", "TEXT"),
    ("TEXT", "TEXT"),
    ("BLOB", "BLOB"),
    ("REAL", "REAL"),
    ("FLOA", "REAL"),
    ("DOUB", "REAL"),
)

#: The first version that can be told not to make a table of an expression.
FIRST_WITH_HINTS: Final = (3, 35)
#: The tables of each connection that could not be dropped, and those that stand, with what they are made of.
_left: Final[WeakKeyDictionary[BaseDatabaseWrapper, dict[str, str]]] = WeakKeyDictionary()
_kinds: Final[WeakKeyDictionary[BaseDatabaseWrapper, dict[str, str]]] = WeakKeyDictionary()

#: The classes of the values that a CAST to each affinity leaves as they are.
_UNTOUCHED: Final[dict[str, tuple[type, ...]]] = {
    "INTEGER": (int,),
    "TEXT": (str,),
    "BLOB": (bytes,),
    "REAL": (float,),
    "NUMERIC": (int, float),
}


class SQLiteTransport(Transport):
    """How rows travel to a connection with SQLite."""

    __slots__ = ()

    def question(self, source: Source, load: Load, cursor: Any, most: int) -> tuple[str, tuple[Any, ...]]:
        """Ask for expressions over the columns: sqlite3 converts what comes from a column declared as a date."""
        del cursor, most
        names = [f"c{number}" for number, _ in enumerate(load.columns, 1)]
        values = ", ".join(f"+{name} AS {name}" for name in names)
        sql = f"WITH rows_to_send({', '.join(names)}) AS ({source.sql}) SELECT {values} FROM rows_to_send"  # noqa: S608
        return sql, source.params

    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Know none: values have types, and columns do not."""
        del cursor
        return [None for _ in load.columns]

    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield the values as they are stored."""
        while rows := cursor.fetchmany(self.CHUNK):
            yield rows, sum(map(_size, chain.from_iterable(rows)))

    def fits(self, load: Load) -> bool:
        """Take tables for columns that have types: sqlite3 converts values by what a table's column is declared as."""
        has_types = any(column.type is not None for column in load.columns)
        return not has_types and len(load.rows) * len(load.columns) <= PARAMETERS

    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """List the values as parameters, and cast each column to its affinity where that changes no value."""
        numbers = range(len(load.columns))
        casts = ", ".join(self._cast(f"column{n + 1}", load.columns[n], [row[n] for row in load.rows]) for n in numbers)
        row = f"({', '.join('%s' for _ in numbers)})"
        values = ", ".join([row] * len(load.rows)) or f"({', '.join('NULL' for _ in numbers)})"
        where = "" if load.rows else " WHERE 0"
        sql = f"SELECT {casts} FROM (VALUES {values}){where}"  # noqa: S608 - affinities, quoted names and numbers
        return f"{self.heading(load)} AS ({sql})", list(chain.from_iterable(load.rows))

    def _cast(self, name: str, column: Column, values: Sequence[Any]) -> str:
        affinity = affinity_of(column.type)
        sql = f"CAST({name} AS {affinity})" if affinity and is_untouched(values, affinity) else name
        return f"{sql} COLLATE {self.quoted(column.collation)}" if column.collation else sql

    def conditions(self) -> Conditions:
        """Give tables names of their own: one cannot be dropped while any statement of the connection is read."""
        return Conditions(are_found=False)

    def make(self, name: str, load: Load) -> str:
        """Use a table again that could not be dropped, if there is one of this kind."""
        definitions = self.definitions(load)
        left = _left.setdefault(self.connection, {})
        for other in [other for other, kind in left.items() if kind == definitions]:
            del left[other]
            if self._is_there(other):
                return other
        self.execute(f"CREATE TEMPORARY TABLE {self.quoted(name)} ({definitions})")
        _kinds.setdefault(self.connection, {})[name] = definitions
        return name

    def finish(self, name: str, load: Load) -> None:
        """Make the indexes; a table that is used again may have them."""
        for columns in load.shadow.indexes:
            index, listed = self.quoted(f"{name} {columns}"), ", ".join(map(self.quoted, columns))
            self.execute(f"CREATE INDEX IF NOT EXISTS temp.{index} ON {self.quoted(name)} ({listed})")

    def drop(self, names: Sequence[str]) -> None:
        """Drop the tables, or empty them while somebody reads something else."""
        kinds = _kinds.get(self.connection, {})
        left = _left.setdefault(self.connection, {})
        left.update({name: kinds.get(name, "") for name in names})
        for name in list(left):
            try:
                self.execute(f"DROP TABLE IF EXISTS {self.table(name)}")
            except OperationalError:
                self.execute(f"DELETE FROM {self.table(name)}")  # noqa: S608 - quoted names
            else:
                del left[name]
                kinds.pop(name, None)

    def alias(self, name: str, load: Load) -> str:
        """Let the statement read the table itself, however often it mentions the shadow."""
        hint = "NOT MATERIALIZED" if sqlite_version_info >= FIRST_WITH_HINTS else ""
        return f"{self.quoted(load.shadow.name)} AS {hint} (SELECT * FROM {self.table(name)})"  # noqa: S608

    def _is_there(self, name: str) -> bool:
        with self.working() as cursor:
            cursor.execute("SELECT 1 FROM temp.sqlite_master WHERE name = %s", (name,))
            return cursor.fetchone() is not None

    def table(self, name: str) -> str:
        """Qualify the name."""
        return f"temp.{self.quoted(name)}"

    def definition(self, column: Column) -> str:
        """Declare the type, if there is one."""
        collate = f" COLLATE {self.quoted(column.collation)}" if column.collation else ""
        return f"{column.type or ''}{collate}".replace("%", "%%")

    def fill(self, name: str, load: Load, rows: Sequence[Row]) -> None:
        """Insert the rows in one transaction, which is SQLite's own: Django's may want to write to the database."""
        places = ", ".join("%s" for _ in load.columns)
        driver: Any = self.connection.connection
        is_inside = driver.in_transaction
        if not is_inside:
            driver.execute("BEGIN")
        with nullcontext() if is_inside else driver, self.working() as cursor:
            cursor.executemany(f"INSERT INTO {self.table(name)} VALUES ({places})", rows)  # noqa: S608 - quoted names


def affinity_of(type_: str | None) -> str | None:
    """Return the affinity of a column declared as *type_*, by SQLite's rules."""
    if type_ is None:
        return None
    upper = type_.upper()
    return next((affinity for part, affinity in _AFFINITIES if part in upper), "NUMERIC" if upper else "BLOB")


def is_untouched(values: Sequence[Any], affinity: str) -> bool:
    """Say whether a CAST to *affinity* leaves each of *values* as it is."""
    return all(value is None or type(value) in _UNTOUCHED[affinity] for value in values)


def _size(value: object) -> int:
    return len(value) if isinstance(value, (str, bytes)) else NUMBER_BYTES
