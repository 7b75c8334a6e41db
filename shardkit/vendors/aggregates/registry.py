"""What does the vendor of a connection make of parts?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.errors import UnsupportedDatabase
from shardkit.vendors.aggregates.base import Aggregates
from shardkit.vendors.aggregates.mysql import MySQLAggregates
from shardkit.vendors.aggregates.postgresql import PostgreSQLAggregates
from shardkit.vendors.aggregates.sqlite import SQLiteAggregates

_AGGREGATES: Final[Mapping[str, type[Aggregates]]] = {
    "postgresql": PostgreSQLAggregates,
    "mysql": MySQLAggregates,
    "sqlite": SQLiteAggregates,
}


def aggregates_of(connection: BaseDatabaseWrapper) -> Aggregates:
    """Return what the database of *connection* makes of parts."""
    if connection.vendor not in _AGGREGATES:
        raise UnsupportedDatabase(connection.alias, connection.vendor)
    return _AGGREGATES[connection.vendor](connection)
