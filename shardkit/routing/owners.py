"""Which database owns a bucket, and the row of this key?

All that is said here is what the shard map of the catalog says: a shard that owns no bucket holds no rows, and one that
owns some and is not in the settings is an error, whatever is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardkit import conf
from shardkit.catalog import store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shardkit.routing.registry import Locator
    from shardkit.topology.names import Alias, BucketId
    from shardkit.topology.shardmap import ShardMap


class _Owners:
    """The primaries that own buckets, by one shard map."""

    __slots__ = ("each", "of_buckets", "shard_map")

    def __init__(self) -> None:
        self.shard_map: ShardMap | None = None
        #: The owner of every bucket.
        self.of_buckets: tuple[Alias, ...] = ()
        #: Each owner once, in the order of the settings.
        self.each: tuple[Alias, ...] = ()

    def current(self) -> _Owners:
        """Return itself, by the current map."""
        shard_map = store.current_map()
        if shard_map is not self.shard_map:
            topology = conf.get_settings().topology
            self.of_buckets = tuple(topology.shard(name).primary for name in shard_map.owners)
            self.each = in_order(set(self.of_buckets))
            self.shard_map = shard_map
        return self


_owners = _Owners()


def owners() -> tuple[Alias, ...]:
    """Return the alias of the primary that owns each bucket, indexed by bucket."""
    return _owners.current().of_buckets


def alias_of(bucket: BucketId) -> Alias:
    """Return the alias of the primary that owns *bucket*."""
    return _owners.current().of_buckets[bucket]


def all_aliases() -> tuple[Alias, ...]:
    """Return the primaries that may hold rows of sharded models, in the order of the settings."""
    return _owners.current().each


def all_copies() -> tuple[Alias, ...]:
    """Return the primaries that hold a copy of each reference row beside `default`: those without buckets too.

    Buckets can move to any of them, and then its copies are read. A shard that only the map knows would miss the write.
    """
    primaries = conf.get_settings().topology.primaries
    if primaries:
        _owners.current()
    return primaries


def in_order(aliases: Iterable[Alias]) -> tuple[Alias, ...]:
    """Return the primaries *aliases* in the order of the settings."""
    return tuple(sorted(aliases, key=conf.get_settings().topology.positions.__getitem__))


def find(locator: Locator, values: tuple[Any, ...]) -> Alias | None:
    """Return the primary that holds the rows whose *locator* columns equal *values*, None when no row can."""
    aliases = _owners.current().of_buckets
    bucket = locator.function.find(values, len(aliases))
    return None if bucket is None else aliases[bucket]
