"""Does an id say where its row lives, and is it refused when it cannot?"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkit.errors import IdCarriesNoBucket, IdsExhausted
from shardkit.topology.ids import (
    ID_LIMIT,
    SEQUENCE_LIMIT,
    bucket_of_id,
    bucket_of_uuid,
    compose_id,
    make_uuid,
    sequence_of_id,
)
from shardkit.topology.names import MAX_BUCKETS, BucketId

SEQUENCES = st.integers(0, SEQUENCE_LIMIT - 1)
BUCKETS = st.integers(0, MAX_BUCKETS - 1).map(BucketId)
MILLISECONDS = st.integers(0, 2**48 - 1)


@given(SEQUENCES, BUCKETS)
def test_an_id_gives_back_what_it_was_made_of(sequence, bucket):
    id_ = compose_id(sequence, bucket)

    assert 0 <= id_ < 2**53
    assert (sequence_of_id(id_), bucket_of_id(id_)) == (sequence, bucket)


@pytest.mark.parametrize(("sequence", "bucket", "id_"), [(0, 0, 0), (0, 7, 7), (1, 0, 4096), (3, 5, 12293)])
def test_the_layout_of_an_id_never_changes(sequence, bucket, id_):
    assert compose_id(sequence, BucketId(bucket)) == id_


def test_the_last_id_is_the_largest_number_that_json_carries():
    assert compose_id(SEQUENCE_LIMIT - 1, BucketId(MAX_BUCKETS - 1)) == 2**53 - 1


def test_a_sequence_that_has_ended_makes_no_id():
    with pytest.raises(IdsExhausted, match=r"2199023255552 makes an id of 2\*\*53 or more") as refused:
        compose_id(SEQUENCE_LIMIT, BucketId(0))

    assert isinstance(refused.value, OverflowError)


@pytest.mark.parametrize(("sequence", "bucket"), [(-1, 0), (1, -1), (1, MAX_BUCKETS)])
def test_an_id_is_not_made_of_numbers_out_of_range(sequence, bucket):
    with pytest.raises(IdCarriesNoBucket):
        compose_id(sequence, BucketId(bucket))


@pytest.mark.parametrize("id_", [-1, ID_LIMIT, 2**63])
@pytest.mark.parametrize("part", [bucket_of_id, sequence_of_id])
def test_a_number_out_of_range_is_no_id(part, id_):
    with pytest.raises(IdCarriesNoBucket, match="ids run from 0"):
        part(id_)


@given(BUCKETS, MILLISECONDS, st.binary(min_size=8, max_size=8))
def test_a_uuid_carries_its_bucket_and_its_time(bucket, milliseconds, noise):
    uuid = make_uuid(bucket, random=lambda _: noise, milliseconds=milliseconds)

    assert bucket_of_uuid(uuid) == bucket
    assert uuid.int >> 80 == milliseconds
    assert (uuid.version, uuid.variant) == (8, UUID(int=0x80 << 56).variant)


def test_the_layout_of_a_uuid_never_changes():
    noise = bytes.fromhex("fedcba9876543210")

    uuid = make_uuid(BucketId(0xABC), random=lambda _: noise, milliseconds=0x0123456789AB)

    assert str(uuid) == "01234567-89ab-8abc-bedc-ba9876543210"


def test_a_uuid_is_none_that_mariadb_refuses():
    """Its uuid type takes no version from 8 on whose ninth byte is 0x80."""
    assert make_uuid(BucketId(0), random=bytes, milliseconds=0).bytes[8] == 0xA0


@given(MILLISECONDS, MILLISECONDS, BUCKETS)
def test_uuids_sort_by_their_time(earlier, later, bucket):
    earlier, later = sorted((earlier, later))

    first = make_uuid(bucket, random=bytes, milliseconds=earlier)

    assert first <= make_uuid(bucket, random=bytes, milliseconds=later)


@pytest.mark.parametrize("uuid", [uuid4(), UUID(int=0), UUID(int=8 << 76)])
def test_a_uuid_from_elsewhere_carries_no_bucket(uuid):
    with pytest.raises(IdCarriesNoBucket, match="not a UUID of version 8"):
        bucket_of_uuid(uuid)


@pytest.mark.parametrize(("bucket", "milliseconds"), [(MAX_BUCKETS, 0), (-1, 0), (0, -1), (0, 2**48)])
def test_a_uuid_is_not_made_of_numbers_out_of_range(bucket, milliseconds):
    with pytest.raises(IdCarriesNoBucket):
        make_uuid(BucketId(bucket), random=bytes, milliseconds=milliseconds)
