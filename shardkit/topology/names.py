"""What are the things of a topology called?

Three strings and numbers that must not be swapped are three types.
"""

from __future__ import annotations

from typing import Final, NewType

#: The name of a shard: a key of ``SHARDKIT["SHARDS"]``.
ShardId = NewType("ShardId", str)
#: One of the classes of hashed keys, ``0 <= bucket < bucket count``.
BucketId = NewType("BucketId", int)
#: A key of ``settings.DATABASES``.
Alias = NewType("Alias", str)

#: The alias of the logical connection, and of the database that holds global tables and the catalog.
LOGICAL: Final = Alias("default")
#: How many buckets a cluster gets when ``SHARDKIT["BUCKETS"]`` does not say.
DEFAULT_BUCKETS: Final = 1024
#: Ids carry their bucket in 12 bits, so no cluster has more buckets than this.
MAX_BUCKETS: Final = 4096
