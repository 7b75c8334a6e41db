"""How do the rows of all databases get into one plain database?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections, transaction

from shardkit.orm.table_rows import insert_rows, rows_on
from shardkit.routing import owners
from shardkit.routing.registry import Kind, databases_of, placement_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Model

    from shardkit.topology.names import Alias


def copy_tables(models: Iterable[type[Model]], alias: str) -> None:
    """Let the tables of *models* on the database *alias* hold the rows of all databases, and no others."""
    tables = list(models)
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.constraint_checks_disabled():
        for model in tables:
            _empty(model, connection)
        for model in tables:
            for source in sources_of(model):
                for rows in rows_on(model, source):
                    insert_rows(model, rows, alias)


def sources_of(model: type[Model]) -> tuple[Alias, ...]:
    """Return the databases that have each row of *model* once."""
    return owners.all_aliases() if placement_of(model).kind is Kind.SHARDED else databases_of(model)[:1]


def _empty(model: type[Model], connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: S608
