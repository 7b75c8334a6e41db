"""Which databases is each shard made of?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from shardkit.errors import UnknownShard
from shardkit.topology.names import Alias, ShardId


class Role(StrEnum):
    """What a database does for its shard."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A primary and its replicas, holding a disjoint set of buckets."""

    name: ShardId
    primary: Alias
    replicas: tuple[Alias, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Every shard of the cluster, in the order of the settings."""

    shards: tuple[Shard, ...] = ()

    @cached_property
    def by_name(self) -> dict[ShardId, Shard]:
        """Map each shard's name to the shard."""
        return {shard.name: shard for shard in self.shards}

    @cached_property
    def by_primary(self) -> dict[Alias, Shard]:
        """Map the alias of each primary to its shard."""
        return {shard.primary: shard for shard in self.shards}

    @cached_property
    def primaries(self) -> tuple[Alias, ...]:
        """List the aliases of the primaries, in the order of the settings."""
        return tuple(shard.primary for shard in self.shards)

    @cached_property
    def positions(self) -> dict[Alias, int]:
        """Map the alias of each primary to its place in the settings."""
        return {alias: position for position, alias in enumerate(self.primaries)}

    def shard(self, name: ShardId) -> Shard:
        """Return the shard called *name*, or raise `UnknownShard`."""
        try:
            return self.by_name[name]
        except KeyError:
            raise UnknownShard(name, ", ".join(self.by_name) or "none") from None
