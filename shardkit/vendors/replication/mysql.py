"""Which transactions does a MariaDB or MySQL server have?

MariaDB is what the tests run. What concerns MySQL alone is written after its manual.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from shardkit.errors import PositionUnknown
from shardkit.positions.gtid import Gtids, MySqlGtids
from shardkit.vendors.replication.base import Failure, ReplicaState, Sample, asked, cause_of, name_of_life

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position

#: What the server has written and what it has applied, whether it takes writes, and whether it numbers its
#: transactions at all. The binary log of MariaDB holds what was applied only where log_slave_updates is on: without it
#: one that was promoted has an empty log until it writes, or that of a time when it was the primary before.
_MARIADB_PRIMARY: Final = (
    "SELECT DATABASE(), @@global.gtid_binlog_pos, @@global.gtid_slave_pos, @@global.read_only, @@global.log_bin"
)
_MYSQL_PRIMARY: Final = "SELECT DATABASE(), @@global.gtid_executed, '', @@global.read_only, @@global.gtid_mode = 'ON'"
_MARIADB_REPLICA: Final = "SELECT DATABASE(), @@global.gtid_slave_pos, @@global.read_only"
_MYSQL_REPLICA: Final = "SELECT DATABASE(), @@global.gtid_executed, @@global.read_only"

#: The server and the database, the second in which it started, and how long ago that is. Both clocks are that of the
#: statement.
_MARIADB_START: Final = (
    "SELECT CONCAT_WS(' ', @@global.server_id, @@hostname, @@port, DATABASE()),"
    " UNIX_TIMESTAMP() - CAST(VARIABLE_VALUE AS SIGNED), CAST(VARIABLE_VALUE AS SIGNED)"
    " FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'"
)
_MYSQL_START: Final = (
    "SELECT CONCAT_WS(' ', @@server_uuid, DATABASE()),"
    " UNIX_TIMESTAMP() - CAST(VARIABLE_VALUE AS SIGNED), CAST(VARIABLE_VALUE AS SIGNED)"
    " FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Uptime'"
)
#: A server that was started again within a second has the same second of its start. So nobody reads a server that is
#: younger than this many seconds, and no two that were read have the same.
YOUNG: Final = 2

#: Whether both threads of the replication run: what a replica shows that may be written to. MySQL has no such variable.
_RUNNING: Final = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVE_RUNNING'"


_FAILURES: Final = {
    1054: Failure.BEHIND,  # an unknown column
    1146: Failure.BEHIND,  # an unknown table
    1290: Failure.READ_ONLY,  # of the server, by its option
    1792: Failure.READ_ONLY,  # of the transaction
    1836: Failure.READ_ONLY,  # of the server, by what it does
}


class MySQLReplication:
    """Replication by global transaction identifiers."""

    def position(self, connection: BaseDatabaseWrapper) -> Position:
        """Return all that the server has written and applied: every commit is in it."""
        found = _written(connection)
        if found.position is None:  # the empty set, which every replica includes
            raise PositionUnknown(connection.alias, "it has numbered no transaction yet", "Write something there.")
        return found.position

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Return the same, and whether the server takes writes."""
        del memo
        found = _written(connection)
        return Sample(found.position, found.is_writable, database=found.database)

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return what the replica has applied."""
        driver, life = memo or (None, "")
        if driver is not connection.connection:
            server, started, age = _start(connection)
            life = name_of_life(server, started)
            if age < YOUNG:
                return ReplicaState(None, life, why=f"it was started {age} s ago")
        is_mariadb = _is_mariadb(connection)
        database, applied, read_only = asked(connection, _MARIADB_REPLICA if is_mariadb else _MYSQL_REPLICA)
        is_replica = _is_on(read_only) or (is_mariadb and _is_on(*asked(connection, _RUNNING)))
        position, memo = _position(applied, is_mariadb=is_mariadb), (connection.connection, life)
        why = "it has applied nothing yet" if position is None else ""
        return ReplicaState(position, life, is_replica, memo=memo, why=why, database=_text(database))

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Compare the server, the second of its start, and the database."""
        server, started, _ = _start(connection)
        return life == name_of_life(server, started)

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let every transaction of the session be read-only, whatever its user may do."""
        asked(connection, "SET SESSION TRANSACTION READ ONLY")

    def failure(self, error: BaseException) -> Failure | None:
        """Know it by the number of the error; what is applied waits for readers, or they for it."""
        cause = cause_of(error)
        return _FAILURES.get(cause.args[0]) if cause.args else None


@dataclass(frozen=True, slots=True)
class _Written:
    """What a primary says of itself."""

    database: str
    #: None where it has numbered nothing.
    position: Position | None
    is_writable: bool


def _written(connection: BaseDatabaseWrapper) -> _Written:
    is_mariadb = _is_mariadb(connection)
    answer = asked(connection, _MARIADB_PRIMARY if is_mariadb else _MYSQL_PRIMARY)
    database, written, applied, read_only, is_numbered = answer
    if not is_numbered:
        reason = "it writes no binary log" if is_mariadb else "its gtid_mode is not ON"
        raise PositionUnknown(connection.alias, reason, f"Set {'log_bin' if is_mariadb else 'gtid_mode'} there.")
    position = _position(written, applied, is_mariadb=is_mariadb)
    return _Written(_text(database), position, not _is_on(read_only))


def _start(connection: BaseDatabaseWrapper) -> tuple[str, int, int]:
    found = asked(connection, _MARIADB_START if _is_mariadb(connection) else _MYSQL_START)
    server, started, age = found
    return str(server), int(started), int(age)


def _is_on(variable: Any = 0) -> bool:
    return str(variable).upper() not in {"0", "OFF"}


def _is_mariadb(connection: Any) -> bool:
    return bool(connection.mysql_is_mariadb)


def _position(*texts: Any, is_mariadb: bool) -> Position | None:
    """Return where a server is that says so in *texts*; None for one that has nothing."""
    if not is_mariadb:
        found = MySqlGtids.parse(_text(texts[0]))
        return found if found.sources else None
    each = [Gtids.parse(_text(text)) for text in texts]
    together = reduce(Gtids.latest, each)
    return together if together.transactions else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
