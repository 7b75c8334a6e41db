"""How do the rows of all databases get into one plain database?

Rows travel as the drivers give and take them, so that no field, `auto_now` or signal changes a value on the way.
"""

from __future__ import annotations

import math
from datetime import time
from typing import TYPE_CHECKING, Any, Final

from django.db import connections, transaction

from shardkit.routing import owners
from shardkit.routing.registry import Kind, databases_of, placement_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import Model

    from shardkit.topology.names import Alias

#: Rows that are read and written at a time.
CHUNK_ROWS: Final = 500


def copy_tables(models: Iterable[type[Model]], alias: str) -> None:
    """Let the tables of *models* on the database *alias* hold the rows of all databases, and no others."""
    tables = list(models)
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.constraint_checks_disabled():
        for model in tables:
            _delete(model, connection)
        for model in tables:
            for rows in _rows(model):
                _insert(model, rows, connection)


def sources_of(model: type[Model]) -> tuple[Alias, ...]:
    """Return the databases that have each row of *model* once."""
    return owners.all_aliases() if placement_of(model).kind is Kind.SHARDED else databases_of(model)[:1]


def _rows(model: type[Model]) -> Iterator[list[Any]]:
    for alias in sources_of(model):
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {_columns(model, connection)} FROM {_table(model, connection)}")  # noqa: S608
            while rows := cursor.fetchmany(CHUNK_ROWS):
                yield rows


def _delete(model: type[Model], connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {_table(model, connection)}")  # noqa: S608


def _insert(model: type[Model], rows: list[Any], connection: Any) -> None:
    places = ", ".join(["%s"] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {_table(model, connection)} ({_columns(model, connection)}) VALUES ({places})",  # noqa: S608
            [[_adapted(value, connection) for value in row] for row in rows],
        )


def _adapted(value: Any, connection: Any) -> Any:
    """Turn what a driver gave into what it takes, unchanged.

    SQLite's gives times of day and takes none; the literal -0.0 is an exact number to PostgreSQL, and loses its sign.
    """
    if isinstance(value, float) and not value and math.copysign(1, value) < 0:
        return "-0.0"
    return connection.ops.adapt_timefield_value(value) if isinstance(value, time) else value


def _table(model: type[Model], connection: Any) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


def _columns(model: type[Model], connection: Any) -> str:
    """Name the columns that can be written: the database fills the generated ones."""
    fields = (field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False))
    return ", ".join(connection.ops.quote_name(field.column) for field in fields)
