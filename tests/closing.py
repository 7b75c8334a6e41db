"""How does a test leave no connection behind, also on SQLite in memory?

There Django's ``close()`` does nothing, since the last connection takes the database with it; a test's own one is
never the last, for the main thread keeps one. Python 3.13 and newer warn of each that nobody closes.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


def close(connection: Any) -> None:
    """Close *connection*, which the test itself has opened."""
    connection.close()
    if connection.connection is not None:
        BaseDatabaseWrapper.close(connection)


def close_those_of_this_thread() -> None:
    """Close what a thread of the test has opened."""
    for connection in connections.all(initialized_only=True):
        close(connection)
