"""Which transactions does a MariaDB or MySQL server have?

MariaDB is what the tests run. What concerns MySQL alone is written after its manual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shardkit.errors import PositionUnknown
from shardkit.positions.gtid import Gtids, MySqlGtids
from shardkit.vendors.replication.base import Failure, ReplicaState, Sample, asked, cause_of, name_of_life

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position

#: What the server has written, whether it takes writes, and whether it numbers its transactions at all.
_MARIADB_PRIMARY: Final = "SELECT @@global.gtid_binlog_pos, @@global.read_only, @@global.log_bin"
_MYSQL_PRIMARY: Final = "SELECT @@global.gtid_executed, @@global.read_only, @@global.gtid_mode = 'ON'"
_MARIADB_REPLICA: Final = "SELECT @@global.gtid_slave_pos, @@global.read_only"
_MYSQL_REPLICA: Final = "SELECT @@global.gtid_executed, @@global.read_only"

#: The server, the second in which it started, and how long ago that is. Both clocks are that of the statement.
_MARIADB_START: Final = (
    "SELECT CONCAT_WS(' ', @@global.server_id, @@hostname, @@port),"
    " UNIX_TIMESTAMP() - CAST(VARIABLE_VALUE AS SIGNED), CAST(VARIABLE_VALUE AS SIGNED)"
    " FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'"
)
_MYSQL_START: Final = (
    "SELECT @@server_uuid,"
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
        """Return all that the binary log holds: every commit is in it."""
        found, _ = _written(connection)
        return found

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Return the same, and whether the server takes writes."""
        del memo
        found, is_writable = _written(connection)
        return Sample(found, is_writable=is_writable)

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return what the replica has applied."""
        driver, life = memo or (None, "")
        if driver is not connection.connection:
            server, started, age = _start(connection)
            life = name_of_life(server, started)
            if age < YOUNG:
                return ReplicaState(None, life, why=f"it was started {age} s ago")
        is_mariadb = _is_mariadb(connection)
        text, read_only = asked(connection, _MARIADB_REPLICA if is_mariadb else _MYSQL_REPLICA)
        is_replica = _is_on(read_only) or (is_mariadb and _is_on(*asked(connection, _RUNNING)))
        return ReplicaState(_parsed(text, is_mariadb=is_mariadb), life, is_replica, memo=(connection.connection, life))

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Compare the server and the second of its start."""
        server, started, _ = _start(connection)
        return life == name_of_life(server, started)

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let every transaction of the session be read-only, whatever its user may do."""
        asked(connection, "SET SESSION TRANSACTION READ ONLY")

    def failure(self, error: BaseException) -> Failure | None:
        """Know it by the number of the error; what is applied waits for readers, or they for it."""
        cause = cause_of(error)
        return _FAILURES.get(cause.args[0]) if cause.args else None


def _written(connection: BaseDatabaseWrapper) -> tuple[Position, bool]:
    """Return what a primary has written, and whether it takes writes."""
    is_mariadb = _is_mariadb(connection)
    text, read_only, is_numbered = asked(connection, _MARIADB_PRIMARY if is_mariadb else _MYSQL_PRIMARY)
    if not is_numbered:  # the empty set, which every replica includes
        reason = "it writes no binary log" if is_mariadb else "its gtid_mode is not ON"
        raise PositionUnknown(connection.alias, reason, f"Set {'log_bin' if is_mariadb else 'gtid_mode'} there.")
    return _parsed(text, is_mariadb=is_mariadb), not _is_on(read_only)


def _start(connection: BaseDatabaseWrapper) -> tuple[str, int, int]:
    found = asked(connection, _MARIADB_START if _is_mariadb(connection) else _MYSQL_START)
    server, started, age = found
    return str(server), int(started), int(age)


def _is_on(variable: Any = 0) -> bool:
    return str(variable).upper() not in {"0", "OFF"}


def _is_mariadb(connection: Any) -> bool:
    return bool(connection.mysql_is_mariadb)


def _parsed(text: Any, *, is_mariadb: bool) -> Position:
    written = text.decode() if isinstance(text, bytes) else str(text or "")
    return Gtids.parse(written) if is_mariadb else MySqlGtids.parse(written)
