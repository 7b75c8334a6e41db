"""What does a Django project import to declare where its rows live?"""

from __future__ import annotations

from shardkit.catalog.lookups import ByLookup
from shardkit.catalog.tables import DirectoryEntry, IdRange, ShardMapVersion
from shardkit.orm.fields import ShardedAutoField, ShardedUUIDField, ShardKeyCharField
from shardkit.orm.models import PlacedModel, ReferenceModel, ShardedModel
from shardkit.orm.query import ReplicaManager, ShardedManager, ShardedQuerySet
from shardkit.topology.placements import ByHash, ByList, ByRange

__all__ = [
    "ByHash",
    "ByList",
    "ByLookup",
    "ByRange",
    "DirectoryEntry",
    "IdRange",
    "PlacedModel",
    "ReferenceModel",
    "ReplicaManager",
    "ShardKeyCharField",
    "ShardMapVersion",
    "ShardedAutoField",
    "ShardedManager",
    "ShardedModel",
    "ShardedQuerySet",
    "ShardedUUIDField",
]
