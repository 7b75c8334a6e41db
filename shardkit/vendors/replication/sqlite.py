"""How far is an SQLite database, and a copy of it?

SQLite has no log that can be named. A counter in the database itself stands for it: it is counted up after a commit,
and a copy of the whole file that has the new count has everything that was committed before.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from django.db import OperationalError

from shardkit.positions.counter import Counter
from shardkit.vendors.replication.base import ReplicaState, Sample, asked

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

TABLE: Final = "shardkit_commits"
_MAKE: Final = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, count INTEGER NOT NULL)"
)
_COUNT: Final = (
    f"INSERT INTO {TABLE} (id, incarnation, count) VALUES (1, ?, 1)"  # noqa: S608 - our own name
    " ON CONFLICT (id) DO UPDATE SET count = count + 1 RETURNING incarnation, count"
)
_READ: Final = f"SELECT incarnation, count FROM {TABLE} WHERE id = 1"  # noqa: S608 - our own name


class SQLiteReplication:
    """Copies of whole files."""

    def position(self, connection: BaseDatabaseWrapper) -> Counter:
        """Count up, and return the count. That is a small write, in a transaction of its own."""
        return Counter(*self._asked(connection, _COUNT, [secrets.randbits(40)]))

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Count up if somebody has committed since the last sample of this connection."""
        version = asked(connection, "PRAGMA data_version")
        driver, seen, position = memo if memo is not None else (None, None, None)
        if position is None or driver is not connection.connection or version != seen:
            position = self.position(connection)
            # What others commit from here on changes the version; our own count does not.
        return Sample(position, memo=(connection.connection, version, position))

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return what the copy's counter says."""
        del memo
        try:
            row = asked(connection, _READ)
        except OperationalError:  # no table yet: nothing was copied since the first count
            row = ()
        return ReplicaState(Counter(*row) if row else None, TABLE)

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Take a file for itself: it has no server that could start again."""
        del connection
        return life == TABLE

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let SQLite refuse writes."""
        asked(connection, "PRAGMA query_only = 1")

    def conflicts(self, error: BaseException) -> bool:
        """Know of no such error: readers and the copy do not wait for each other."""
        del error
        return False

    def _asked(self, connection: BaseDatabaseWrapper, sql: str, params: Any) -> tuple[Any, ...]:
        try:
            return asked(connection, sql, params)
        except OperationalError:
            if connection.in_atomic_block:
                raise
            asked(connection, _MAKE)
            return asked(connection, sql, params)
