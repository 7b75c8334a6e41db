"""Does the database compute the bucket that Python computes?"""

# ruff: noqa: S608 - the SQL is what is tested, and its names are ours

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardkit.errors import BucketNotInSql, ShardKeyUnhashable, UnsupportedDatabase
from shardkit.topology.hashing import bucket_of
from shardkit.topology.ids import ID_LIMIT, bucket_of_id, bucket_of_uuid, compose_id, make_uuid
from shardkit.topology.names import BucketId
from shardkit.vendors.base import Vendor, kind_of
from shardkit.vendors.registry import vendor_of
from testapp.flights.models import Booking

# Django makes a shard's test database after default's, so a run of this file alone needs both.
pytestmark = pytest.mark.django_db(databases=["default", "shard_0"])

NEW_YORK = ZoneInfo("America/New_York")
EIGHT = UUID("01234567-89ab-8abc-bfff-ffffffffffff")
BLANKS = ["", " ", "  ", "N14228 ", " N14228", "\t", "\n", "\u00a0", "😀 "]
HARD_TEXTS = [*BLANKS, "7", "0", "~", "N14228", "n14228", "a" * 400, 'it\'s "%s" {0} \\', "Zürich", "Zu\u0308rich"]
HARD_TEXTS += ["東京", "✈️", "😀", "ﬀ", "ß", "İ", "\ufffd", "\uffff"]
HARD_DATES = ["2013-01-31", "1970-01-01", "1000-01-01", "0033-04-03", "0001-01-01", "9999-12-31"]
HARD_MOMENTS = [
    datetime(2013, 1, 31, 5, 6, 7, tzinfo=UTC),
    datetime(2013, 1, 31, 5, 6, 7, 1, tzinfo=UTC),
    datetime(2013, 1, 31, 5, 6, 7, 120000, tzinfo=UTC),
    datetime(2013, 11, 3, 1, 30, tzinfo=NEW_YORK),
    datetime(2013, 11, 3, 1, 30, fold=1, tzinfo=NEW_YORK),
    datetime(33, 4, 3, tzinfo=UTC),
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
HARD_DECIMALS = ["0", "-0.00", "7", 7, "7.10", "1.50", "-0.5", "100", "1E+3", "0.0001", "-0.0001", "9.95"]
HARD_DECIMALS += ["12345678901.2345", "99999999999.9999", "-99999999999.9999"]
HARD_FRACTIONS = ["0.000000000000001", "0.999999999999999", "-0.000012345678912", "0.0001", "0.00009999"]

# The SQL uses the names digest and number for itself: a column of that name must be the column.
FIELDS: dict[str, models.Field[Any, Any]] = {
    "digest": models.CharField(max_length=200, null=True),
    "number": models.BigIntegerField(null=True),
    "key": models.DecimalField(max_digits=15, decimal_places=4, null=True),
    "day": models.DateField(null=True),
    "at": models.DateTimeField(null=True),
    "tail uuid": models.UUIDField(null=True),
    "yes": models.BooleanField(null=True),
}


def uuid_from(noise: bytes) -> UUID:
    return make_uuid(BucketId(7), random=lambda _: noise, milliseconds=1_358_000_000_000)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ROWS = st.tuples(
    st.none() | TEXTS,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.decimals(-(10**10), 10**10, places=4),
    st.none() | st.dates(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.none() | st.uuids(version=4) | st.binary(min_size=8, max_size=8).map(uuid_from),
    st.none() | st.booleans(),
)


def decimals(*, places: int) -> models.Field[Any, Any]:
    return models.DecimalField(max_digits=15, decimal_places=places, null=True)


@pytest.fixture
def connection() -> BaseDatabaseWrapper:
    return connections["shard_0"]


@pytest.fixture
def vendor(connection: BaseDatabaseWrapper) -> Vendor:
    return vendor_of(connection)


_numbers = count()


class Table:
    """A temporary table with the columns that Django gives to *fields*."""

    def __init__(self, connection: BaseDatabaseWrapper, fields: dict[str, models.Field[Any, Any]]) -> None:
        self.connection, self.fields = connection, fields
        self.name = f"bucket_rows_{next(_numbers)}"  # MariaDB keeps temporary tables after a rollback
        for name, field in fields.items():
            field.set_attributes_from_name(name)
        columns = ", ".join(f"{self.quoted(name)} {field.db_type(connection)}" for name, field in fields.items())
        self._execute(f"CREATE TEMPORARY TABLE {self.name} (place integer, {columns})")

    def quoted(self, name: str) -> str:
        return self.connection.ops.quote_name(name)

    def fill(self, rows: Iterable[Sequence[object]]) -> None:
        marks = ", ".join(["%s"] * (len(self.fields) + 1))
        for place, row in enumerate(rows):
            values = [
                field.get_db_prep_save(value, self.connection)
                for field, value in zip(self.fields.values(), row, strict=True)
            ]
            self._execute(f"INSERT INTO {self.name} VALUES ({marks})", [place, *values])

    def buckets(self, names: Sequence[str], buckets: int) -> list[int]:
        columns = [(f"{self.name}.{self.quoted(name)}", kind_of(self.fields[name])) for name in names]
        return self.evaluate(vendor_of(self.connection).bucket_sql(columns, buckets))

    def evaluate(self, expression: str) -> list[int]:
        with_parameters = f"SELECT {expression} FROM {self.name} WHERE place >= %s ORDER BY place"
        found = self._execute(with_parameters, [0])
        assert found == self._execute(f"SELECT {expression} FROM {self.name} ORDER BY place")
        return [value for (value,) in found]

    def _execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def expected(fields: Iterable[models.Field[Any, Any]], row: Sequence[object], buckets: int) -> int:
    prepared = tuple(field.get_prep_value(value) for field, value in zip(fields, row, strict=True))
    return bucket_of(prepared, buckets)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        pytest.param(models.IntegerField(null=True), [0, 1, -1, 7, 2**31 - 1, -(2**31)], id="integer"),
        pytest.param(models.BigIntegerField(null=True), [0, 2**63 - 1, -(2**63)], id="big integer"),
        pytest.param(models.PositiveSmallIntegerField(null=True), [0, 2013, 32767], id="small integer"),
        pytest.param(models.BooleanField(null=True), [True, False], id="boolean"),
        pytest.param(models.CharField(max_length=400, null=True), HARD_TEXTS, id="text"),
        pytest.param(models.TextField(null=True), ["", "b ", "😀" * 500], id="long text"),
        pytest.param(models.SlugField(null=True), ["a-b"], id="slug"),
        pytest.param(models.EmailField(null=True), ["a@example.com"], id="email"),
        pytest.param(models.UUIDField(null=True), [UUID(int=0), UUID(int=2**128 - 1), EIGHT], id="uuid"),
        pytest.param(models.CharField(max_length=32, null=True), [EIGHT.hex], id="uuid as text"),
        pytest.param(models.DateField(null=True), HARD_DATES, id="date"),
        pytest.param(models.DateTimeField(null=True), HARD_MOMENTS, id="datetime"),
        pytest.param(decimals(places=0), ["0", "10", "-100", "999999999999999"], id="decimal without places"),
        pytest.param(decimals(places=4), HARD_DECIMALS, id="decimal"),
        pytest.param(decimals(places=15), HARD_FRACTIONS, id="decimal below one"),
    ],
)
def test_a_column_has_the_bucket_of_its_key(connection, field, values):
    table = Table(connection, {"digest": field})
    rows = [(value,) for value in [*values, None]]
    table.fill(rows)

    for buckets in (1, 1000, 1024, 4096):
        assert table.buckets(["digest"], buckets) == [expected([field], row, buckets) for row in rows]


