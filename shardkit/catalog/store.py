"""Which shard map do all processes agree on?

The newest row of `ShardMapVersion` on the default database. A process reads it once and keeps it; a new version is
published by compare-and-set: versions are primary keys, so of two publishers of one version the database refuses one.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import IntegrityError, OperationalError, ProgrammingError, connections, transaction

from shardkit import conf
from shardkit.catalog.names import SHARD_MAP_TABLE
from shardkit.catalog.statements import own_statements
from shardkit.errors import (
    BucketCountChanged,
    ShardMapConflict,
    ShardMapMissing,
    ShardMapTooNew,
    ShardMapUnreadable,
    UnknownShard,
)
from shardkit.topology import shardmap
from shardkit.topology.names import LOGICAL
from shardkit.topology.shardmap import ShardMap

#: The layout of the stored map that this code writes, and the newest that it can read.
FORMAT: Final = 1

# Plain SQL, because the planner of every other query asks for the map: its own question must not need one.
NEWEST_SQL = "SELECT version, format, bucket_count, owners FROM {table} ORDER BY version DESC LIMIT 1"
PREVIOUS_SQL = "SELECT MAX(version) FROM {table} WHERE version < %s"


class _Slot:
    """Where this process keeps the map. A reader that was overtaken by `reset_map` fills a slot nobody looks at."""

    __slots__ = ("shard_map",)

    def __init__(self) -> None:
        self.shard_map: ShardMap | None = None


_slot = _Slot()


def current_map() -> ShardMap:
    """Return the shard map, the same object until it changes.

    Raise a `CatalogError`, or `UnknownShard` where the settings lack an owner; each names the remedy.
    """
    slot = _slot
    if slot.shard_map is None:
        slot.shard_map = read_map()
    return slot.shard_map


def reset_map() -> None:
    """Forget the map that this process keeps, so that the next question reads the catalog."""
    global _slot  # noqa: PLW0603 - replaced as a whole, which needs no lock
    _slot = _Slot()


def read_map() -> ShardMap:
    """Read the newest map from the catalog and hold it against the settings."""
    row = _newest_row()
    if row is None:
        raise ShardMapMissing(LOGICAL)
    version, stored_format, bucket_count, owners = row
    if stored_format > FORMAT:
        raise ShardMapTooNew(stored_format, FORMAT)
    shard_map = shardmap.loads(owners, version=version)
    if shard_map.buckets != bucket_count:
        raise ShardMapUnreadable(version, f"it places {shard_map.buckets} of {bucket_count} buckets")
    _require_fit(shard_map)
    return shard_map


def publish(shard_map: ShardMap, expected_version: int) -> None:
    """Make *shard_map* the current one if *expected_version* still is, or else raise `ShardMapConflict`.

    Other processes see it once the caller's transaction has committed, and this process too.
    """
    _require_fit(shard_map)
    current_map()  # kept now, or else a read inside this transaction could keep what is then rolled back
    try:
        with transaction.atomic(using=LOGICAL):
            _insert(shard_map)  # before the question: on SQLite a reader that turns writer can fail
            if shard_map.version != expected_version + 1 or _version_before(shard_map.version) != expected_version:
                raise ShardMapConflict(shard_map.version)
    except IntegrityError as error:
        raise ShardMapConflict(shard_map.version) from error
    transaction.on_commit(reset_map, using=LOGICAL)


def create_first_map() -> None:
    """Split the buckets evenly over the shards of the settings, unless there is a map or no catalog to write it to.

    Several first migrates may do so at once: they agree on whichever came first.
    """
    settings = conf.get_settings()
    if not settings.topology.shards or not _catalog_exists():
        return
    if _newest_row() is None:
        first = shardmap.even_split([shard.name for shard in settings.topology.shards], settings.buckets)
        try:
            with transaction.atomic(using=LOGICAL):
                _insert(first)
        except IntegrityError:
            pass  # another migrate was first
    transaction.on_commit(reset_map, using=LOGICAL)


def _newest_row() -> tuple[Any, ...] | None:
    """Return the newest version, None when there is none or not even a table."""
    try:
        with transaction.atomic(using=LOGICAL):  # a failed statement must not break the caller's transaction
            return _ask(NEWEST_SQL)
    except (OperationalError, ProgrammingError):
        if _catalog_exists():
            raise
        return None


def _version_before(version: int) -> int | None:
    row = _ask(PREVIOUS_SQL, version)
    return None if row is None else row[0]


@own_statements()
def _ask(sql: str, *parameters: int) -> tuple[Any, ...] | None:
    connection = connections[LOGICAL]
    table = connection.ops.quote_name(SHARD_MAP_TABLE)
    with connection.cursor() as cursor:
        cursor.execute(sql.format(table=table), parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _insert(shard_map: ShardMap) -> None:
    from shardkit.catalog.tables import ShardMapVersion

    ShardMapVersion.objects.using(LOGICAL).create(
        version=shard_map.version, format=FORMAT, bucket_count=shard_map.buckets, owners=shardmap.dumps(shard_map)
    )


def _catalog_exists() -> bool:
    return SHARD_MAP_TABLE in connections[LOGICAL].introspection.table_names()


def _require_fit(shard_map: ShardMap) -> None:
    """Raise what is wrong when the settings have another number of buckets, or lack a shard that owns some."""
    settings = conf.get_settings()
    if shard_map.buckets != settings.buckets:
        raise BucketCountChanged(settings.buckets, shard_map.buckets)
    known = settings.topology.by_name
    for name in sorted(shard_map.shards - known.keys()):
        raise UnknownShard(
            name,
            ", ".join(known) or "none",
            f"The shard map gives it {len(shard_map.buckets_of(name))} buckets, so its rows are there: put it back, "
            "and move its buckets away before you remove it.",
        )


conf.settings_reset.append(reset_map)
