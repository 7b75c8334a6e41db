"""Rows of several shards come in the database's order, which is not Python's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle, islice
from random import Random
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import connection, connections
from django.db.models import F, FloatField, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Collate, Concat, Length, Lower, NullIf, TruncMonth

from tests.fix_shop import copy_to_oracle, same
from tests.oracle import ORACLE
from tests.shop.models import Sample, SampleReport

pytestmark = pytest.mark.django_db(databases="__all__")

#: Texts that collations disagree about: case, accents, blanks at the end, punctuation, one letter equal to two.
TEXTS: Final = (
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "a",
    "A",
    "a ",
    "a  ",
    "a\t",
    "a\x01",
    "ab",
    "AB",
    "a b",
    "a-b",
    "aB",
    "á",
    "Á",
    "a\u0301",
    "ä",
    "Ä",
    "ae",
    "æ",
    "Æ",
    "az",
    "b",
    "B",
    "Z",
    "z",
    "ss",
    "ß",
    "SS",
    "straße",
    "strasse",
    "_",
    "-",
    "!",
    "1",
    "10",
    "2",
    "\uff19",
    "Ⅷ",
    "i",
    "I",
    "\u0131",
    "İ",
    "ñ",
    "n",
    "o",
    "ö",
    "ø",
    "日本",
    "かな",
    "カナ",
    "я",
    "Я",
    "😀",
    "\U0010ffff",
    "\uffff",
    "percent %s",
    "quote ' \" \\",
)
REALS: Final = (0.0, -0.0, 1.5, -1.5, 1e300, 5e-324, 0.1, 0.30000000000000004, 1e16, None)
NOT_EVERYWHERE: Final = (float("nan"), float("inf"), float("-inf"))
DOCUMENTS: Final[tuple[Any, ...]] = (
    {"a": 1},
    {"a": 2},
    {},
    [],
    [1, 2],
    [3],
    "text",
    "Text",
    7,
    70,
    8.0,
    True,
    False,
    {"b": [1]},
    None,
)
ADDRESSES: Final = ("10.0.0.9", "10.0.0.10", "9.255.0.1", "::1", "fe80::1", "192.168.0.1", None)
SPANS: Final = (dt.timedelta(0), dt.timedelta(days=30), dt.timedelta(days=-1), dt.timedelta(microseconds=7), None)
START: Final = dt.datetime(2024, 3, 30, 23, 59, 59, 999_999, tzinfo=dt.UTC)


@pytest.fixture(scope="module", autouse=True)
def samples(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[None]:
    request.getfixturevalue("django_db_setup")
    with django_db_blocker.unblock():
        Sample.objects.bulk_create(made())
        copy_to_oracle(Sample)
    yield
    with django_db_blocker.unblock():
        for alias in ("shard_0", "shard_1", "shard_2", "shard_3", ORACLE):
            Sample.objects.using(alias).all()._raw_delete(alias)


def made() -> list[Sample]:
    """Make each text three times, so that equal ones meet from different shards, between others in no order."""
    random = Random(20240229)  # noqa: S311 - the same rows each time
    reals = (*REALS, *NOT_EVERYWHERE) if connection.vendor == "postgresql" else REALS
    rows = []
    for number, text in enumerate(islice(cycle([*TEXTS, None]), 3 * len(TEXTS) + 3)):
        rows.append(
            Sample(
                spot=number,
                text=text if text is None or number % 7 else text * 40,
                name=text,
                folded=text,
                real=random.choice(reals),
                amount=random.choice((Decimal("0.1"), Decimal("-0.1"), Decimal(0), Decimal("1234567890.1234"), None)),
                day=random.choice((dt.date(1, 1, 1), dt.date(9999, 12, 31), START.date(), None)),
                moment=None if number % 9 == 0 else START + dt.timedelta(microseconds=random.choice((0, 1, 10, 10**9))),
                hour=random.choice((dt.time(0), dt.time(23, 59, 59, 999999), dt.time(12), None)),
                span=random.choice(SPANS),
                token=uuid_of(random),
                flag=random.choice((True, False, None)),
                blob=random.choice((b"", b"\x00", b"\xff", b"a", b"A\x00", None)),
                document=random.choice(DOCUMENTS),
                address=random.choice(ADDRESSES),
            )
        )
    random.shuffle(rows)
    return rows


def uuid_of(random: Random) -> UUID | None:
    """Make a UUID of some version: MariaDB sorts the older ones by other segments than the newer ones."""
    version = random.choice((None, 1, 4, 7, 8))
    if version is None:
        return None
    number = random.getrandbits(128) & ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=number | version << 76 | 0b10 << 62 | 1 << 56)  # it takes none of version 8 with a zero there


FIELDS: Final = tuple(field.name for field in Sample._meta.concrete_fields if field.name not in {"id", "spot"})


def by(*terms: Any) -> QuerySet[Sample]:
    """Order by *terms*; what they call equal is put in order by the id, so that a wrong tie shows."""
    return Sample.objects.order_by(*terms, "id")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_order_of_every_type(field: str, sign: str) -> None:
    same(lambda: list(by(f"{sign}{field}").values_list("pk", flat=True)))


def test_the_order_of_text_that_is_longer_than_its_model_says() -> None:
    same(lambda: list(SampleReport.objects.order_by("name", "id").values_list("pk", flat=True)))


@pytest.mark.parametrize("field", FIELDS)
def test_the_order_of_every_type_streamed(field: str) -> None:
    same(lambda: list(by(field).values_list("pk", flat=True).iterator(chunk_size=5)))
    same(lambda: list(by(F(field).desc(nulls_last=True)).values_list("pk", flat=True).iterator(chunk_size=5)))


@pytest.mark.parametrize("field", FIELDS)
def test_pages_of_every_type(field: str) -> None:
    same(lambda: [row.pk for low in range(0, 190, 40) for row in by(F(field).asc(nulls_first=True))[low : low + 40]])


EXPRESSIONS: Final[dict[str, Any]] = {
    "lower": Lower("folded"),
    "coalesce": Coalesce("folded", "name"),
    "cast": Cast("folded", TextField()),
    "concat": Concat("folded", Value("x"), "name"),
    "value": Coalesce("name", Value("a")),
    "length": Length("text"),
    "nullif": NullIf("real", Value(1.5, FloatField())),
    "json key": KT("document__a"),
    "json member": F("document__a"),
    "month": TruncMonth("moment"),
    "difference": F("moment") - Value(START),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_order_of_expressions(name: str) -> None:
    expression = EXPRESSIONS[name]

    same(lambda: list(by(expression.asc(nulls_first=True)).values_list("pk", flat=True)))
    same(lambda: list(by(expression.desc()).values_list("pk", flat=True)[5:50]))


#: Collations that PostgreSQL does not come with; the last two call different texts equal.
MADE: Final = {
    "of_libc": "provider = libc, locale = 'C.utf8'",
    "numbers_by_value": "provider = icu, locale = 'en-u-kn-true'",
    "capitals_first": "provider = icu, locale = 'en-u-kf-upper'",
    "no_case": "provider = icu, locale = 'und-u-ks-level2', deterministic = false",
    "no_accents": "provider = icu, locale = 'und-u-ks-level1', deterministic = false",
}


def collations() -> list[str]:
    """List collations of every sort: what this server has, or can be given."""
    match connection.vendor:
        case "sqlite":
            for one in connections.all():
                one.ensure_connection()
                one.connection.create_collation("backwards", lambda a, b: (a[::-1] > b[::-1]) - (a[::-1] < b[::-1]))
            return ["BINARY", "NOCASE", "RTRIM", "nocase", "backwards"]
        case "postgresql":
            for one in connections.all():
                with one.cursor() as cursor:
                    for name, options in MADE.items():
                        cursor.execute(f"CREATE COLLATION {name} ({options})")
            names = ("default", "C", "POSIX", "ucs_basic", "pg_c_utf8", "de-x-icu", "sv-x-icu", "da-x-icu", *MADE)
            table, column = "pg_collation", "collname"
        case _:
            names = tuple(
                f"utf8mb4_{name}"
                for name in (
                    *("bin", "general_ci", "unicode_ci", "unicode_520_ci", "swedish_ci", "danish_ci", "german2_ci"),
                    *("nopad_bin", "general_nopad_ci", "unicode_nopad_ci", "unicode_520_nopad_ci", "thai_520_w2"),
                    *("uca1400_as_cs", "uca1400_nopad_as_cs", "0900_ai_ci"),
                )
            )
            table, column = "information_schema.collation_character_set_applicability", "full_collation_name"
    with connections["shard_0"].cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table}")  # noqa: S608
        there = {name for (name,) in cursor.fetchall()}
    return [name for name in names if name in there]


@pytest.mark.parametrize("field", ["name", "text"])
def test_the_order_of_every_collation(field: str) -> None:
    for name in collations():
        collated = Collate(field, name)
        same(lambda: list(by(collated).values_list("pk", field)))  # noqa: B023
        same(lambda: list(by(collated.desc()).values_list("pk", field).iterator(chunk_size=3)))  # noqa: B023
