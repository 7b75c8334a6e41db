"""May this database answer together with the others?

Rows of several databases become one answer only where all of them understand a value in the same way: as the same
moment, and in the same place among other texts. What decides that hardly ever changes, so each is seldom asked.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit.consistency.reading import connection_of
from shardkit.errors import DatabasesDiffer
from shardkit.orm.remembering import Remembered
from shardkit.routing.transactions import join
from shardkit.topology.names import LOGICAL, Alias
from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: The databases that were found to be like the logical one.
_alike: Final[Remembered[bool]] = Remembered()


def reach(primary: Alias) -> Any:
    """Return the connection that answers for *primary* in a statement over several databases.

    It is in the caller's transaction, unless it is one to a replica. Raise `DatabasesDiffer` if it cannot answer
    together with the others.
    """
    connection = connection_of(primary)
    alias: Alias = connection.alias
    if alias == primary:
        join(alias)
    _alike.answer(alias, lambda: _is_alike(connection))
    return connection


def _is_alike(connection: BaseDatabaseWrapper) -> bool:
    wanted = _traits(connections[LOGICAL])
    for trait, value in _traits(connection).items():
        if value != wanted[trait]:
            raise DatabasesDiffer(connection.alias, trait, value, wanted[trait])
    return True


def _traits(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Say in which zone local times are, and how texts compare where nothing else is said."""
    sql = vendor_of(connection).text_order_sql
    order = "" if sql is None else asked(connection, sql)
    return {"TIME_ZONE": str(connection.timezone_name), "default collation": order}


def asked(connection: BaseDatabaseWrapper, sql: str) -> str:
    """Return the one value that the database answers; the driver asks, since nobody counts or logs this statement."""
    connection.ensure_connection()
    driver: Any = connection.connection
    with connection.wrap_database_errors, closing(driver.cursor()) as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])