@pytest.mark.parametrize(
    "names", [("digest", "number"), ("at", "digest", "key"), ("yes", "day", "tail uuid"), (*FIELDS,)]
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=20))
def test_several_columns_have_the_bucket_of_their_key(connection, names, rows):
    """The rows that Django stores have the bucket of what they were made of, for every combination of columns."""
    table = Table(connection, FIELDS)
    table.fill(rows)

    places = [list(FIELDS).index(name) for name in names]
    fields = [FIELDS[name] for name in names]
    assert table.buckets(names, 4096) == [expected(fields, [row[place] for place in places], 4096) for row in rows]


def test_a_number_and_its_text_have_one_bucket(connection):
    fields: dict[str, models.Field[Any, Any]] = {
        "as_text": models.CharField(max_length=20),
        "as_number": models.IntegerField(),
        "as_decimal": models.DecimalField(max_digits=9, decimal_places=2),
    }
    table = Table(connection, fields)
    table.fill([("0", 0, 0), ("7", 7, 7), ("-100", -100, -100)])

    assert table.buckets(["as_text"], 4096) == table.buckets(["as_number"], 4096) == table.buckets(["as_decimal"], 4096)


def test_an_id_tells_its_bucket_in_sql(connection, vendor):
    ids = [0, 4095, compose_id(1, BucketId(0)), compose_id(77, BucketId(1023)), ID_LIMIT - 1]
    table = Table(connection, {"number": models.BigIntegerField()})
    table.fill([(id_,) for id_ in ids])

    assert table.evaluate(vendor.id_bucket_sql(table.quoted("number"))) == [bucket_of_id(id_) for id_ in ids]


