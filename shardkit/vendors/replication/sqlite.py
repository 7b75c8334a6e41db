"""How far is an SQLite database, and a copy of it?

SQLite has no log that can be named. A counter in the database itself stands for it: it is counted up after a commit,
and a copy of the whole file that has the new count has everything that was committed before.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.db import OperationalError

from shardkit.positions.counter import Counter
from shardkit.vendors.replication.base import Failure, ReplicaState, Sample, asked, name_of_life

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

TABLE: Final = "shardkit_commits"
#: A random number of so many bits tells a counter from all others.
INCARNATION_BITS: Final = 40
MAKE: Final = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, count INTEGER NOT NULL)"
)
COUNT: Final = (
    f"INSERT INTO {TABLE} (id, incarnation, count) VALUES (1, ?, 1)"  # noqa: S608 - our own name
    " ON CONFLICT (id) DO UPDATE SET count = count + 1 RETURNING incarnation, count"
)
READ: Final = f"SELECT incarnation, count FROM {TABLE} WHERE id = 1"  # noqa: S608 - our own name
_NO_TABLE: Final = f"no such table: {TABLE}"
_FAILURES: Final = {
    "no such column": Failure.BEHIND,
    "no such table": Failure.BEHIND,
    "attempt to write a readonly database": Failure.READ_ONLY,
}


class SQLiteReplication:
    """Copies of whole files."""

    def position(self, connection: BaseDatabaseWrapper) -> Counter:
        """Count up, and return the count. That is a small write, in a transaction of its own."""
        params = [secrets.randbits(INCARNATION_BITS)]
        try:
            row = asked(connection, COUNT, params)
        except OperationalError as error:
            if _NO_TABLE not in str(error):
                raise
            asked(connection, MAKE)
            row = asked(connection, COUNT, params)
        return Counter(*row)

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Count up if somebody has committed since the last sample of this connection."""
        _require_same_file(connection)
        version = asked(connection, "PRAGMA data_version")
        driver, seen, position = memo or (None, None, None)
        if driver is not connection.connection or version != seen:
            position = self.position(connection)
        # The version is that of before the count, which does not change it: what others commit after it was asked does.
        return Sample(position, memo=(connection.connection, version, position))

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return what the copy's counter says."""
        del memo
        life, row = _life(connection)
        return ReplicaState(Counter(*row) if row else None, life, why="" if row else "nothing was copied yet")

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Compare the file that *connection* has open, and the counter in it."""
        found, _ = _life(connection)
        return found == life

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let SQLite refuse writes."""
        _require_same_file(connection)
        asked(connection, "PRAGMA query_only = 1")

    def failure(self, error: BaseException) -> Failure | None:
        """Know it by the text of the error; readers and the copy do not wait for each other."""
        return next((failure for text, failure in _FAILURES.items() if text in str(error)), None)


def _life(connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
    """Return the name of the copy that *connection* has open, and what its counter says."""
    file = _require_same_file(connection)
    try:
        row = asked(connection, READ)
    except OperationalError as error:
        if _NO_TABLE not in str(error):
            raise
        row = ()
    return name_of_life(*file, *row[:1]), row


def _require_same_file(connection: Any) -> tuple[int, int]:
    """Return which file *connection* has open; an error says that another one is in its place by now.

    Whoever has a file open reads it for ever, also when it was deleted and copied anew: so close the connection.
    """
    *_, name = asked(connection, "PRAGMA database_list")
    try:
        found = Path(name).stat() if name else None
    except FileNotFoundError:
        raise OperationalError(f"The file of {connection.alias!r} was deleted.") from None
    now = (found.st_dev, found.st_ino) if found else (0, 0)  # no file: a database in memory
    driver, opened = getattr(connection, "shardkit_file", (None, now))
    if driver is not connection.connection:
        opened = now  # asked for the first time, which is when it was opened
        connection.shardkit_file = (connection.connection, now)
    if opened != now:
        raise OperationalError(f"The file of {connection.alias!r} was replaced by another one.")
    return now
