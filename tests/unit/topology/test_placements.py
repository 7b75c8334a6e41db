"""Does each sharding give every key its bucket, and say so when it cannot?"""

from __future__ import annotations

import datetime as dt
import pickle
from datetime import UTC, date, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkit.errors import InvalidSharding, ShardKeyNotCovered, ShardKeyUnhashable
from shardkit.topology.hashing import bucket_of
from shardkit.topology.placements import ByHash, ByList, ByRange, Sharding

NEW_YEAR = date(2013, 1, 1)
BY_YEAR = ByRange({NEW_YEAR: 0, date(2014, 1, 1): 1, date(2015, 1, 1): 2}, end=date(2016, 1, 1))
BY_LETTER = ByRange({"": 3, "m": 4})
BY_ORIGIN = ByList({"EWR": 0, "JFK": 1, "LGA": 1})
NUMBERS = st.integers(-50, 50)
RANGES = st.builds(
    lambda starts, length: ByRange({start: index for index, start in enumerate(sorted(starts))}, end=51 + length),
    st.sets(NUMBERS, min_size=1, max_size=8),
    st.integers(0, 3),
)


class Half(IntEnum):
    FIRST = 0
    SECOND = 7


def at(*args: int) -> dt.datetime:
    return dt.datetime(*args, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_hash_covers_every_key():
    assert ByHash().bucket_for(("N14228",), 1024) == bucket_of(("N14228",), 1024)
    assert ByHash().bucket_for((None,), 1024) == bucket_of((None,), 1024)


def test_hash_cannot_tell_the_buckets_of_a_range():
    assert ByHash().buckets_between(1, 2, 1024) is None


def test_hash_has_no_problems():
    assert ByHash().problems(1024, columns=3) == []


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (NEW_YEAR, 0),
        (date(2013, 12, 31), 0),
        (date(2014, 1, 1), 1),
        (date(2015, 12, 31), 2),
        (at(2013, 12, 31, 23, 59, 59, 999999), 0),
        (at(2014, 1, 1), 1),
        (dt.datetime(2013, 12, 31, 19, tzinfo=timezone(timedelta(hours=-5))), 1),
        (dt.datetime(2014, 1, 1), 1),  # noqa: DTZ001 - naive, as without USE_TZ
    ],
)
def test_a_range_of_dates_places_dates_and_datetimes(value, bucket):
    assert BY_YEAR.bucket_for((value,), 8) == bucket


@pytest.mark.parametrize(
    ("sharding", "value", "bucket"),
    [
        (ByRange({0: 5, 10: 6}), 9, 5),
        (ByRange({0: 5, 10: 6}), Decimal("9.99"), 5),
        (ByRange({0: 5, 10: 6}), True, 5),
        (ByRange({Half.FIRST: 5, Half.SECOND: 6}), 7, 6),
        (BY_LETTER, "lz", 3),
        (BY_LETTER, "\U0001f600", 4),
        (ByRange({UUID(int=0): 1, UUID(int=2**127): 2}), UUID(int=2**127 + 1), 2),
        (ByRange({0: 5}, null=7), None, 7),
        (ByRange({0: 5}, null=0), None, 0),
    ],
)
def test_a_range_places_what_its_starts_are_made_of(sharding, value, bucket):
    assert sharding.bucket_for((value,), 8) == bucket


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (date(2012, 12, 31), "below the first start"),
        (date(2016, 1, 1), "not below the end"),
        (None, "null=<bucket>"),
        (2013, "Its starts are dates, not numbers"),
        ("2013-01-31", "Its starts are dates, not texts"),
    ],
)
def test_a_key_outside_every_range_is_not_covered(value, remedy):
    with pytest.raises(ShardKeyNotCovered, match=remedy):
        BY_YEAR.bucket_for((value,), 8)


@pytest.mark.parametrize("value", [1.5, Decimal("NaN"), b"EWR"])
def test_a_key_without_an_order_of_its_own_is_refused(value):
    with pytest.raises(ShardKeyUnhashable):
        ByRange({0: 0}).bucket_for((value,), 8)


