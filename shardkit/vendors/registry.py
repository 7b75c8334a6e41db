"""Which vendor is behind a connection?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.errors import UnsupportedDatabase
from shardkit.vendors.base import Vendor
from shardkit.vendors.mysql import MySQL
from shardkit.vendors.postgresql import PostgreSQL
from shardkit.vendors.sqlite import SQLite

_VENDORS: Final[Mapping[str, type[Vendor]]] = {"postgresql": PostgreSQL, "mysql": MySQL, "sqlite": SQLite}


def vendor_of(connection: BaseDatabaseWrapper) -> Vendor:
    """Return what is particular to the database of *connection*; nothing is asked of the server."""
    vendor = _VENDORS.get(connection.vendor)
    if vendor is None:
        raise UnsupportedDatabase(connection.alias, connection.vendor)
    return vendor(connection)
