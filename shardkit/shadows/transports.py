"""Which transport has the vendor of a connection?"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.errors import UnsupportedDatabase
from shardkit.shadows.transport import Transport

# A transport imports its vendor's driver, which may be missing where it is not needed.
_TRANSPORTS: Final[Mapping[str, tuple[str, str]]] = {
    "postgresql": ("shardkit.shadows.postgresql", "PostgreSQLTransport"),
    "mysql": ("shardkit.shadows.mysql", "MySQLTransport"),
    "sqlite": ("shardkit.shadows.sqlite", "SQLiteTransport"),
}


def transport_to(connection: BaseDatabaseWrapper) -> Transport:
    """Return how rows travel to *connection*."""
    if connection.vendor not in _TRANSPORTS:
        raise UnsupportedDatabase(connection.alias, connection.vendor)
    module, name = _TRANSPORTS[connection.vendor]
    return cast("Transport", getattr(import_module(module), name)(connection))
