"""Which shard owns each bucket?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, groupby, repeat

from shardkit.errors import ShardMapUnreadable, UnknownBucket
from shardkit.topology.names import MAX_BUCKETS, BucketId, ShardId


@dataclass(frozen=True, kw_only=True)
class ShardMap:
    """The owner of every bucket, at one version."""

    version: int
    owners: tuple[ShardId, ...]  # indexed by bucket

    @property
    def buckets(self) -> int:
        """Count the buckets of the cluster."""
        return len(self.owners)

    @cached_property
    def shards(self) -> frozenset[ShardId]:
        """Name the shards that own a bucket."""
        return frozenset(self.owners)

    def owner_of(self, bucket: BucketId) -> ShardId:
        """Return the shard that owns *bucket*, or raise `UnknownBucket`."""
        if 0 <= bucket < len(self.owners):
            return self.owners[bucket]
        raise UnknownBucket(bucket, len(self.owners))

    def buckets_of(self, shard: ShardId) -> frozenset[BucketId]:
        """Return the buckets that *shard* owns: none for a shard that was just added."""
        return self._by_shard.get(shard, frozenset())

    def moving(self, bucket: BucketId, *, to: ShardId) -> ShardMap:
        """Return the next version, in which *to* owns *bucket*."""
        self.owner_of(bucket)
        owners = (*self.owners[:bucket], to, *self.owners[bucket + 1 :])
        return replace(self, version=self.version + 1, owners=owners)

    @cached_property
    def _by_shard(self) -> dict[ShardId, frozenset[BucketId]]:
        buckets: dict[ShardId, set[BucketId]] = {}
        for bucket, owner in enumerate(self.owners):
            buckets.setdefault(owner, set()).add(BucketId(bucket))
        return {owner: frozenset(owned) for owner, owned in buckets.items()}


def even_split(shards: Sequence[ShardId], buckets: int) -> ShardMap:
    """Give each of *shards* one run of buckets, as equal as they can be: the first map of a cluster."""
    return ShardMap(version=1, owners=tuple(shards[bucket * len(shards) // buckets] for bucket in range(buckets)))


def dumps(shard_map: ShardMap) -> str:
    """Write the owners as JSON: a list of ``[shard, how many buckets in a row]``."""
    runs = [(owner, len(list(run))) for owner, run in groupby(shard_map.owners)]
    return json.dumps(runs, separators=(",", ":"), ensure_ascii=False)


def loads(text: str, *, version: int) -> ShardMap:
    """Read the map *version* from what `dumps` wrote, or raise `ShardMapUnreadable`."""
    try:
        runs = [_read_run(run) for run in json.loads(text)]
    except (TypeError, ValueError) as error:
        raise ShardMapUnreadable(version, str(error)) from None
    buckets = sum(length for _, length in runs)
    if not 0 < buckets <= MAX_BUCKETS:
        raise ShardMapUnreadable(version, f"it has {buckets} buckets")
    return ShardMap(version=version, owners=tuple(chain.from_iterable(repeat(*run) for run in runs)))


def _read_run(run: object) -> tuple[ShardId, int]:
    match run:
        case [str() as owner, int() as length] if length > 0:
            return ShardId(owner), length
        case _:
            raise ValueError("each entry is a shard's name and a positive number of buckets")
