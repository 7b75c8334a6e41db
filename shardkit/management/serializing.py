"""What must differ when a fixture is about a cluster?

Sharded and placed models belong to the logical database then, though it has no such tables; the catalog belongs to one
cluster and no fixture; and ids that came with a fixture must not be given again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connections, models

from shardkit.catalog import idranges
from shardkit.routing.registry import Kind, databases_of, placement_of, serializing
from shardkit.topology.ids import sequence_of_id
from shardkit.topology.names import LOGICAL, Alias

#: The app of the catalog.
CATALOG_APP = "shardkit"

# The shards are asked as they are: the planner has nothing to add.
HIGHEST_SQL = "SELECT MAX({column}) FROM {table}"


@contextmanager
def logical_models(database: str) -> Iterator[None]:
    """Let every model belong to *database* inside the block, if that is the logical one."""
    token = serializing.set(database == LOGICAL)
    try:
        yield
    finally:
        serializing.reset(token)


def keep_ids_unique(loaded: Iterable[type[models.Model]]) -> None:
    """Give no id of the *loaded* models' rows again."""
    for model in loaded:
        placement = placement_of(model)
        pk = model._meta.pk
        if placement.kind is not Kind.SHARDED or not isinstance(pk, models.AutoField):
            continue
        highest = max((_highest(model, alias) for alias in databases_of(model)), default=0)
        if highest > 0:
            carries = getattr(pk, "carries_bucket", None) == "id"
            idranges.raise_to(model._meta.label_lower, sequence_of_id(highest) if carries else highest)


def _highest(model: type[models.Model], alias: Alias) -> int:
    """Return the highest id of *model* on *alias*; 0 without a row."""
    connection = connections[alias]
    quote = connection.ops.quote_name
    sql = HIGHEST_SQL.format(column=quote(str(model._meta.pk.column)), table=quote(model._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] or 0
