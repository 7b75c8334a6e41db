"""By which function does a column's value say its row's bucket?

Two columns whose functions are equal place equal values in the same bucket: that is what colocation means here, and
why these are values that compare.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from shardkit.errors import IdCarriesNoBucket
from shardkit.topology.ids import ID_LIMIT, bucket_of_id, bucket_of_uuid

if TYPE_CHECKING:
    from shardkit.topology.names import BucketId
    from shardkit.topology.placements import Sharding


class BucketFunction(Protocol):
    """Map the values of a locator's columns to a bucket."""

    def find(self, values: tuple[Any, ...], buckets: int) -> BucketId | None:
        """Return the bucket of rows with these prepped *values*, or None when no row can have them."""

    def place(self, values: tuple[Any, ...], buckets: int) -> BucketId:
        """Return the bucket of a new row with these prepped *values*, or raise the error that says why not."""

    def between(self, lower: Any, upper: Any, buckets: int) -> frozenset[BucketId] | None:
        """Return the buckets of keys between two inclusive bounds (None: open), or None when that cannot be said."""


@dataclass(frozen=True, slots=True)
class ByKey:
    """The declared sharding of a shard key whose fields are of these *kinds*."""

    sharding: Sharding
    kinds: tuple[str, ...]
    #: The column compares text byte for byte, so that it orders text as Python does.
    text_is_binary: bool = field(default=False, compare=False)

    def find(self, values: tuple[Any, ...], buckets: int) -> BucketId | None:
        """Ask the sharding without assigning anything."""
        return self.sharding.find(values, buckets)

    def place(self, values: tuple[Any, ...], buckets: int) -> BucketId:
        """Ask the sharding, which may assign a bucket to a key it never saw."""
        return self.sharding.bucket_for(values, buckets)

    def between(self, lower: Any, upper: Any, buckets: int) -> frozenset[BucketId] | None:
        """Ask the sharding."""
        return self.sharding.buckets_between(lower, upper, buckets, text_is_binary=self.text_is_binary)


@dataclass(frozen=True, slots=True)
class CarriedById:
    """A `ShardedAutoField`: the number itself carries the bucket."""

    def find(self, values: tuple[Any, ...], buckets: int) -> BucketId | None:
        """Read the bucket; a number that no cluster of this size could have given belongs to no row."""
        (value,) = values
        if not isinstance(value, int) or not 0 <= value < ID_LIMIT:
            return None
        bucket = bucket_of_id(value)
        return bucket if bucket < buckets else None

    def place(self, values: tuple[Any, ...], buckets: int) -> BucketId:
        """Read the bucket, or refuse the number."""
        return _placed(self.find(values, buckets), values)

    def between(self, lower: Any, upper: Any, buckets: int) -> frozenset[BucketId] | None:
        """Prune nothing: neighbouring ids are in different buckets."""
        del lower, upper, buckets
        return None


@dataclass(frozen=True, slots=True)
class CarriedByUuid:
    """A `ShardedUUIDField`: the UUID itself carries the bucket."""

    def find(self, values: tuple[Any, ...], buckets: int) -> BucketId | None:
        """Read the bucket; a UUID that no cluster of this size could have given belongs to no row."""
        (value,) = values
        if not isinstance(value, UUID):
            return None
        try:
            bucket = bucket_of_uuid(value)
        except IdCarriesNoBucket:
            return None
        return bucket if bucket < buckets else None

    def place(self, values: tuple[Any, ...], buckets: int) -> BucketId:
        """Read the bucket, or refuse the UUID."""
        return _placed(self.find(values, buckets), values)

    def between(self, lower: Any, upper: Any, buckets: int) -> frozenset[BucketId] | None:
        """Prune nothing: neighbouring UUIDs are in different buckets."""
        del lower, upper, buckets
        return None


def _placed(bucket: BucketId | None, values: tuple[Any, ...]) -> BucketId:
    if bucket is None:
        raise IdCarriesNoBucket(str(values[0]), "no cluster of this size gives such an id, so leave ids to shardkit")
    return bucket
