"""Does the topology find each shard by its name and by its database?"""

from __future__ import annotations

import pytest

from shardkit.errors import UnknownShard
from shardkit.topology.names import Alias, ShardId
from shardkit.topology.nodes import Shard, Topology

EAST = Shard(name=ShardId("east"), primary=Alias("east_primary"), replicas=(Alias("east_replica"),))
WEST = Shard(name=ShardId("west"), primary=Alias("west_primary"))
COASTS = Topology(shards=(EAST, WEST))


def test_a_shard_is_found_by_its_name_and_by_its_primary():
    assert COASTS.shard(ShardId("west")) == WEST
    assert COASTS.by_primary[Alias("east_primary")] == EAST


def test_the_primaries_stand_in_the_order_of_the_settings():
    assert COASTS.primaries == ("east_primary", "west_primary")


@pytest.mark.parametrize(("topology", "known"), [(COASTS, "east, west"), (Topology(), "none")], ids=["two", "none"])
def test_an_unknown_shard_is_refused_with_the_known_ones(topology, known):
    with pytest.raises(UnknownShard, match=f"no shard 'north'. .* has: {known}"):
        topology.shard(ShardId("north"))
