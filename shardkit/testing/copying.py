"""How do the rows of all databases get into one plain database?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections, transaction

from shardkit.orm.table_rows import delete_rows, insert_rows, rows_by_key
from shardkit.routing import owners
from shardkit.routing.registry import Kind, databases_of, placement_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Model

    from shardkit.orm.table_rows import Key, Row
    from shardkit.topology.names import Alias


def copy_tables(models: Iterable[type[Model]], alias: str) -> None:
    """Let the tables of *models* on the database *alias* hold the rows of all databases, and no others.

    Only what differs is written. A test is one transaction, in which nothing can take away what was deleted: every row
    that came again and again would make each query slower.
    """
    changes = [(model, *_changes(model, alias)) for model in models]
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.constraint_checks_disabled():
        for model, gone, _new in changes:
            delete_rows(model, gone, alias)
        for model, _gone, new in changes:
            insert_rows(model, new, alias)


def _changes(model: type[Model], alias: str) -> tuple[list[Key], list[Row]]:
    """Return the keys of the rows that have to leave *alias*, and the rows that have to come."""
    there = {key: repr(row) for key, row in rows_by_key(model, alias).items()}
    wanted = {key: row for source in sources_of(model) for key, row in rows_by_key(model, source).items()}
    new = {key: row for key, row in wanted.items() if there.get(key) != repr(row)}
    return [key for key in there if key not in wanted or key in new], list(new.values())


def sources_of(model: type[Model]) -> tuple[Alias, ...]:
    """Return the databases that have each row of *model* once."""
    return owners.all_aliases() if placement_of(model).kind is Kind.SHARDED else databases_of(model)[:1]
