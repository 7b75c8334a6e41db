"""Which rows does a data set have?

Few different values, so that there are ties, duplicates and groups; NULLs; empty tables, and shards that have all rows
or none. The same seed makes the same rows with the same primary keys.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models

from shardkit.orm.placing import bucket_of_instance, places_itself, with_bucket
from shardkit.routing import owners
from shardkit.routing.registry import databases_of, placement_of
from shardkit.testing.copying import copy_tables
from shardkit.topology.ids import compose_id, make_uuid
from shardkit.topology.names import BucketId
from tests.fuzz.shapes import Column, shape_of
from tests.fuzz.worlds import World
from tests.nasty.models import VENDOR
from tests.oracle import ORACLE
from tests.shop.models import Label, Order, Parcel, Room, Tagged

TEXTS: Final = (
    *("", " ", "a", "A", "b", "B", "ab", "AB", "Ab", "a ", " a", "á", "Á", "ä", "e", "é", "É", "e\u0301", "z", "Z"),
    *("ß", "ss", "ñ", "n", "Åse", "ase", "10", "9", "-", "_", "%", "a%b", "a_b", "\\", "'", '"', "日本", "😀", "\t"),
    *("a\nb", "I", "i", "ı", "İ", "Ω", "null", "NaN", "x" * 20, "xxxxxz", "xxxxxa"),  # noqa: RUF001 - letters that are nearly others
)
INTS: Final = (-2, -1, 0, 0, 1, 1, 1, 2, 2, 3, 5, 7, 10, 100)
HUGE: Final = (-(2**63), 2**63 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**31, -(2**31) - 1, 0, 1, 1, -1)
#: All are sums of few powers of two, so that they add up to the same in any order.
FLOATS: Final = (-1.5, -0.25, 0.0, 0.5, 1.0, 1.0, 1.5, 2.25, 3.75, 100.125, 65536.5)
ODD_FLOATS: Final[Mapping[str, tuple[float, ...]]] = {
    "sqlite": (-0.0, float("inf"), float("-inf")),
    "postgresql": (-0.0, float("inf"), float("-inf"), float("nan"), 5e-324),
    "mysql": (-0.0, 5e-324),
}
DECIMALS: Final = tuple(map(Decimal, ("-2.5", "-0.25", "0", "0", "0.5", "1.25", "1.25", "3", "20.75", "99.5")))
#: What a REAL of SQLite would round.
LONG_DECIMALS: Final = tuple(
    map(Decimal, ("0.1", "0.0000000001", "-0.3333333333", "12345678901234567890.0000000001", "1e15"))
)
UTC: Final = dt.UTC
#: Around midnight, the end of a year, a leap day, and the hours that clocks of Berlin and New York skip or repeat.
MOMENTS: Final = (
    dt.datetime(2023, 12, 31, 22, 59, 59, 999999, tzinfo=UTC),
    dt.datetime(2023, 12, 31, 23, 30, tzinfo=UTC),
    dt.datetime(2024, 1, 1, 0, 0, tzinfo=UTC),
    dt.datetime(2024, 1, 1, 4, 59, 59, tzinfo=UTC),
    dt.datetime(2024, 2, 29, 12, 0, tzinfo=UTC),
    dt.datetime(2024, 3, 10, 6, 59, 59, tzinfo=UTC),
    dt.datetime(2024, 3, 10, 7, 0, tzinfo=UTC),
    dt.datetime(2024, 3, 31, 0, 59, 59, tzinfo=UTC),
    dt.datetime(2024, 3, 31, 1, 30, 0, 123456, tzinfo=UTC),
    dt.datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
    dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    dt.datetime(2024, 11, 3, 5, 30, tzinfo=UTC),
    dt.datetime(2024, 11, 3, 6, 30, tzinfo=UTC),
)
DAYS: Final = tuple(sorted({moment.date() for moment in MOMENTS}))
POOLS: Final[Mapping[str, Sequence[Any]]] = {
    "text": TEXTS,
    "int": INTS,
    "float": FLOATS,
    "decimal": DECIMALS,
    "bool": (True, False),
    "date": DAYS,
    "datetime": MOMENTS,
    "time": (dt.time(0, 0), dt.time(23, 59, 59, 999999), dt.time(12, 0), dt.time(12, 0, 0, 1)),
    "duration": tuple(dt.timedelta(seconds=n) for n in (0, -1, 1, 86400, 90061.5)),
    "uuid": tuple(UUID(int=n << 64 | 5) for n in (0, 1, 0xFF, 2**63, 2**64 - 1)),
    "bytes": (b"", b"\x00", b"a", b"A", b"\xff\x00", b"abc"),
    "json": ({}, [], {"a": 1}, {"a": "x", "b": [1, 2]}, {"a": None}, {"b": 1, "a": 1}, 1, 1.5, "s", True, [1, "a"]),
}
#: A primary key that no row has.
GONE: Final = 4096 * 10**9
#: How many rows a table has, in data sets of different kinds.
SIZES: Final[Mapping[str, tuple[int, int]]] = {"ordinary": (8, 22), "few": (0, 4), "crowded": (18, 40)}


@dataclass
class Data:
    """The rows of one data set, and the values that its columns hold."""

    world: World
    kind: str
    #: The buckets that new rows may have, where they are free to choose.
    buckets: tuple[BucketId, ...] = ()
    rows: dict[type[models.Model], list[Any]] = field(default_factory=dict)

    def values_of(self, column: Column) -> list[Any]:
        """List what the rows hold in *column*."""
        model = column.model._meta.concrete_model
        rows = self.rows.get(model or column.model) or self.rows.get(_real(column.model), [])
        return [getattr(row, column.field.attname) for row in rows if hasattr(row, column.field.attname)]


def _real(model: type[models.Model]) -> type[models.Model]:
    """Return the model that has the rows which an unmanaged one shows."""
    table = model._meta.db_table
    return Order if table == Order._meta.db_table else model


def fill(world: World, chance: random.Random) -> Data:
    """Make the rows of one data set of *world*: on the shards, and with the same keys on the plain database."""
    kind = chance.choice(("ordinary", "ordinary", "ordinary", "few", "crowded"))
    data = Data(world, kind, buckets=_buckets(chance))
    for model in world.models:
        data.rows[model] = _Filling(data, model, chance).made()
    for through in world.tables[len(world.models) :]:
        data.rows[through] = _link(data, through, chance)
    store(data)
    return data


def store(data: Data) -> None:
    """Write the rows of *data* to the shards, and copy them to the plain database."""
    for model, rows in data.rows.items():
        with _stamped_by_us(model):
            model._base_manager.bulk_create(rows)
    copy_tables(data.world.tables, ORACLE)


@contextmanager
def _stamped_by_us(model: type[models.Model]) -> Iterator[None]:
    """Let no field of *model* take the time of its insertion."""
    stamped: list[Any] = [one for one in model._meta.local_fields if getattr(one, "auto_now_add", False)]
    for column in stamped:
        column.auto_now_add = False
    try:
        yield
    finally:
        for column in stamped:
            column.auto_now_add = True


def clear(world: World) -> None:
    """Empty the tables of *world* on all databases but the plain one."""
    for model in reversed(world.tables):
        for alias in databases_of(model):
            connection = connections[alias]
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: S608


def _buckets(chance: random.Random) -> tuple[BucketId, ...]:
    """Choose the shards that get rows: all, some with most of them, or only one."""
    every = owners.owners()
    first = [every.index(alias) for alias in owners.all_aliases()]
    weights = chance.choice(((1, 1, 1, 1), (1, 1, 1, 1), (8, 1, 1, 0), (1, 0, 1, 0), (0, 0, 1, 0)))
    chosen = [BucketId(at + n) for at, weight in zip(first, weights, strict=True) for n in range(weight)]
    chance.shuffle(chosen)
    return tuple(chosen)


class _Filling:
    """Makes the rows of one table."""

    def __init__(self, data: Data, model: type[models.Model], chance: random.Random) -> None:
        self.data, self.model, self.chance = data, model, chance
        self.placement = placement_of(model)
        self.nulls = chance.choice((0.0, 0.15, 0.15, 0.5))
        #: How many foreign keys without a constraint name a row that is gone.
        self.lost = chance.choice((0.0, 0.0, 0.1, 0.4))
        #: Few values of each column, so that they repeat.
        self.pools = {column.name: self._pool(column) for column in shape_of(model, data.world.members).columns}

    def made(self) -> list[Any]:
        count = self.chance.randint(*SIZES[self.data.kind])
        rows: list[Any] = []
        seen: set[Any] = set()
        for number in range(1, count + 1):
            row = self._row(number)
            keys = set(_unique_keys(row))
            if keys and not keys & seen:
                seen |= keys
                rows.append(row)
        self._link_among_themselves(rows)
        return rows

    def _link_among_themselves(self, rows: list[Any]) -> None:
        for column in shape_of(self.model, self.data.world.members).columns:
            if column.refers_to is self.model:
                for row in rows:
                    if self.chance.random() < 0.7:
                        setattr(row, column.field.attname, self.chance.choice(rows).pk)

    def _pool(self, column: Column) -> Sequence[Any]:
        pool = list(POOLS[column.kind])
        if column.kind == "text":
            longest = column.field.max_length if column.field.get_internal_type() == "CharField" else 100
            pool = [text for text in pool if len(text) <= longest]
        if column.kind == "float" and self.model._meta.app_label == "nasty":
            pool += ODD_FLOATS[VENDOR]
        if column.kind == "decimal" and VENDOR != "sqlite" and column.field.max_digits >= 30:
            pool += LONG_DECIMALS
        if column.name == "huge":
            pool = list(HUGE)
        return self.chance.sample(pool, min(len(pool), self.chance.choice((2, 4, 8, 50))))

    def _row(self, number: int) -> Any:
        values = {}
        for column in shape_of(self.model, self.data.world.members).columns:
            if column.field.primary_key and column.refers_to is None and not self._has_natural_key():
                continue
            values[column.field.attname] = self._value(column, number)
        if any(value is _MISSING for value in values.values()):
            return None
        row = self.model(**values)
        special = _SPECIAL.get(self.model)
        if special is not None:
            special(row, number, self.chance, self.data)
        self._give_key(row, number)
        return row

    def _has_natural_key(self) -> bool:
        pk: Any = self.model._meta.pk
        return not isinstance(pk, models.AutoField) and not getattr(pk, "carries_bucket", None)

    def _value(self, column: Column, number: int) -> Any:
        field = column.field
        if column.refers_to is not None and column.refers_to in self.data.rows:
            others = self.data.rows[column.refers_to]
        elif column.refers_to is self.model:
            others = []  # they are linked afterwards
        elif column.refers_to is not None:
            return None  # to a table of another world; what may not be NULL is set afterwards
        else:
            others = None
        if field.null and (self.chance.random() < self.nulls or others == []):
            return None
        if others is not None:
            return self._reference(field, others)
        if field.unique:
            return _unique(column, number)
        pool = self.pools[column.name]
        return self.chance.choice(pool) if pool else ""

    def _reference(self, field: Any, others: list[Any]) -> Any:
        if others and self._may_be_lost(field) and self.chance.random() < self.lost:
            return GONE
        return self.chance.choice(others).pk if others else _MISSING

    def _may_be_lost(self, field: Any) -> bool:
        """Say whether a row may refer by *field* to one that is gone: nothing forbids it, no shard follows of it."""
        locates = any(
            field.attname in locator.attnames for locator in (self.placement.key, *self.placement.locators) if locator
        )
        return not field.db_constraint and not locates and isinstance(field.target_field, models.IntegerField)

    def _give_key(self, row: Any, number: int) -> None:
        pk: Any = self.model._meta.pk
        carries = getattr(pk, "carries_bucket", None)
        if carries == "uuid":
            bucket = bucket_of_instance(row, self.placement, "fuzz")
            row.pk = make_uuid(bucket, random=self.chance.randbytes, milliseconds=1_700_000_000_000 + number)
        elif carries:
            free = places_itself(self.placement)
            row.pk = (
                compose_id(number, self.chance.choice(self.data.buckets))
                if free
                else with_bucket(row, self.placement, number)
            )
        elif not self._has_natural_key():
            row.pk = number


_MISSING: Final = object()


def _unique_keys(row: Any) -> Iterator[tuple[Any, ...]]:
    """Yield what no two rows may have in common; nothing for a row that could not be made."""
    if row is None:
        return
    yield ("pk", row.pk)
    for constraint in row._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            yield (constraint.name, *(getattr(row, row._meta.get_field(name).attname) for name in constraint.fields))


def _unique(column: Column, number: int) -> Any:
    match column.kind:
        case "text":
            longest = column.field.max_length
            return f"{TEXTS[number % 12].strip()}{number}"[-longest:] if longest > 3 else f"{number:02}"
        case "uuid":
            return UUID(int=(number * 0x9E3779B97F4A7C15 % 2**64) << 64 | number)
    return number


# What the columns of some models demand of each other.


def _tag(row: Any, number: int, chance: random.Random, data: Data) -> None:
    target = chance.choice((Order, Order, Label))
    row.content_type = ContentType.objects.get_for_model(target)
    row.object_id = chance.choice(data.rows[target]).pk if data.rows[target] else number


def _number(row: Any, number: int, _chance: random.Random, _data: Data) -> None:
    row.number = number // 2


def _zone(row: Any, _number: int, chance: random.Random, _data: Data) -> None:
    row.zone = chance.choice((None, 0, 50, 100, 199, 200, 250, 300, 999))


def _room(row: Any, number: int, _chance: random.Random, _data: Data) -> None:
    row.tenant, row.number = number % 5, number // 5


_SPECIAL: Final[Mapping[type[models.Model], Callable[[Any, int, random.Random, Data], None]]] = {
    Tagged: _tag,
    Order: _number,
    Parcel: _zone,
    Room: _room,
}


def _link(data: Data, through: type[models.Model], chance: random.Random) -> list[Any]:
    """Make rows of a many-to-many table, each pair at most once."""
    sides: list[Any] = [field for field in through._meta.local_fields if field.is_relation]
    rows: list[Any] = []
    seen = set()
    for _ in range(chance.randint(*SIZES[data.kind])):
        if not all(data.rows[side.related_model] for side in sides):
            break
        pair = tuple(chance.choice(data.rows[side.related_model]).pk for side in sides)
        if pair not in seen:
            seen.add(pair)
            row: Any = through(**{side.attname: pk for side, pk in zip(sides, pair, strict=True)})
            row.pk = len(rows) + 1
            rows.append(row)
    return rows
