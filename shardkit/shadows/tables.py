"""Which temporary tables hold the rows of shadows, and who takes them away?

A table has its shadow's name, so that a statement finds it unchanged. Where that name would be missed, or means another
shadow's table already, it has a name of its own, and the statement gets an expression that gives it the shadow's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Final, Self
from weakref import WeakKeyDictionary

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.shadows.transport import Load, Row, Transport

#: The names of the tables that are there, by connection.
_standing: Final[WeakKeyDictionary[BaseDatabaseWrapper, set[str]]] = WeakKeyDictionary()
_numbers: Final = count(1)


@dataclass(slots=True)
class Tables:
    """The temporary tables of some shadows, which are gone when the block ends."""

    transport: Transport
    #: A statement finds a table by its name alone.
    are_found: bool = True
    names: dict[Load, str] = field(default_factory=dict)

    def make(self, load: Load) -> None:
        """Make the table of *load*, still empty."""
        name, standing = load.shadow.name, _standing.setdefault(self.transport.connection, set())
        if name in standing or not self.are_found:
            name = f"shardkit_shadow_{next(_numbers)}"
        self.names[load] = name = self.transport.make(name, load)
        standing.add(name)

    def take(self, load: Load, rows: Sequence[Row]) -> None:
        """Put *rows* into the table of *load*, which is made when it is not there."""
        if load not in self.names:
            self.make(load)
        if rows:
            self.transport.fill(self.names[load], load, rows)

    def finish(self, loads: Sequence[Load]) -> None:
        """Make the tables of *loads* ready, with rows or without."""
        for load in loads:
            self.take(load, ())
            self.transport.finish(self.names[load], load)

    @property
    def expressions(self) -> list[str]:
        """What a statement needs in order to find the tables that have not their shadow's name."""
        return [self.transport.alias(name, load) for load, name in self.names.items() if name != load.shadow.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop the tables; after an error, what cannot be dropped must not hide it."""
        names = list(self.names.values())
        _standing.get(self.transport.connection, set()).difference_update(names)
        if error is None:
            self.transport.drop(names)
        elif not self.transport.room_is_undone:
            with suppress(Error):
                self.transport.drop(names)
