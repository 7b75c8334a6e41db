"""How does the database behind a connection sort?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shardkit.merge.mysql import MySQLOrdering
from shardkit.merge.ordering import Ordering
from shardkit.merge.postgresql import PostgreSQLOrdering
from shardkit.merge.sqlite import SQLiteOrdering
from shardkit.vendors.base import Vendor
from shardkit.vendors.mysql import MySQL
from shardkit.vendors.postgresql import PostgreSQL
from shardkit.vendors.registry import vendor_of
from shardkit.vendors.sqlite import SQLite

_ORDERINGS: Final[Mapping[type[Vendor], type[Ordering]]] = {
    PostgreSQL: PostgreSQLOrdering,
    MySQL: MySQLOrdering,
    SQLite: SQLiteOrdering,
}


def ordering_of(connection: Any) -> Ordering:
    """Return how the database of *connection* sorts; nothing is asked of the server."""
    return _ORDERINGS[type(vendor_of(connection))](connection)