@given(RANGES, NUMBERS, NUMBERS, NUMBERS)
def test_a_range_of_keys_is_looked_for_wherever_one_of_them_can_be(sharding, key, one, other):
    lower, upper = sorted((one, other))

    found = sharding.buckets_between(lower, upper, 8)

    if lower <= key <= upper and key >= min(sharding.starts):
        assert sharding.bucket_for((key,), 8) in found
        assert sharding.bucket_for((key,), 8) in sharding.buckets_between(lower, None, 8)
        assert sharding.bucket_for((key,), 8) in sharding.buckets_between(None, upper, 8)


@pytest.mark.parametrize(
    ("lower", "upper", "buckets"),
    [
        (None, None, {0, 1, 2}),
        (at(2014, 6, 1), None, {1, 2}),
        (None, at(2014, 6, 1), {0, 1}),
        (date(2014, 1, 1), date(2014, 12, 31), {1}),
        (date(2013, 12, 31), date(2014, 1, 1), {0, 1}),
        (date(2000, 1, 1), date(2012, 12, 31), set()),
        (date(2016, 1, 1), None, set()),
        (date(2015, 1, 1), date(2014, 1, 1), set()),
        (None, date(2030, 1, 1), {0, 1, 2}),
    ],
)
def test_a_range_of_dates_is_pruned(lower, upper, buckets):
    assert BY_YEAR.buckets_between(lower, upper, 8) == buckets


def test_text_is_pruned_where_the_database_orders_it_like_python():
    assert BY_LETTER.buckets_between("n", None, 8, text_is_binary=True) == frozenset({4})
    assert BY_LETTER.buckets_between("n", None, 8) is None


@pytest.mark.parametrize(
    ("sharding", "limit"),
    [
        (ByRange({UUID(int=0): 1}), UUID(int=1)),  # MariaDB has its own order
        (ByRange({0: 1}), Decimal("1.239")),  # rounded by the database before it compares
        (ByRange({0: 1}), NEW_YEAR),
        (BY_YEAR, 2013),
    ],
)
def test_a_limit_that_the_database_may_see_otherwise_prunes_nothing(sharding, limit):
    assert sharding.buckets_between(limit, None, 8) is None
    assert sharding.buckets_between(None, limit, 8) is None


@pytest.mark.parametrize(
    ("starts", "options", "why"),
    [
        ({}, {}, "it has no start"),
        ({10: 0, 0: 1}, {}, "not in ascending order"),
        ({0: 0, 1: 1, -1: 1}, {}, "not in ascending order"),
        ({date(2013, 1, 1): 0, at(2013, 1, 1): 1}, {}, "not in ascending order"),
        ({0: 0}, {"end": 0}, "with the end above all of them"),
        ({0: 0, "a": 1}, {}, "different types: number and text"),
        ({0: 0}, {"end": NEW_YEAR}, "different types: number and date"),
        ({0: "1"}, {}, "a bucket is an integer, not '1'"),
        ({0: True}, {}, "a bucket is an integer, not True"),
        ({0: 1}, {"null": "2"}, "a bucket is an integer, not '2'"),
    ],
)
def test_a_range_that_contradicts_itself_fails_where_it_is_written(starts, options, why):
    with pytest.raises(InvalidSharding, match=f"ByRange: .*{why}"):
        ByRange(starts, **options)


def test_a_range_names_its_problems_with_the_cluster():
    sharding = ByRange({0: 0, 1: 8, 2: -1}, null=9)

    assert sharding.problems(8, columns=2) == [
        "ByRange places by one column, and the shard key has 2.",
        "ByRange names bucket -1; the cluster has 0 to 7.",
        "ByRange names bucket 8; the cluster has 0 to 7.",
        "ByRange names bucket 9; the cluster has 0 to 7.",
    ]
    assert sharding.problems(1024)[0].startswith("ByRange names bucket -1")
    assert BY_YEAR.problems(8) == []


