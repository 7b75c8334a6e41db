"""The same rows twice: as one table of one database, and spread over two databases."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.shadows import Budget, Column, Shadow, Shadowed, Source, shadowed
from shardkit.topology.names import Alias
from tests.integration.shadows import nasty

NAME: Final = "nasty rows"
SHARDS: Final = (Alias("shard_0"), Alias("shard_1"))


def coordinator() -> BaseDatabaseWrapper:
    return connections["default"]


@contextmanager
def two_worlds() -> Iterator[None]:
    """Hold the nasty rows inside the block: all on the oracle, and every other one on each of two shards."""
    vendor = connections["oracle"].vendor
    rows = nasty.rows_of(vendor)
    places = {Alias("oracle"): rows, SHARDS[0]: rows[::2], SHARDS[1]: rows[1::2]}
    nasty.create_types(connections["default"])
    for alias, here in places.items():
        nasty.create_types(connections[alias])
        nasty.create(connections[alias], NAME, here)
    yield
    for alias in places:
        drop(connections[alias])


def drop(connection: BaseDatabaseWrapper) -> None:
    """Drop the table where a rollback does not."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TEMPORARY TABLE {connection.ops.quote_name(NAME)}")


def shadow(*, is_typed: bool = True, kinds: Sequence[nasty.Kind] | None = None) -> Shadow:
    """Return the shadow of the nasty table."""
    quoted = coordinator().ops.quote_name
    kinds = nasty.KINDS[coordinator().vendor] if kinds is None else kinds
    columns = (Column("place", "integer"), *(Column(kind.name, kind.type, kind.collation) for kind in kinds))
    if not is_typed:
        columns = tuple(replace(column, type=None) for column in columns)
    names = ", ".join(quoted(column.name) for column in columns)
    sql = f"SELECT {names} FROM {quoted(NAME)}"
    return Shadow(NAME, columns, tuple(Source(alias, sql) for alias in SHARDS), primary_key="place")


def asked(connection: BaseDatabaseWrapper, sql: str, shadows: Shadowed | None = None) -> list[Any]:
    """Return the rows of *sql*, as the driver gives them."""
    with connection.cursor() as cursor:
        if shadows is None:
            cursor.execute(sql, ())
        else:
            shadows.execute(cursor, sql)
        return list(cursor.fetchall())


def in_both_worlds(sql: str, shadow: Shadow, **options: Any) -> tuple[list[Any], list[Any]]:
    """Return the rows of *sql* on the oracle, and over *shadow*."""
    expected = asked(connections["oracle"], sql)
    with shadowed(coordinator(), [shadow], Budget(10**6, 10**9), **options) as shadows:
        return expected, asked(coordinator(), sql, shadows)
