"""What must differ when a fixture is about a cluster?

Sharded and placed models belong to the logical database then, though it has no such tables; the catalog belongs to one
cluster and no fixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.core.management.color import no_style
from django.db import connections, models

from shardkit.routing.registry import Kind, placement_of, serializing
from shardkit.topology.names import LOGICAL, Alias

#: The app of the catalog.
CATALOG_APP = "shardkit"


@contextmanager
def logical_models(database: str) -> Iterator[None]:
    """Let every model belong to *database* inside the block, if that is the logical one."""
    token = serializing.set(database == LOGICAL)
    try:
        yield
    finally:
        serializing.reset(token)


def reset_placed_sequences(loaded: Iterable[type[models.Model]]) -> None:
    """Begin the ids of the placed among the *loaded* models above those that came with their rows."""
    by_alias: dict[Alias, list[type[models.Model]]] = {}
    for model in loaded:
        placement = placement_of(model)
        if placement.kind is Kind.PLACED:
            by_alias.setdefault(placement.alias, []).append(model)
    for alias, placed in by_alias.items():
        connection = connections[alias]
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), placed):
                cursor.execute(statement)
