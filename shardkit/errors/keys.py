"""What can go wrong with keys, ids and places?"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, IntegrityError, NotSupportedError

from shardkit.errors.root import ShardkitError


class ShardKeyRequired(ShardkitError, NotSupportedError):
    """The operation is about one shard's rows but names no shard key."""

    template = "{model}.{operation} needs {shard_key!r} to find the shard. Set it before you save, or filter on it."

    def __init__(self, model: str, operation: str, shard_key: str) -> None:
        super().__init__(model, operation, shard_key)
        self.model, self.operation, self.shard_key = model, operation, shard_key


class ShardKeyNotCovered(ShardkitError, DataError):
    """No range, list entry or directory row says where this key lives."""

    template = "{placement} covers no such key of {shard_key!r}. {remedy}"

    def __init__(self, placement: str, shard_key: str, remedy: str) -> None:
        super().__init__(placement, shard_key, remedy)
        self.placement, self.shard_key, self.remedy = placement, shard_key, remedy


class ShardKeyUnhashable(ShardkitError, TypeError):
    """The key has a Python type without a canonical text."""

    template = (
        "A shard key cannot be a {type_name}: its text is not the same in every process and database. "
        "Use an integer, text, UUID, Decimal, boolean, date or datetime field."
    )

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name


class ShardKeyImmutable(ShardkitError, NotSupportedError):
    """A saved row's shard key was changed so that the row would live elsewhere."""

    template = (
        "{model}.{operation}: the row lives on {shard!r} and its new {shard_key!r} belongs elsewhere, and nothing was "
        "written. Create a row with the new key and delete this one, in one transaction."
    )

    def __init__(self, model: str, operation: str, shard_key: str, shard: str) -> None:
        super().__init__(model, operation, shard_key, shard)
        self.model, self.operation, self.shard_key, self.shard = model, operation, shard_key, shard


class IdBelongsElsewhere(ShardkitError, IntegrityError):
    """An id carries another bucket than the row's shard key."""

    template = (
        "{model}.{operation}: the id carries bucket {id_bucket} but {shard_key!r} places the row in bucket "
        "{key_bucket}, so get(pk=…) would not find it. Leave the id to shardkit, or declare a plain primary key."
    )

    def __init__(self, model: str, operation: str, shard_key: str, id_bucket: int, key_bucket: int) -> None:
        super().__init__(model, operation, shard_key, id_bucket, key_bucket)
        self.model, self.operation, self.shard_key = model, operation, shard_key
        self.id_bucket, self.key_bucket = id_bucket, key_bucket


class WrongShard(ShardkitError, NotSupportedError):
    """A shard was named with .using() that does not own the row."""

    template = (
        "{model}.{operation} names the database {alias!r}, but the row belongs on {owner!r}. "
        "Leave out using: shardkit finds the place."
    )

    def __init__(self, model: str, operation: str, alias: str, owner: str) -> None:
        super().__init__(model, operation, alias, owner)
        self.model, self.operation, self.alias, self.owner = model, operation, alias, owner


class IdCarriesNoBucket(ShardkitError, DataError):
    """A number or UUID is not an id that shardkit made, or cannot become one."""

    template = "{id} carries no bucket: {why}. A model whose ids come from elsewhere declares a plain primary key."

    def __init__(self, id_: str, why: str) -> None:
        super().__init__(id_, why)
        self.id, self.why = id_, why


class IdsExhausted(ShardkitError, DataError, OverflowError):
    """The sequence that ids are made of has reached its end."""

    template = (
        "Sequence number {sequence} makes an id of 2**53 or more, which JSON cannot carry; they end before {limit}. "
        "Use a ShardedUUIDField as the primary key, or see whether something wastes ids."
    )

    def __init__(self, sequence: int, limit: int) -> None:
        super().__init__(sequence, limit)
        self.sequence, self.limit = sequence, limit


class BucketNotInSql(ShardkitError, NotSupportedError):
    """The database cannot compute the bucket of a column as Python does."""

    template = "{vendor} cannot compute the bucket of a {kind} column in SQL: {why}."

    def __init__(self, vendor: str, kind: str, why: str) -> None:
        super().__init__(vendor, kind, why)
        self.vendor, self.kind, self.why = vendor, kind, why


class InvalidSharding(ShardkitError, ImproperlyConfigured):
    """A sharding contradicts itself, whatever the cluster it is used in."""

    template = "{sharding}: {why}."

    def __init__(self, sharding: str, why: str) -> None:
        super().__init__(sharding, why)
        self.sharding, self.why = sharding, why


class UnknownShard(ShardkitError, LookupError):
    """A name that the topology does not hold."""

    template = "There is no shard {shard!r}. SHARDKIT['SHARDS'] has: {known}.{remedy}"

    def __init__(self, shard: str, known: str, remedy: str = "") -> None:
        super().__init__(shard, known, remedy)
        self.shard, self.known, self.remedy = shard, known, remedy and f" {remedy}"


class UnknownBucket(ShardkitError, LookupError):
    """A bucket that the cluster does not have."""

    template = "There is no bucket {bucket}: the cluster has {buckets}, numbered from 0."

    def __init__(self, bucket: int, buckets: int) -> None:
        super().__init__(bucket, buckets)
        self.bucket, self.buckets = bucket, buckets
