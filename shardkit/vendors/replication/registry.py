"""Which vendor's replication is behind a connection?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shardkit.errors import UnsupportedDatabase
from shardkit.vendors.replication.mysql import MySQLReplication
from shardkit.vendors.replication.postgresql import PostgreSQLReplication
from shardkit.vendors.replication.sqlite import SQLiteReplication

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.vendors.replication.base import Replication

_KNOWN: Final[Mapping[str, Replication]] = {
    "postgresql": PostgreSQLReplication(),
    "mysql": MySQLReplication(),
    "sqlite": SQLiteReplication(),
}


def replication_of(connection: BaseDatabaseWrapper) -> Replication:
    """Return what its vendor can say about replication; nothing is asked of the server."""
    found = _KNOWN.get(connection.vendor)
    if found is None:
        raise UnsupportedDatabase(connection.alias, connection.vendor)
    return found
