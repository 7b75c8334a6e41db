"""How do rows of several databases come to be a table of one?

All sources are asked at the same time, and what they answer is spent from the budget as it comes. Few rows become part
of the statement, which writes nothing and holds anywhere: on a standby, behind a pooler, in a transaction that will be
prepared. Many rows go into temporary tables as they come, so that this process holds few of them at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.conf.settings import get_settings
from shardkit.shadows.budget import Budget
from shardkit.shadows.reading import read
from shardkit.shadows.shapes import Shadow
from shardkit.shadows.statement import Shadowed, Way
from shardkit.shadows.tables import Tables
from shardkit.shadows.transport import Load, Row, Transport
from shardkit.shadows.transports import transport_to

#: A statement that holds more than this is slow to send and to parse, however few rows it has.
EXPRESSION_BYTES: Final = 4 * 2**20


@contextmanager
def shadowed(
    connection: BaseDatabaseWrapper, shadows: Sequence[Shadow], budget: Budget, *, by: Way | None = None
) -> Iterator[Shadowed]:
    """Let statements on *connection* find the rows of *shadows* inside the block.

    The sources are read on this thread's own connections, in whatever transactions those are. Raise
    `GatherLimitExceeded` when there are more rows than *budget* allows. A statement has to be executed, and its rows
    fetched and its cursor closed, inside the block.

    On PostgreSQL a transaction in which a temporary table was used cannot be prepared for two-phase commit; say
    ``by="cte"`` there. Temporary tables are not used either where they cannot be made, whatever *by* says.
    """
    transport = transport_to(connection)
    loads = [Load.of(shadow) for shadow in shadows]
    with ExitStack() as stack:
        place = _Place(transport, loads, stack, by)
        with closing(read(transport, loads, budget)) as answers:
            for load, rows in answers:
                place.take(load, rows, budget.spent_bytes)
        yield place.shadowed()


class _Place:
    """Where the rows are put: by, until there are too many, and then in tables."""

    def __init__(self, transport: Transport, loads: Sequence[Load], stack: ExitStack, by: Way | None) -> None:
        self._transport, self._loads, self._stack, self._by = transport, loads, stack, by
        self._tables: Tables | None = None
        self._limit = get_settings().gather_cte_rows
        self._rows = 0

    def take(self, load: Load, rows: list[Row], size: int) -> None:
        """Take in *rows*; *size* is that of all rows so far, in bytes."""
        self._rows += len(rows)
        if self._tables is not None:
            self._tables.take(load, rows)
            return
        load.rows += rows
        if self._by is None and (self._rows > self._limit or size > EXPRESSION_BYTES):
            self._use_tables()

    def shadowed(self) -> Shadowed:
        """Return the shadows, now that all rows have come."""
        if self._tables is None and (self._by == "temporary tables" or not self._all_fit()):
            self._use_tables()
        if self._tables is not None:
            self._tables.finish(self._loads)
            renamed = self._tables.expressions
            return Shadowed(self._transport, "cte" if renamed else "temporary tables", self._rows, renamed)
        expressions: list[str] = []
        params: list[Any] = []
        for load in self._loads:
            sql, values = self._transport.expression(load)
            expressions.append(sql)
            params += values
        return Shadowed(self._transport, "cte", self._rows, expressions, tuple(params))

    def _all_fit(self) -> bool:
        return self._by == "cte" or all(map(self._transport.fits, self._loads))

    def _use_tables(self) -> None:
        """Go over to tables for good, or never."""
        tables = self._first_table() if self._loads else None
        if tables is None:
            self._by = "cte"
            return
        self._tables = tables
        for load in self._loads:
            if load.rows:
                tables.take(load, load.rows)
                load.rows = []

    def _first_table(self) -> Tables | None:
        """Make the first table; return nothing where the database does not let us."""
        conditions = self._transport.conditions()
        if not conditions.has_room:
            return None
        self._stack.enter_context(self._transport.room())
        tables = self._stack.enter_context(Tables(self._transport, conditions.are_found))
        try:
            tables.make(next((load for load in self._loads if load.rows), self._loads[0]))
        except Error as error:
            if self._transport.may_not(error):
                return None
            raise
        return tables
