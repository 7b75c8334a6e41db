"""Which names of psycopg's insides do we lean on?

psycopg 3 executes a statement by a generator that says when it waits, and for what. `Cursor.execute` runs that of one
connection; here one selector runs those of several. A cursor whose `execute` is not psycopg's own, or a psycopg that
has lost one of these names, is left to threads. `tests/contracts/test_psycopg_api.py` fails by name when that comes.
"""

from __future__ import annotations

import sys
from typing import Any, Final

#: Dotted name to the parameters it must accept, in this order; more may follow.
CALLABLES: Final[dict[str, tuple[str, ...]]] = {
    "psycopg.cursor.Cursor._execute_gen": ("self", "query", "params"),
}

#: Dotted name of a class to the attributes that an instance must have.
ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "psycopg.connection.Connection": ("lock", "pgconn"),
}


def can_say_when_it_waits(driver: Any) -> bool:
    """Say whether executing on the driver's cursor *driver* is the generator of psycopg's that we know."""
    module = sys.modules.get("psycopg.cursor")
    if module is None or getattr(type(driver).execute, "__globals__", None) is not vars(module):
        return False
    connection = driver.connection
    return hasattr(driver, "_execute_gen") and hasattr(connection, "lock") and not connection.pgconn.pipeline_status
