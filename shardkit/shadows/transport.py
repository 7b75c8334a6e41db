"""How do rows travel from one database to another without changing?

A *transport* knows that for one vendor: how a source is asked, so that its values arrive as they are stored; what they
are in between, which nobody else looks into; and how they are given to the database that needs them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.shadows.shapes import Column, Shadow, Source

#: Values on their way, in the form of the vendor's transport.
Row = Sequence[Any]


@dataclass(slots=True)
class Load:
    """A shadow whose rows have come, or are coming."""

    shadow: Shadow
    #: The shadow's columns; once a source has answered, each has its type.
    columns: tuple[Column, ...]
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
        return all(column.type for column in self.columns)


@dataclass(frozen=True, slots=True)
class Transport(ABC):
    """How rows travel to one connection from databases of the same vendor."""

    connection: BaseDatabaseWrapper

    #: How many rows are taken from a driver at a time.
    CHUNK: ClassVar[int] = 2000

    def question(self, source: Source, load: Load) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG002 - for those who need it
        """Return the statement that makes *source* answer with unchanged values."""
        return source.sql, source.params

    @abstractmethod
    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Return the types of the columns that *cursor*, which was executed, will return."""

    @abstractmethod
    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield the rows that *cursor* returns, some at a time, and their size in bytes."""

    @abstractmethod
    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """Return the common table expression that holds the rows of *load*, and its parameters."""

    def unprepared(self) -> AbstractContextManager[None]:
        """Keep the server from preparing the statements of the block, where it would do so by itself."""
        return nullcontext()

    def quoted(self, name: str) -> str:
        """Quote *name* for a statement that has parameters."""
        return self.connection.ops.quote_name(name).replace("%", "%%")

    def heading(self, load: Load) -> str:
        """Return the quoted name and columns of *load*."""
        columns = ", ".join(self.quoted(column.name) for column in load.columns)
        return f"{self.quoted(load.shadow.name)} ({columns})"