@pytest.mark.parametrize(
    ("sharding", "values", "bucket"),
    [
        (BY_ORIGIN, ("JFK",), 1),
        (ByList({7: 3}), ("7",), 3),
        (ByList({"7": 3}), (Decimal("7.0"),), 3),
        (ByList({7: 3}, default=0), (8,), 0),
        (ByList({0: 3, "": 4}), (False,), 3),
        (ByList({0: 3, "": 4}), ("",), 4),
        (ByList({None: 5, "~": 6}), (None,), 5),
        (ByList({None: 5, "~": 6}), ("~",), 6),
        (ByList({("EWR", 2013): 1, ("EWR", None): 2}), ("EWR", "2013"), 1),
        (ByList({("EWR", 2013): 1, ("EWR", None): 2}), ("EWR", None), 2),
    ],
)
def test_a_list_places_what_it_lists(sharding, values, bucket):
    assert sharding.bucket_for(values, 8) == bucket


@pytest.mark.parametrize(
    ("sharding", "values", "remedy"),
    [
        (BY_ORIGIN, ("SEA",), "List it, or give a default"),
        (ByList({1: 0}, default=0), (None,), "make the field NOT NULL"),
        (ByList({(1, 1): 0}, default=0), (1, None), "make the field NOT NULL"),
    ],
)
def test_a_key_that_is_not_listed_is_not_covered(sharding, values, remedy):
    with pytest.raises(ShardKeyNotCovered, match=remedy):
        sharding.bucket_for(values, 8)


def test_a_list_cannot_tell_the_buckets_of_a_range():
    assert BY_ORIGIN.buckets_between("EWR", "JFK", 8, text_is_binary=True) is None


@pytest.mark.parametrize(
    ("mapping", "options", "why"),
    [
        ({}, {}, "it lists no key"),
        ({7: 0, "7": 1}, {}, "it lists one key twice"),
        ({1: 0, 2: 1.5}, {}, "a bucket is an integer, not 1.5"),
        ({1: 1}, {"default": "0"}, "a bucket is an integer, not '0'"),
    ],
)
def test_a_list_that_contradicts_itself_fails_where_it_is_written(mapping, options, why):
    with pytest.raises(InvalidSharding, match=f"ByList: .*{why}"):
        ByList(mapping, **options)


def test_a_list_names_its_problems_with_the_cluster():
    sharding = ByList({("EWR", 2013): 0, "JFK": 9}, default=8)

    assert sharding.problems(8, columns=3) == [
        "ByList lists a key of 1 columns, and the shard key has 3.",
        "ByList lists a key of 2 columns, and the shard key has 3.",
        "ByList names bucket 8; the cluster has 0 to 7.",
        "ByList names bucket 9; the cluster has 0 to 7.",
    ]
    assert BY_ORIGIN.problems(8) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (ByHash(), ByHash()),
        (ByRange({0: 1, 5: 2}, end=9), ByRange({Decimal("0.0"): 1, 5: 2}, end=Decimal(9))),
        (ByRange({date(2013, 1, 1): 1}), ByRange({at(2013, 1, 1): 1})),
        (ByList({1: 0, 2: 1}), ByList({"2": 1, "1": 0})),
    ],
)
def test_one_function_written_twice_is_equal(left, right):
    assert left == right
    assert hash(left) == hash(right)


def test_different_functions_are_different():
    shardings: list[Sharding] = [
        ByHash(),
        ByRange({0: 1}),
        ByRange({0: 2}),
        ByRange({0: 1}, end=9),
        ByRange({0: 1}, null=1),
        ByRange({"0": 1}),
        ByList({0: 1}),
        ByList({0: 2}),
        ByList({0: 1}, default=1),
    ]

    assert len(set(shardings)) == len(shardings)


@pytest.mark.parametrize(
    "sharding",
    [ByHash(), BY_YEAR, BY_ORIGIN, ByRange({at(2013, 1, 1): 0}, null=3), ByList({(1, None): 0}, default=2)],
)
def test_a_sharding_can_be_pasted_and_pickled(sharding):
    names = {"ByHash": ByHash, "ByRange": ByRange, "ByList": ByList, "datetime": dt}

    assert eval(repr(sharding), names) == sharding  # noqa: S307 - that a repr can be pasted is what is tested
    assert pickle.loads(pickle.dumps(sharding)) == sharding  # noqa: S301 - our own bytes
