"""Which transactions does a MariaDB or MySQL server have?"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from shardkit.positions.gtid import Gtids, MySqlGtids
from shardkit.vendors.replication.base import ReplicaState, Sample, asked

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position

_LOCK: Final = "shardkit:"


class MySQLReplication:
    """Replication by global transaction identifiers."""

    def position(self, connection: BaseDatabaseWrapper) -> Position:
        """Return all that the binary log holds: every commit is in it."""
        return self.sample(connection).position

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Return the same, and whether the server takes writes."""
        del memo
        is_mariadb = _is_mariadb(connection)
        name = "gtid_binlog_pos" if is_mariadb else "global.gtid_executed"
        text, read_only = asked(connection, f"SELECT @@{name}, @@global.read_only")
        return Sample(_parsed(text, is_mariadb=is_mariadb), is_writable=not _is_on(read_only))

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return what the replica has applied; the lock that this connection holds stands for the server's life."""
        driver, life = memo if memo is not None else (None, "")
        if driver is not connection.connection:
            life = f"{_LOCK}{secrets.token_hex(8)}"
            asked(connection, "SELECT GET_LOCK(%s, 0)", [life])
        is_mariadb = _is_mariadb(connection)
        name = "gtid_slave_pos" if is_mariadb else "global.gtid_executed"
        text, read_only = asked(connection, f"SELECT @@{name}, @@global.read_only")
        return ReplicaState(
            _parsed(text, is_mariadb=is_mariadb), life, _is_on(read_only), (connection.connection, life)
        )

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Ask whether the lock of the monitor is held on this server: locks end with the server."""
        return bool(asked(connection, "SELECT IS_USED_LOCK(%s) IS NOT NULL", [life])[0])

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let every transaction of the session be read-only, whatever its user may do."""
        asked(connection, "SET SESSION TRANSACTION READ ONLY")

    def conflicts(self, error: BaseException) -> bool:
        """Know of no such error: applying waits for readers, or they for it."""
        del error
        return False


def _is_on(read_only: Any) -> bool:
    return str(read_only).upper() not in {"0", "OFF"}


def _is_mariadb(connection: Any) -> bool:
    return bool(connection.mysql_is_mariadb)


def _parsed(text: Any, *, is_mariadb: bool) -> Position:
    written = text.decode() if isinstance(text, bytes) else str(text or "")
    return Gtids.parse(written) if is_mariadb else MySqlGtids.parse(written)
