"""How do rows travel from one database to another without changing?

A *transport* knows that for one vendor: how a source is asked, so that its values arrive as they are stored; what they
are in between, which nobody else looks into; and how they are given to the database that needs them, as part of a
statement or as a temporary table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.catalog.statements import own_statements
from shardkit.shadows.shapes import Column, Shadow, Source

#: A row on its way, in the form of the vendor's transport.
Row = Any


@dataclass(slots=True, eq=False)
class Load:
    """A shadow whose rows come."""

    shadow: Shadow
    #: The shadow's columns; once a source has answered, each has its type.
    columns: tuple[Column, ...]
    #: The rows that wait to be given to the database.
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, shadow: Shadow) -> Load:
        """Return the load of *shadow* before anything has come."""
        return cls(shadow, shadow.columns)

    def know_types(self, types: Sequence[str | None]) -> None:
        """Give each column that has no type the one of *types* in its place."""
        pairs = zip(self.columns, types, strict=True)
        self.columns = tuple(replace(column, type=column.type or found) for column, found in pairs)

    @property
    def is_typed(self) -> bool:
        """Say whether the type of every column is known."""
        return all(column.type is not None for column in self.columns)


class Conditions(NamedTuple):
    """What temporary tables can do on one connection at the time."""

    #: They can be made.
    has_room: bool = True
    #: A statement that mentions the name of one reads it, however often it does.
    are_found: bool = True


@dataclass(frozen=True, slots=True)
class Transport(ABC):
    """How rows travel to one connection from databases of the same vendor."""

    connection: BaseDatabaseWrapper

    #: How many rows are taken from a driver at a time.
    CHUNK: ClassVar[int] = 1000

    def cursor(self, connection: BaseDatabaseWrapper, load: Load) -> Any:  # noqa: ARG002 - for those who need it
        """Open a cursor on *connection*, a source's, that does not hold all rows at once."""
        return connection.cursor()

    def question(
        self,
        source: Source,
        load: Load,  # noqa: ARG002 - the same
        cursor: Any,  # noqa: ARG002 - the same
        most: int,  # noqa: ARG002 - the same
    ) -> tuple[str, tuple[Any, ...]]:
        """Return the statement that makes *source* answer with unchanged values, on *cursor*.

        Nobody will read more than *most* rows of the answer.
        """
        return source.sql, source.params

    def understands(self, cursor: Any, load: Load) -> bool:
        """Note the types that *cursor*, which was executed, returns; say whether its values are unchanged as asked."""
        if not load.is_typed:
            load.know_types(self.types(cursor, load))
        return True

    @abstractmethod
    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Return the types of the columns that *cursor*, which was executed, will return."""

    @abstractmethod
    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield the rows that *cursor* returns, some at a time, and their size in bytes."""

    def abandon(self, cursor: Any) -> None:
        """Close *cursor*, from which nobody will read the rest."""
        cursor.close()

    def fits(self, load: Load) -> bool:  # noqa: ARG002 - the same
        """Say whether a common table expression gives the rows of *load* exactly as a table does."""
        return True

    @abstractmethod
    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """Return the common table expression that holds the rows of *load*, and its parameters."""

    def conditions(self) -> Conditions:
        """Say what temporary tables can do here and now."""
        return Conditions()

    def may_not(self, error: Error) -> bool:  # noqa: ARG002 - the same
        """Say whether *error* says that no temporary table can be made, and nothing else."""
        return False

    def room(self) -> AbstractContextManager[None]:
        """Return the block in which temporary tables are made; when it fails, what it made is taken back."""
        return nullcontext()

    #: Whether a table is made with its primary key; otherwise `finish` adds it.
    has_key_from_the_start: ClassVar[bool] = True
    #: Whether `room` takes back the tables of a block that failed.
    room_is_undone: ClassVar[bool] = False

    @abstractmethod
    def table(self, name: str) -> str:
        """Return the quoted name by which only a temporary table can be meant."""

    @abstractmethod
    def definition(self, column: Column) -> str:
        """Return the type of *column*, and its collation, as a table's definition has them."""

    def make(self, name: str, load: Load) -> str:
        """Make the temporary table *name* for the rows of *load*, or find one that nobody needs; return its name."""
        self.execute(f"CREATE TEMPORARY TABLE {self.quoted(name)} ({self.definitions(load)})")
        return name

    def definitions(self, load: Load) -> str:
        """Return what a table for the rows of *load* is made of."""
        parts = [f"{self.quoted(column.name)} {self.definition(column)}" for column in load.columns]
        if load.shadow.primary_key is not None and self.has_key_from_the_start:
            parts.append(f"PRIMARY KEY ({self.quoted(load.shadow.primary_key)})")
        return ", ".join(parts)

    def finish(self, name: str, load: Load) -> None:  # noqa: B027 - most have nothing to do
        """Prepare the temporary table *name* for being read, now that it has all rows of *load*."""

    def alias(self, name: str, load: Load) -> str:
        """Return the common table expression that gives the temporary table *name* the name of the shadow."""
        return f"{self.quoted(load.shadow.name)} AS (SELECT * FROM {self.table(name)})"  # noqa: S608 - quoted names

    @abstractmethod
    def fill(self, name: str, load: Load, rows: Sequence[Row]) -> None:
        """Put *rows* of *load* into its temporary table *name*."""

    def drop(self, names: Sequence[str]) -> None:
        """Drop temporary tables, and nothing that is called the same."""
        for name in names:
            self.execute(f"DROP TABLE {self.table(name)}")

    def unprepared(self) -> AbstractContextManager[None]:
        """Keep the server from preparing the statements of the block, where it would do so by itself."""
        return nullcontext()

    @contextmanager
    def working(self) -> Iterator[Any]:
        """Open a cursor on the connection for what is no read or write of its rows, so that no session hears of it."""
        with own_statements(), self.connection.cursor() as cursor:
            yield cursor

    def execute(self, sql: str) -> None:
        """Execute *sql*, which is written as if it had parameters, for its effect."""
        with self.working() as cursor:
            cursor.execute(sql, ())

    def quoted(self, name: str) -> str:
        """Quote *name* for a statement that has parameters."""
        return self.connection.ops.quote_name(name).replace("%", "%%")

    def heading(self, load: Load) -> str:
        """Return the quoted name and columns of *load*."""
        return f"{self.quoted(load.shadow.name)} ({self.names(load)})"

    def names(self, load: Load) -> str:
        """Return the quoted columns of *load*."""
        return ", ".join(self.quoted(column.name) for column in load.columns)
