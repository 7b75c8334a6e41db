"""What is known of replicas, and how are they reached?

Sessions and statements ask the pool, and nobody else. A test can put one in its place whose replicas are as far behind
as the test says (`shardkit.testing.simulated_replicas`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from shardkit.errors import PrimaryDemoted
from shardkit.replication import health, mirrors, monitor, readings, selection
from shardkit.vendors.replication.base import Failure
from shardkit.vendors.replication.registry import replication_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position
    from shardkit.replication.selection import Choice, Need
    from shardkit.topology.names import Alias


class Pool:
    """The replicas of the settings, as the monitor finds them."""

    def watch(self, primary: Alias) -> None:
        """Let the monitor look at *primary* and its replicas."""
        monitor.watch(primary)

    def note_ended(self) -> None:
        """Note what was written in transactions that have ended otherwise than by a commit; only those of a test do."""

    def why_unmeasured(self, primary: Alias) -> str | None:
        """Say why no replica of *primary* is ever read, None if that depends."""
        return mirrors.why_unmeasured(primary)

    def kick(self, primary: Alias) -> None:
        """Let the monitor look at once, since somebody waits for what it finds."""
        monitor.kick(primary)

    def choose(self, primary: Alias, need: Need, exclude: frozenset[Alias]) -> Choice:
        """Choose among *primary* and its replicas by what is known."""
        return selection.choose(primary, need, exclude=exclude)

    def are_lost(self, primary: Alias) -> bool:
        """Say whether no replica of *primary* answers."""
        return selection.are_lost(primary)

    def sampled_after(self, primary: Alias, moment: float) -> Position | None:
        """Return a position of *primary* that was asked for after *moment*; None when there is none yet."""
        return readings.sampled_after(primary, moment)

    def successor(self, primary: Alias, position: Position, moment: float) -> Position | None:
        """Return where *primary* is if it lacks *position*, which was some primary's before *moment*; else None.

        Only a server is believed that was found by following the alias after that moment: one that was found before may
        itself be the one of the past.
        """
        found = readings.lacks(primary, position, moment)
        if found is not None and found.opened > moment:
            return found.position
        if found is not None:
            monitor.doubt(primary)
        return None

    def position(self, replica: Alias) -> Position | None:
        """Return how far *replica* certainly is; None when that is not known."""
        reading = readings.latest(replica)
        return None if reading is None else reading.position

    def capture(self, primary: Alias) -> Position | None:
        """Ask *primary* where it is; None where that cannot be asked now."""
        connection = connections[primary]
        if self.is_in_transaction(connection):
            return None
        try:
            connection.ensure_connection()
            return replication_of(connection).position(connection)
        except (DatabaseError, InterfaceError, SynchronousOnlyOperation):
            return None  # the position stays unknown, and the primary answers

    def require_writable(self, primary: Alias) -> None:
        """Raise `PrimaryDemoted` if *primary* takes no writes any more, even on a new connection."""
        connection = connections[primary]
        if not readings.is_demoted(primary) or self.is_in_transaction(connection):
            return
        connection.close()  # its name may lead to the new primary by now
        connection.ensure_connection()
        if not replication_of(connection).sample(connection).is_writable:
            raise PrimaryDemoted(primary)

    def connection(self, primary: Alias, choice: Choice) -> BaseDatabaseWrapper:
        """Return the connection to what was chosen for *primary*."""
        del primary
        return connections[choice.alias]

    def opened(self, primary: Alias, choice: Choice) -> BaseDatabaseWrapper | None:
        """Return the connection to the chosen replica if that answers and is the server that the monitor knows.

        In a transaction of the caller's it may show what was there when that began, whatever was measured since. A
        connection to another server is closed, so that the next read follows the name anew.
        """
        connection = self.connection(primary, choice)
        if self.is_in_transaction(connection):
            return None
        try:
            connection.ensure_connection()
            if self.is_in_transaction(connection):  # autocommit is off in the settings
                return None
            if not self._leads_there(connection, choice):
                connection.close()
                return None
        except (OperationalError, InterfaceError) as error:
            health.failed(choice.alias, error)
            connection.close()
            return None
        return connection

    def _leads_there(self, connection: Any, choice: Choice) -> bool:
        """Say whether *connection* leads to what was chosen; each that is opened is asked once."""
        proof = (connection.connection, choice.life)
        if getattr(connection, "shardkit_proof", None) != proof:
            if not replication_of(connection).lives(connection, choice.life):
                return False
            connection.shardkit_proof = proof
        return True

    def failure(self, choice: Choice, error: BaseException) -> Failure | None:
        """Say how the chosen replica has failed, None if *error* came of the statement, or of another database.

        One that is gone is banned for a while.
        """
        connection = connections[choice.alias]
        if getattr(error, "shardkit_alias", choice.alias) != choice.alias:
            return None
        failure = replication_of(connection).failure(error)
        if failure is not None or not isinstance(error, (OperationalError, InterfaceError)):
            return failure
        if connection.connection is not None and connection.is_usable():
            return None
        health.failed(choice.alias, error)
        connection.close()
        return Failure.GONE

    def succeeded(self, choice: Choice) -> None:
        """Note that the chosen replica has answered."""
        health.succeeded(choice.alias)

    def is_in_transaction(self, connection: Any) -> bool:
        """Say whether *connection* is in a transaction, whose reads have to be the primary's."""
        return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)


class _Slot:
    def __init__(self) -> None:
        self.pool = Pool()


_slot = _Slot()


def pool() -> Pool:
    """Return the pool that is asked now."""
    return _slot.pool


@contextmanager
def pooled_by(other: Pool) -> Iterator[Pool]:
    """Let *other* be asked inside the block, by all threads."""
    known, _slot.pool = _slot.pool, other
    try:
        yield other
    finally:
        _slot.pool = known
