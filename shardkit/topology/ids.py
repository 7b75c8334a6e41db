"""How does an id say where its row lives?

An integer id is ``sequence * 4096 + bucket`` and stays below 2**53, so that JSON and JavaScript read it exactly.
A UUID of version 8 (RFC 9562) is 48 bits of milliseconds, 12 bits of bucket and 61 random bits, so it sorts by time.

That a bucket is below 4096 does not say that the cluster has it: ask the shard map, which refuses an unknown one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from shardkit.errors import IdCarriesNoBucket, IdsExhausted
from shardkit.topology.names import MAX_BUCKETS, BucketId

#: Ids stay below this: the largest integers that a JSON number carries exactly.
ID_LIMIT: Final = 2**53
#: Sequence numbers stay below this.
SEQUENCE_LIMIT: Final = ID_LIMIT // MAX_BUCKETS

UUID_VERSION: Final = 8
# The variant is the two bits 10. The 1 behind it is for MariaDB, whose uuid type refuses a version from 8 on when these
# bits and the next five are 10000000, which is one UUID in 64.
_UUID_VARIANT: Final = 0b101
_RANDOM_BITS: Final = 61
#: The bits that say a UUID's version and variant, and how they are in version 8.
_UUID_MARKS: Final = 0b1111 << 76 | 0b11 << 62
_OUR_MARKS: Final = UUID_VERSION << 76 | 0b10 << 62
_RANDOM_BYTES: Final = 8
_MILLISECONDS_LIMIT: Final = 2**48


def compose_id(sequence: int, bucket: BucketId) -> int:
    """Make the id that is number *sequence* and carries *bucket*."""
    if sequence >= SEQUENCE_LIMIT:
        raise IdsExhausted(sequence, SEQUENCE_LIMIT)
    if sequence < 0:
        raise IdCarriesNoBucket(str(sequence), "a sequence number is not negative")
    _check_bucket(bucket)
    return sequence * MAX_BUCKETS + bucket


def bucket_of_id(id_: int) -> BucketId:
    """Return the bucket that *id_* carries."""
    _check_id(id_)
    return BucketId(id_ % MAX_BUCKETS)


def sequence_of_id(id_: int) -> int:
    """Return the sequence number that *id_* was made of."""
    _check_id(id_)
    return id_ // MAX_BUCKETS


def make_uuid(bucket: BucketId, *, random: Callable[[int], bytes], milliseconds: int) -> UUID:
    """Make a UUID that carries *bucket*, from the time in *milliseconds* and 8 bytes of *random*."""
    _check_bucket(bucket)
    if not 0 <= milliseconds < _MILLISECONDS_LIMIT:
        raise IdCarriesNoBucket(str(milliseconds), "its time does not fit into 48 bits of milliseconds")
    tail = int.from_bytes(random(_RANDOM_BYTES)) % 2**_RANDOM_BITS
    return UUID(int=milliseconds << 80 | UUID_VERSION << 76 | bucket << 64 | _UUID_VARIANT << _RANDOM_BITS | tail)


def bucket_of_uuid(uuid: UUID) -> BucketId:
    """Return the bucket that *uuid* carries."""
    if uuid.int & _UUID_MARKS != _OUR_MARKS:
        raise IdCarriesNoBucket(str(uuid), f"it is not a UUID of version {UUID_VERSION}")
    return BucketId(uuid.int >> 64 & MAX_BUCKETS - 1)


def _check_id(id_: int) -> None:
    if not 0 <= id_ < ID_LIMIT:
        raise IdCarriesNoBucket(str(id_), "ids run from 0 to 2**53 - 1")


def _check_bucket(bucket: int) -> None:
    if not 0 <= bucket < MAX_BUCKETS:
        raise IdCarriesNoBucket(str(bucket), f"buckets run from 0 to {MAX_BUCKETS - 1}")
