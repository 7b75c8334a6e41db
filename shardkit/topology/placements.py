"""How does a model map its keys to buckets?

A sharding is the class attribute of a sharded model::

    class Reading(ShardedModel):
        sharding = ByRange({date(2013, 1, 1): 0, date(2014, 1, 1): 1})

Two shardings are equal when they are the same function, and only then do two models keep rows of one key on one shard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import UUID

from shardkit.errors import InvalidSharding, ShardKeyNotCovered, ShardKeyUnhashable
from shardkit.topology.hashing import bucket_of, canonical_key
from shardkit.topology.names import BucketId

#: What an error calls the key; whoever knows the model says which one it is.
_KEY: Final = "shard_key"


class Sharding(ABC):
    """Map each shard key to a bucket. A subclass compares and hashes by value."""

    @abstractmethod
    def bucket_for(self, values: tuple[object, ...], buckets: int) -> BucketId:
        """Return the bucket of the key *values*, or raise `ShardKeyNotCovered`."""

    def find(self, values: tuple[object, ...], buckets: int) -> BucketId | None:
        """Return the bucket of the key *values* without assigning one; None when no row can have that key."""
        try:
            return self.bucket_for(values, buckets)
        except ShardKeyNotCovered:
            return None

    def buckets_between(
        self, lower: object | None, upper: object | None, buckets: int, *, text_is_binary: bool = False
    ) -> frozenset[BucketId] | None:
        """Return the buckets of all keys from *lower* to *upper*, both included; None when that cannot be told.

        A limit of None is open. Text is only told when *text_is_binary*: the column's collation orders by code points,
        as Python does.
        """
        del lower, upper, buckets, text_is_binary
        return None

    def problems(self, buckets: int, *, columns: int = 1) -> list[str]:
        """Say what is wrong when a key of *columns* columns is placed on a cluster of *buckets*."""
        del buckets, columns
        return []


@dataclass(frozen=True)
class ByHash(Sharding):
    """Spread the keys evenly: the default."""

    def bucket_for(self, values: tuple[object, ...], buckets: int) -> BucketId:
        """Hash *values*; every key is covered, NULL too."""
        return bucket_of(values, buckets)


class Rank(NamedTuple):
    """A bound or key as it is compared: only two of one family can be."""

    family: str
    value: Any


@dataclass(frozen=True)
class ByRange(Sharding):
    """Give each key the bucket of the last start that is not above it.

    The *starts* are lower bounds in ascending order: numbers, text, UUIDs, or dates and datetimes, where a date is its
    midnight in UTC. Keys below the first one, or from *end* on, are not covered; NULL is when *null* names its bucket.
    """

    starts: Mapping[Any, int] = field(compare=False)
    end: object | None = field(default=None, kw_only=True, compare=False)
    null: int | None = field(default=None, kw_only=True)
    _ranks: tuple[Rank, ...] = field(init=False, repr=False)
    _end_rank: Rank | None = field(init=False, repr=False)
    _buckets: tuple[BucketId, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.starts:
            raise InvalidSharding("ByRange", "it has no start")
        _require_integers("ByRange", [*self.starts.values(), self.null])
        ranks = tuple(_rank(start) for start in self.starts)
        end_rank = None if self.end is None else _rank(self.end)
        _require_ascending(ranks if end_rank is None else (*ranks, end_rank))
        object.__setattr__(self, "_ranks", ranks)
        object.__setattr__(self, "_end_rank", end_rank)
        object.__setattr__(self, "_buckets", tuple(self.starts.values()))

    def bucket_for(self, values: tuple[object, ...], buckets: int) -> BucketId:
        """Find the range that holds the one value of *values*."""
        del buckets
        (value,) = values
        if value is None:
            return _covered("ByRange", self.null, "Add null=<bucket>, or make the field NOT NULL.")
        rank = _rank(value)
        if rank.family != self._ranks[0].family:
            raise ShardKeyNotCovered("ByRange", _KEY, f"Its starts are {self._ranks[0].family}s, not {rank.family}s.")
        if self._is_beyond_end(rank):
            raise ShardKeyNotCovered("ByRange", _KEY, "It is not below the end: add a range, and a later end.")
        position = self._position(rank)
        if position < 0:
            raise ShardKeyNotCovered("ByRange", _KEY, "It is below the first start: add an earlier one.")
        return self._buckets[position]

    def buckets_between(
        self, lower: object | None, upper: object | None, buckets: int, *, text_is_binary: bool = False
    ) -> frozenset[BucketId] | None:
        """Return the buckets of the ranges that meet *lower* … *upper*."""
        del buckets
        first, last = 0, len(self._buckets) - 1
        for limit in (lower, upper):
            if limit is not None and not self._orders_like_the_database(limit, text_is_binary=text_is_binary):
                return None
        if lower is not None:
            rank = _rank(lower)
            first = len(self._buckets) if self._is_beyond_end(rank) else max(0, self._position(rank))
        if upper is not None:
            last = self._position(_rank(upper))
        return frozenset(self._buckets[first : last + 1])

    def problems(self, buckets: int, *, columns: int = 1) -> list[str]:
        """Say which buckets are outside, and that only one column can be ranged over."""
        width = [] if columns == 1 else [f"ByRange places by one column, and the shard key has {columns}."]
        return [*width, *_bucket_problems("ByRange", [*self._buckets, self.null], buckets)]

    def _position(self, rank: Rank) -> int:
        return bisect_right(self._ranks, rank) - 1

    def _is_beyond_end(self, rank: Rank) -> bool:
        return self._end_rank is not None and rank >= self._end_rank

    def _orders_like_the_database(self, limit: object, *, text_is_binary: bool) -> bool:
        # MariaDB orders UUIDs in its own way, and databases round a Decimal limit to the column's places.
        trusted = (int, date, str) if text_is_binary else (int, date)
        return isinstance(limit, trusted) and _rank(limit).family == self._ranks[0].family


@dataclass(frozen=True)
class ByList(Sharding):
    """Give each listed key its bucket, and all others *default* if there is one.

    A key of several columns is listed as a tuple. None lists the NULL key, which the default is not for.
    Keys are compared by their canonical text, so that ``7`` and ``"7"`` are one key.
    """

    mapping: Mapping[Any, int] = field(compare=False)
    default: int | None = field(default=None, kw_only=True)
    _listed: frozenset[tuple[str | None, int]] = field(init=False, repr=False)
    _buckets: Mapping[str | None, BucketId] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.mapping:
            raise InvalidSharding("ByList", "it lists no key")
        _require_integers("ByList", [*self.mapping.values(), self.default])
        buckets = {_list_text(_columns_of(key)): bucket for key, bucket in self.mapping.items()}
        if len(buckets) < len(self.mapping):
            raise InvalidSharding("ByList", "it lists one key twice, perhaps as a number and as text")
        object.__setattr__(self, "_listed", frozenset(buckets.items()))
        object.__setattr__(self, "_buckets", buckets)

    def bucket_for(self, values: tuple[object, ...], buckets: int) -> BucketId:
        """Look *values* up."""
        del buckets
        bucket = self._buckets.get(_list_text(values))
        if bucket is not None:
            return bucket
        if None in values:
            raise ShardKeyNotCovered("ByList", _KEY, "List the key with its None, or make the field NOT NULL.")
        return _covered("ByList", self.default, "List it, or give a default.")

    def problems(self, buckets: int, *, columns: int = 1) -> list[str]:
        """Say which buckets are outside, and which keys have another width than the shard key."""
        widths = {len(_columns_of(key)) for key in self.mapping} - {columns}
        return [
            *(f"ByList lists a key of {width} columns, and the shard key has {columns}." for width in sorted(widths)),
            *_bucket_problems("ByList", [*self._buckets.values(), self.default], buckets),
        ]


def _rank(value: object) -> Rank:
    match value:
        case Decimal() if not value.is_finite():
            raise ShardKeyUnhashable("Decimal that is not finite")
        case int() | Decimal():
            return Rank("number", value)
        case str():
            return Rank("text", str.__str__(value))
        case date():
            return Rank("date", _moment(value))
        case UUID():
            return Rank("UUID", value)
        case _:
            raise ShardKeyUnhashable(type(value).__name__)


def _moment(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime.combine(value, time.min)
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _columns_of(key: object) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else (key,)


def _list_text(values: tuple[object, ...]) -> str | None:
    # canonical_key() writes NULL as "~": good enough to hash, but here the text "~" is another key.
    return None if values == (None,) else canonical_key(values)


def _covered(placement: str, bucket: int | None, remedy: str) -> BucketId:
    if bucket is None:
        raise ShardKeyNotCovered(placement, _KEY, remedy)
    return BucketId(bucket)


def _require_ascending(ranks: tuple[Rank, ...]) -> None:
    for left, right in pairwise(ranks):
        if left.family != right.family:
            raise InvalidSharding("ByRange", f"it mixes bounds of different types: {left.family} and {right.family}")
        if not left < right:
            raise InvalidSharding("ByRange", "its starts are not in ascending order, with the end above all of them")


def _require_integers(placement: str, buckets: Iterable[object]) -> None:
    for bucket in buckets:
        if bucket is not None and type(bucket) is not int:
            raise InvalidSharding(placement, f"a bucket is an integer, not {bucket!r}")


def _bucket_problems(placement: str, named: Iterable[int | None], buckets: int) -> list[str]:
    outside = sorted({bucket for bucket in named if bucket is not None and not 0 <= bucket < buckets})
    return [f"{placement} names bucket {bucket}; the cluster has 0 to {buckets - 1}." for bucket in outside]
