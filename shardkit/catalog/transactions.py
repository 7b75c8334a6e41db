"""Is a transaction open, and how does one write outside of it?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.topology.names import LOGICAL


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Say whether what *connection* writes now can still be rolled back."""
    return connection.in_atomic_block or not connection.get_autocommit()


@contextmanager
def outside_transaction(connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    """Yield a connection to the catalog whose every statement commits at once: *connection* itself if that is so."""
    if not in_transaction(connection):
        yield connection
        return
    own = connections.create_connection(LOGICAL)
    try:
        yield own
    finally:
        own.close()
