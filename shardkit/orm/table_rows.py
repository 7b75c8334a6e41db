"""How do the rows of one table get from one database to another, unchanged?

They travel as the drivers give and take them, so that no field, `auto_now`, manager or signal changes a value on the
way, and no planner sends them elsewhere.
"""

from __future__ import annotations

import math
from datetime import time
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from django.db.models import Model

#: Rows that are read and written at a time.
CHUNK_ROWS: Final = 500

Row = tuple[Any, ...]
Key = tuple[Any, ...]


def rows_on(model: type[Model], alias: str) -> Iterator[list[Row]]:
    """Yield the rows of *model*'s own table on one database, some at a time."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_columns(model, connection)} FROM {_table(model, connection)}")  # noqa: S608
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield [tuple(map(_comparable, row)) for row in rows]


def rows_by_key(model: type[Model], alias: str) -> dict[Key, Row]:
    """Return the rows of *model*'s own table on one database by their primary keys."""
    places = _key_places(model)
    return {tuple(row[place] for place in places): row for rows in rows_on(model, alias) for row in rows}


def insert_rows(model: type[Model], rows: Sequence[Row], alias: str) -> None:
    """Insert *rows*, all columns of them."""
    connection = connections[alias]
    places = ", ".join(["%s"] * len(_fields(model)))
    _write(
        f"INSERT INTO {_table(model, connection)} ({_columns(model, connection)}) VALUES ({places})",  # noqa: S608
        rows,
        connection,
    )


def update_rows(model: type[Model], rows: Sequence[Row], alias: str) -> None:
    """Let the rows that have the primary keys of *rows* be like them."""
    connection = connections[alias]
    keys, names = _key_places(model), _names(model, connection)
    others = [place for place in range(len(names)) if place not in keys]
    values = ", ".join(f"{names[place]} = %s" for place in others)
    _write(
        f"UPDATE {_table(model, connection)} SET {values} WHERE {_is_key(model, connection)}",  # noqa: S608
        [[row[place] for place in (*others, *keys)] for row in rows],
        connection,
    )


def delete_rows(model: type[Model], keys: Iterable[Key], alias: str) -> None:
    """Delete the rows that have these primary *keys*."""
    connection = connections[alias]
    _write(
        f"DELETE FROM {_table(model, connection)} WHERE {_is_key(model, connection)}",  # noqa: S608
        list(keys),
        connection,
    )


def _write(sql: str, parameters: Sequence[Sequence[Any]], connection: Any) -> None:
    with connection.cursor() as cursor:
        for start in range(0, len(parameters), CHUNK_ROWS):
            chunk = parameters[start : start + CHUNK_ROWS]
            cursor.executemany(sql, [[_adapted(value, connection) for value in row] for row in chunk])


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _adapted(value: Any, connection: Any) -> Any:
    """Turn what a driver gave into what it takes, unchanged.

    SQLite's gives times of day and takes none; the literal -0.0 is an exact number to PostgreSQL, and loses its sign.
    """
    if isinstance(value, float) and not value and math.copysign(1, value) < 0:
        return "-0.0"
    return connection.ops.adapt_timefield_value(value) if isinstance(value, time) else value


def _fields(model: type[Model]) -> list[Any]:
    """List the fields whose columns can be written: the database fills the generated ones."""
    return [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]


def _key_places(model: type[Model]) -> list[int]:
    fields = _fields(model)
    return [fields.index(field) for field in model._meta.pk_fields]


def _is_key(model: type[Model], connection: Any) -> str:
    names = _names(model, connection)
    return " AND ".join(f"{names[place]} = %s" for place in _key_places(model))


def _table(model: type[Model], connection: Any) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


def _columns(model: type[Model], connection: Any) -> str:
    return ", ".join(_names(model, connection))


def _names(model: type[Model], connection: Any) -> list[str]:
    return [str(connection.ops.quote_name(field.column)) for field in _fields(model)]