def test_a_uuid_tells_its_bucket_in_sql(connection, vendor):
    uuids = [
        make_uuid(BucketId(bucket), random=bytes, milliseconds=bucket * 7**9) for bucket in (0, 1, 10, 0xABC, 4095)
    ]
    table = Table(connection, {"number": models.UUIDField()})
    table.fill([(uuid,) for uuid in uuids])

    assert table.evaluate(vendor.uuid_bucket_sql(table.quoted("number"))) == [bucket_of_uuid(uuid) for uuid in uuids]


def test_a_long_decimal_has_the_bucket_of_its_key_or_is_refused(connection, vendor):
    field = models.DecimalField(max_digits=30, decimal_places=10)
    values = [Decimal("12345678901234567890.0123456789"), Decimal("-0.0000000001"), Decimal(100)]
    table = Table(connection, {"key": field})
    table.fill([(value,) for value in values])

    if vendor.name == "SQLite":
        with pytest.raises(BucketNotInSql, match="SQLite cannot compute the bucket of a long_decimal column in SQL"):
            table.buckets(["key"], 1024)
    else:
        assert table.buckets(["key"], 1024) == [bucket_of((value,), 1024) for value in values]


def test_naive_datetimes_have_the_bucket_of_their_key_or_are_refused(connection, vendor, settings):
    field = models.DateTimeField()
    moment = datetime(2013, 3, 10, 2, 30)  # noqa: DTZ001 - what daylight saving skips in New York
    table = Table(connection, {"at": field})
    settings.USE_TZ = False
    table.fill([(moment,)])

    if vendor.name == "PostgreSQL":
        with pytest.raises(BucketNotInSql, match="daylight saving"):
            table.buckets(["at"], 1024)
    else:
        assert table.buckets(["at"], 1024) == [bucket_of((moment,), 1024)]


def test_a_database_with_its_own_time_zone_keeps_utc_or_is_refused(connection, vendor, monkeypatch):
    monkeypatch.setattr(connection, "timezone", NEW_YORK)

    if vendor.name == "PostgreSQL":
        assert "AT TIME ZONE 'UTC'" in vendor.text_sql("at", "datetime")
    else:
        with pytest.raises(BucketNotInSql, match="leave TIME_ZONE out of the entry in DATABASES"):
            vendor.text_sql("at", "datetime")


def test_the_binary_collation_compares_code_points(connection, vendor):
    name = vendor.binary_collation
    collate = "" if name is None else f"COLLATE {connection.ops.quote_name(name)}"
    texts = ["", "A", "A ", "Z", "a", "Ä", "ﬀ", "😀"]
    table = Table(connection, {"key": models.CharField(max_length=9)})
    table.fill([(text,) for text in reversed(texts)])

    with connection.cursor() as cursor:
        key = table.quoted("key")
        cursor.execute(f"SELECT {key} FROM {table.name} WHERE {key} {collate} <> 'a ' ORDER BY {key} {collate}")
        assert [text for (text,) in cursor.fetchall()] == texts


def test_the_vendor_knows_whether_constraints_wait_for_the_commit(connection, vendor):
    assert vendor.defers_constraints == connection.features.can_defer_constraint_checks


@pytest.mark.parametrize(
    "field", [models.FloatField(), models.JSONField(), models.BinaryField(), models.DurationField()]
)
def test_a_field_without_a_canonical_text_is_refused(field):
    with pytest.raises(ShardKeyUnhashable, match=f"cannot be a {type(field).__name__}"):
        kind_of(field)


def test_a_foreign_key_holds_what_it_points_at():
    assert kind_of(Booking._meta.get_field("traveller")) == "int"


def test_an_unknown_vendor_is_refused(connection, monkeypatch):
    monkeypatch.setattr(connection, "vendor", "oracle")

    with pytest.raises(UnsupportedDatabase, match="'shard_0' is oracle"):
        vendor_of(connection)
