"""What can go wrong, by name?

::

    ShardkitError
    ├── ShardKeyRequired      a write names no shard key
    ├── ShardKeyNotCovered    no range, list entry or directory row covers the key
    ├── ShardKeyUnhashable    the key's Python type has no canonical text
    ├── ShardKeyImmutable     a saved row's key was changed to another place
    ├── IdBelongsElsewhere    an id carries another bucket than its row's key
    ├── WrongShard            .using() names a shard that does not own the row
    ├── IdCarriesNoBucket     an id that shardkit did not make
    ├── IdsExhausted          the sequence of an id has reached its end
    ├── BucketNotInSql        a vendor cannot compute a column's bucket exactly
    ├── UnsupportedDatabase   a database of a vendor that shardkit does not know
    ├── InvalidSharding       a model's sharding attribute contradicts itself
    ├── UnknownShard          a name that the topology does not hold
    ├── UnknownBucket         a bucket that the cluster does not have
    ├── ShardUnavailable      a shard's database cannot be reached
    ├── ShardDeadlineExceeded some shards had not answered in time
    ├── GatherLimitExceeded   a query needs more rows in one place than the settings allow
    ├── FanoutBudgetExceeded  a request sends more statements to shards than its budget allows
    ├── CursorInvalid         a cursor is damaged, forged, or of another query
    ├── OrderNotPageable      the order of a query is none that a cursor could go on from
    ├── DatabasesDiffer       two databases understand the same value differently
    ├── CoordinatorOutOfDate  the coordinator does not read what it has to read today
    ├── NoFreshReplica        no replica is fresh enough, and the read asked to be refused then
    ├── PrimaryReadsExceeded  all replicas are lost, and the primary may take no more reads
    ├── ReplicaIsReadOnly     a write names a replica
    ├── PrimaryDemoted        the alias of a primary leads to a database that takes no writes
    ├── PositionUnknown       a primary numbers no transactions, so nobody can tell which a replica has
    ├── CopyRefused           a file of SQLite cannot become, or have, the replica that was named
    ├── CrossShardQuery       the query needs several shards in a way not yet built
    ├── CrossDatabaseQuery    the query joins tables that live on different databases
    ├── MixedDatabases        two querysets of different databases were combined
    ├── MigrationLeavesDatabase  a data migration of one database reached for another
    ├── CopiesWouldDiffer     a data migration writes one copy of a reference model and not the others
    ├── PartialCommit         some shards committed and a later one failed
    ├── LookupCacheUnanswered a key cannot be moved while the cache of lookups does not answer
    ├── SettingsInvalid       SHARDKIT cannot be understood, so nothing can go on
    ├── EnvironmentInvalid    an environment variable read by from_env() cannot be understood
    └── CatalogError
        ├── ShardMapMissing      the catalog holds no shard map
        ├── ShardMapTooNew       the catalog was written by a newer shardkit
        ├── ShardMapUnreadable   the catalog's shard map is damaged
        ├── ShardMapConflict     somebody else published this map version first
        └── BucketCountChanged   SHARDKIT["BUCKETS"] differs from the catalog

Each error is also Django's class of that meaning, names where it happened and what to do, and pickles.
"""

from __future__ import annotations

from shardkit.errors.databases import (
    CoordinatorOutOfDate,
    CopiesWouldDiffer,
    DatabasesDiffer,
    LookupCacheUnanswered,
    MigrationLeavesDatabase,
    PartialCommit,
    ShardDeadlineExceeded,
    ShardUnavailable,
    UnsupportedDatabase,
)
from shardkit.errors.deployment import (
    BucketCountChanged,
    CatalogError,
    EnvironmentInvalid,
    SettingsInvalid,
    ShardMapConflict,
    ShardMapMissing,
    ShardMapTooNew,
    ShardMapUnreadable,
)
from shardkit.errors.keys import (
    BucketNotInSql,
    IdBelongsElsewhere,
    IdCarriesNoBucket,
    IdsExhausted,
    InvalidSharding,
    ShardKeyImmutable,
    ShardKeyNotCovered,
    ShardKeyRequired,
    ShardKeyUnhashable,
    UnknownBucket,
    UnknownShard,
    WrongShard,
)
from shardkit.errors.queries import (
    CrossDatabaseQuery,
    CrossShardQuery,
    CursorInvalid,
    FanoutBudgetExceeded,
    GatherLimitExceeded,
    MixedDatabases,
    OrderNotPageable,
)
from shardkit.errors.replicas import (
    CopyRefused,
    NoFreshReplica,
    PositionUnknown,
    PrimaryDemoted,
    PrimaryReadsExceeded,
    ReplicaIsReadOnly,
)
from shardkit.errors.root import ShardkitError

__all__ = [
    "BucketCountChanged",
    "BucketNotInSql",
    "CatalogError",
    "CoordinatorOutOfDate",
    "CopiesWouldDiffer",
    "CopyRefused",
    "CrossDatabaseQuery",
    "CrossShardQuery",
    "CursorInvalid",
    "DatabasesDiffer",
    "EnvironmentInvalid",
    "FanoutBudgetExceeded",
    "GatherLimitExceeded",
    "IdBelongsElsewhere",
    "IdCarriesNoBucket",
    "IdsExhausted",
    "InvalidSharding",
    "LookupCacheUnanswered",
    "MigrationLeavesDatabase",
    "MixedDatabases",
    "NoFreshReplica",
    "OrderNotPageable",
    "PartialCommit",
    "PositionUnknown",
    "PrimaryDemoted",
    "PrimaryReadsExceeded",
    "ReplicaIsReadOnly",
    "SettingsInvalid",
    "ShardDeadlineExceeded",
    "ShardKeyImmutable",
    "ShardKeyNotCovered",
    "ShardKeyRequired",
    "ShardKeyUnhashable",
    "ShardMapConflict",
    "ShardMapMissing",
    "ShardMapTooNew",
    "ShardMapUnreadable",
    "ShardUnavailable",
    "ShardkitError",
    "UnknownBucket",
    "UnknownShard",
    "UnsupportedDatabase",
    "WrongShard",
]
