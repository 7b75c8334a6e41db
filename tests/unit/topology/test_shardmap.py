"""Does the shard map name one owner for every bucket, before and after each change?"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkit.errors import ShardMapUnreadable, UnknownBucket
from shardkit.topology.names import BucketId, ShardId
from shardkit.topology.shardmap import ShardMap, dumps, even_split, loads

EAST, WEST, NORTH = ShardId("east"), ShardId("west"), ShardId("north")
SHARDS = st.lists(st.text(min_size=1).map(ShardId), min_size=1, max_size=9, unique=True)
MAPS = st.builds(
    lambda version, owners: ShardMap(version=version, owners=tuple(owners)),
    st.integers(1),
    st.lists(st.sampled_from([EAST, WEST, NORTH, ShardId("東")]), min_size=1, max_size=40),
)


def test_the_first_map_gives_each_shard_one_run_of_buckets():
    first = even_split([EAST, WEST, NORTH], 8)

    assert first == ShardMap(version=1, owners=(EAST, EAST, EAST, WEST, WEST, WEST, NORTH, NORTH))


@given(SHARDS, st.integers(1, 4096))
def test_an_even_split_is_even(shards, buckets):
    owned = Counter(even_split(shards, buckets).owners)

    assert max(owned.values()) - min(owned[shard] for shard in shards) <= 1


@given(MAPS)
def test_every_bucket_has_one_owner(shard_map):
    assert shard_map.buckets == sum(len(shard_map.buckets_of(shard)) for shard in shard_map.shards)
    assert all(
        shard_map.owner_of(bucket) == shard for shard in shard_map.shards for bucket in shard_map.buckets_of(shard)
    )


def test_a_shard_that_was_just_added_owns_nothing():
    assert even_split([EAST], 4).buckets_of(WEST) == frozenset()


@given(MAPS, st.data())
def test_a_move_changes_one_bucket_and_the_version(shard_map, data):
    bucket = BucketId(data.draw(st.integers(0, shard_map.buckets - 1)))

    moved = shard_map.moving(bucket, to=WEST)

    assert moved.version == shard_map.version + 1
    assert moved.owner_of(bucket) == WEST
    changed = [index for index, pair in enumerate(zip(shard_map.owners, moved.owners, strict=True)) if len({*pair}) > 1]
    assert changed in ([], [bucket])


@pytest.mark.parametrize("bucket", [-1, 4])
def test_a_bucket_that_the_cluster_does_not_have_is_refused(bucket):
    shard_map = even_split([EAST, WEST], 4)

    with pytest.raises(UnknownBucket, match=f"no bucket {bucket}: the cluster has 4"):
        shard_map.owner_of(BucketId(bucket))
    with pytest.raises(UnknownBucket):
        shard_map.moving(BucketId(bucket), to=EAST)


@given(MAPS)
def test_a_map_survives_the_catalog(shard_map):
    assert loads(dumps(shard_map), version=shard_map.version) == shard_map


def test_the_catalog_holds_runs():
    assert dumps(even_split([EAST, WEST], 1024)) == '[["east",512],["west",512]]'


@pytest.mark.parametrize(
    "text", ["", "{", "7", "null", '["east"]', '[["east",0]]', '[["east",-1]]', '[[1,"east"]]', "[]", '[["east",4097]]']
)
def test_a_damaged_map_is_refused(text):
    with pytest.raises(ShardMapUnreadable, match="Version 3 of the shard map cannot be read"):
        loads(text, version=3)
