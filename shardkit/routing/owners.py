"""Which database owns a bucket, and the row of this key?"""

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
    """The alias of every bucket's primary, for one shard map."""

    __slots__ = ("aliases", "shard_map")

    def __init__(self) -> None:
        self.shard_map: ShardMap | None = None
        self.aliases: tuple[Alias, ...] = ()

    def current(self) -> tuple[Alias, ...]:
        shard_map = store.current_map()
        if shard_map is not self.shard_map:
            topology = conf.get_settings().topology
            self.aliases = tuple(topology.shard(name).primary for name in shard_map.owners)
            self.shard_map = shard_map
        return self.aliases


_owners = _Owners()


def owners() -> tuple[Alias, ...]:
    """Return the alias of the primary that owns each bucket, indexed by bucket."""
    return _owners.current()


def alias_of(bucket: BucketId) -> Alias:
    """Return the alias of the primary that owns *bucket*."""
    return _owners.current()[bucket]


def all_aliases() -> tuple[Alias, ...]:
    """Return the primaries that may hold rows, in the order of the settings."""
    return conf.get_settings().topology.primaries


def in_order(aliases: Iterable[Alias]) -> tuple[Alias, ...]:
    """Return the primaries *aliases* in the order of the settings."""
    return tuple(sorted(aliases, key=conf.get_settings().topology.positions.__getitem__))


def find(locator: Locator, values: tuple[Any, ...]) -> Alias | None:
    """Return the primary that holds the rows whose *locator* columns equal *values*, None when no row can."""
    aliases = _owners.current()
    bucket = locator.function.find(values, len(aliases))
    return None if bucket is None else aliases[bucket]
