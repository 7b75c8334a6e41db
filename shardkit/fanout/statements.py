"""Which statements of a fan-out wait for one another?

A connection runs one statement at a time, so those of one connection form a lane and take turns; lanes run together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import Error
from django.db.backends import utils

from shardkit.fanout.jobs import Job
from shardkit.topology.names import Alias
from shardkit.vendors.base import Session, Vendor
from shardkit.vendors.registry import vendor_of

_UNLOGGED: Final = nullcontext()


@dataclass(slots=True, eq=False)
class Statement:
    """One statement of a fan-out, and what came of it."""

    alias: Alias
    cursor: Any
    sql: str
    params: Any
    #: The execute wrappers of its connection have had their say already.
    is_unwrapped: bool = False
    is_done: bool = False
    #: What the driver's cursor returned.
    result: Any = None
    error: BaseException | None = None

    def execute(self) -> None:
        """Run the statement on this thread, through whatever wraps the cursor."""
        if self.is_unwrapped:
            self._execute()
        else:
            self.result = self.cursor.execute(self.sql, self.params)
        self.is_done = True

    def _execute(self) -> None:
        """Do what `CursorWrapper` does when every execute wrapper has called on."""
        cursor, database = self.cursor.cursor, self.cursor.db
        database.validate_no_broken_transaction()
        with self.logged(), database.wrap_database_errors:
            self.result = cursor.execute(self.sql) if self.params is None else cursor.execute(self.sql, self.params)

    def logged(self) -> AbstractContextManager[object]:
        """Write the statement into the log of queries when the block ends, as Django's debugging cursor does."""
        if isinstance(self.cursor, utils.CursorDebugWrapper):
            log: AbstractContextManager[object] = self.cursor.debug_sql(
                self.sql, self.params, use_last_executed_query=True
            )
            return log
        return _UNLOGGED

    def failed(self, error: BaseException) -> None:
        """Note what went wrong, and where, for whoever reads the traceback."""
        self.error = error
        if isinstance(error, Error):
            _name(error, self.alias, self.cursor.db)


@dataclass(slots=True, eq=False)
class Lane:
    """The statements of one connection, in their order."""

    vendor: Vendor
    session: Session
    statements: list[Statement] = field(default_factory=list)
    #: No further statement is to begin.
    is_stopped: bool = False

    @property
    def unanswered(self) -> list[Statement]:
        """The statements that have not been executed."""
        return [statement for statement in self.statements if not statement.is_done]

    @property
    def failure(self) -> BaseException | None:
        """What made the lane end early."""
        return next((statement.error for statement in self.statements if statement.error is not None), None)

    def execute(self) -> None:
        """Run the statements on this thread, one after another, until one fails."""
        for statement in self.unanswered:
            if self.is_stopped:
                return
            try:
                statement.execute()
            except BaseException as error:  # noted and raised again, Ctrl-C too
                statement.failed(error)
                raise


@contextmanager
def naming(alias: Alias, connection: Any) -> Iterator[None]:
    """Let an error of the block say which database it is of: to people *alias*, to us the one of *connection*."""
    try:
        yield
    except Error as error:
        _name(error, alias, connection)
        raise


def _name(error: Any, alias: Alias, connection: Any) -> None:
    error.shardkit_alias = connection.alias
    error.add_note(f"The statement ran on the database {alias!r}.")


def lanes_of(jobs: Iterable[Job]) -> list[Lane]:
    """Sort *jobs* by the connection that they run on."""
    lanes: dict[Any, Lane] = {}
    for job in jobs:
        connection = job.cursor.db
        lane = lanes.get(connection)
        if lane is None:
            vendor = vendor_of(connection)
            with naming(job.alias, connection), connection.wrap_database_errors:
                lane = lanes[connection] = Lane(vendor, vendor.session())
        lane.statements.append(Statement(job.alias, job.cursor, job.sql, job.params))
    return list(lanes.values())


def has_djangos_own(cursor: Any) -> bool:
    """Say whether executing on *cursor* runs Django's code and nobody else's: no tool has wrapped or replaced it."""
    return getattr(type(cursor).execute, "__globals__", None) is vars(utils)
