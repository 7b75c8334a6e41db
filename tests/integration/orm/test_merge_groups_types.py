"""Groups and aggregates of every type: as the database compares, adds and divides, not as Python does."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from django.db import OperationalError
from django.db.models import Avg, Count, F, Max, Min, Q, StdDev, Sum, Variance
from django.db.models.functions import Collate

from shardkit.routing import owners
from tests.fix_shop import outcome, same
from tests.fix_things import close, columns, same_of_each
from tests.nasty.models import BINARY, VENDOR, Thing, Tone
from tests.oracle import ORACLE

pytestmark = pytest.mark.django_db(databases="__all__")

#: PostgreSQL keeps these in a column of floats; SQLite turns the one into NULL, and MariaDB refuses both.
NAN, INFINITY = math.nan, math.inf


def test_a_spread_far_from_zero(things: Callable[..., None]) -> None:
    """Sums of squares of floats lose it: 18.1 instead of 0.28."""
    things(columns(real=[1e9 + n * 0.618 % 1 for n in range(200)], small=[n % 7 for n in range(200)]))

    close(
        lambda: Thing.objects.aggregate(
            a=StdDev("real"), b=StdDev("real", sample=True), c=Variance("real"), d=Variance("real", sample=True)
        ),
        within=1e-6,
    )
    assert 0.28 < Thing.objects.aggregate(n=StdDev("real"))["n"] < 0.3
    for row in Thing.objects.order_by().values("small").annotate(n=StdDev("real")):
        assert 0.2 < row["n"] < 0.4


def test_a_spread_of_wide_integers(things: Callable[..., None]) -> None:
    # MariaDB computes with floats, and its own answer is 0.5 % off where they have no room for the last bit.
    first = 2**40 if VENDOR == "mysql" else 2**53
    things(columns(huge=[first + n * n for n in range(40)], small=[n % 3 for n in range(40)]))

    close(lambda: Thing.objects.aggregate(a=StdDev("huge"), b=Variance("huge", sample=True)), within=1e-6)
    close(lambda: Thing.objects.aggregate(Avg("huge")), within=1e-15 if VENDOR == "sqlite" else 0)
    same(lambda: Thing.objects.order_by("small").values("small").annotate(a=Sum("huge"), b=Min("huge"), c=Max("huge")))


def test_a_sample_of_one_has_no_spread(things: Callable[..., None]) -> None:
    things(columns(small=[1, 2, 2, 2], real=[1.5, 2.5, 3.5, 4.5], money=[Decimal(n) / 4 for n in range(4)]))
    spreads = {
        name: kind(column, sample=sample)
        for name, kind, column, sample in (
            ("a", StdDev, "real", True),
            ("b", Variance, "money", True),
            ("c", StdDev, "money", False),
            ("d", Variance, "real", False),
        )
    }
    # SQLite's functions, which are Python's, raise an error for a sample of one.
    error = OperationalError if VENDOR == "sqlite" else None

    same(lambda: Thing.objects.values("small").annotate(**spreads).order_by("small"), error=error)
    same(lambda: Thing.objects.filter(small=2).aggregate(**spreads))


def test_digits_of_decimals(things: Callable[..., None]) -> None:
    """A quotient has the digits that the database gives it, of the whole and not of parts."""
    values = [Decimal(n * n * 7919 % 100003) / 1000 for n in range(23)]
    things(columns(money=values, small=[n % 4 for n in range(23)]))

    same(lambda: Thing.objects.aggregate(Avg("money"), Sum("money"), a=Avg("money") * 3, b=Sum("money") / 7))
    same(lambda: Thing.objects.order_by("small").values("small").annotate(a=Avg("money"), b=Sum("money") / Count("pk")))
    same(lambda: Thing.objects.values("small").annotate(a=Avg("money")).filter(a__gt=Decimal("45.0001")).order_by("a"))
    close(lambda: Thing.objects.aggregate(a=StdDev("money"), b=Variance("money", sample=True)))
    if VENDOR == "postgresql":
        same(lambda: Thing.objects.aggregate(StdDev("money"), a=Variance("money", sample=True), b=Variance("small")))
        same(lambda: Thing.objects.values("small").annotate(a=StdDev("money"), b=StdDev("small")).order_by("small"))


def test_integers_stay_integers(things: Callable[..., None]) -> None:
    """PostgreSQL divides the sum of small integers as an integer, that of wide ones not."""
    things(columns(small=[1, 2, 4, None, 7], huge=[1, 2, 4, 8, None]))

    same(
        lambda: Thing.objects.aggregate(a=Sum("small") / 2, b=Sum("huge") / 4, c=Count("small") / 3, d=Avg("small") / 2)
    )
    same(lambda: Thing.objects.aggregate(a=Sum(F("small") + F("huge")) / 2, b=Max("small") / 2, c=Max("huge") / 3))


def test_an_integer_that_is_too_great(things: Callable[..., None]) -> None:
    """The sum of parts overflows where the sum of all does."""
    things(columns(huge=[2**63 - 1, 2**63 - 1, 1]))

    same(lambda: Thing.objects.aggregate(Sum("huge")), error=OperationalError if VENDOR == "sqlite" else None)
    same(lambda: Thing.objects.aggregate(Max("huge"), Avg("huge")))


@pytest.mark.skipif(VENDOR == "mysql", reason="its floats are finite")
def test_numbers_that_are_none(things: Callable[..., None]) -> None:
    values = [1.5, INFINITY, 2.5, -INFINITY, NAN, 0.5, INFINITY, -0.0, 0.0]
    things(columns(real=values, small=[0, 0, 0, 0, 0, 1, 1, 2, 2]))

    close(lambda: Thing.objects.aggregate(Min("real"), Max("real"), Sum("real"), Avg("real"), n=Count("real")))
    close(lambda: Thing.objects.filter(small=1).aggregate(Min("real"), Max("real"), Sum("real"), Avg("real")))
    same(lambda: Thing.objects.aggregate(n=Count("real", distinct=True)))
    same(lambda: Thing.objects.values("small").annotate(n=Count("real", distinct=True)).order_by("small"))
    if VENDOR == "postgresql":
        close(lambda: Thing.objects.filter(small=0).aggregate(a=StdDev("real"), b=Variance("real", sample=True)))
        close(lambda: Thing.objects.filter(small=1).aggregate(a=StdDev("real"), b=Variance("real", sample=True)))


def test_groups_of_numbers_that_are_equal(things: Callable[..., None]) -> None:
    things(
        columns(real=[0.0, -0.0, 0.0, 1.0, 1, 2.5], money=[Decimal(n) for n in ("0", "1.0", "1.00", "1", "0.0", "2")])
    )

    numbers = ("real", "money")
    same_of_each(numbers, lambda name: Thing.objects.order_by(name).values(name).annotate(n=Count("pk")))
    same_of_each(numbers, lambda name: Thing.objects.order_by(name).values_list(name, flat=True).distinct())


TEXTS: Final = ("a", "A", "á", "b", "B", "Ab", "aB", "a ", "", "ß", "ss", "z", "Z", "é", "10", "9", None)


def test_text_is_one_group_where_the_collation_says_so(things: Callable[..., None]) -> None:
    """Which spelling stands for the group is any, on one database too."""
    things(columns(text=TEXTS, caseless=TEXTS, small=range(len(TEXTS))))

    texts = ("text", "caseless")
    same_of_each(
        texts,
        lambda name: sorted(
            Thing.objects.values(name)
            .annotate(n=Count("pk"), least=Min("small"))
            .order_by(name)
            .values_list("n", "least")
        ),
    )
    same_of_each(texts, lambda name: Thing.objects.values(name).distinct().count())
    same_of_each(texts, lambda name: Thing.objects.aggregate(n=Count(name, distinct=True)))
    same_of_each(
        texts, lambda name: Thing.objects.order_by(Collate(name, BINARY)).values(x=Collate(name, BINARY)).distinct()
    )


def test_least_and_greatest_text(things: Callable[..., None]) -> None:
    texts = ("zebra", "Zulu", "ähre", "Apfel", "apfel2", "Émile", "emil", "10", "9", "_")
    things(columns(text=texts, caseless=texts, long=texts, small=[n % 3 for n in range(len(texts))]))
    ends = {
        f"{name}_{column}": kind(column)
        for name, kind in (("least", Min), ("most", Max))
        for column in ("text", "caseless", "long")
    }

    same(
        lambda: Thing.objects.aggregate(**ends, binary=Min(Collate("text", BINARY)), most=Max(Collate("long", BINARY)))
    )
    same(lambda: Thing.objects.values("small").annotate(**ends).order_by("small"))
    same(lambda: Thing.objects.values("small").annotate(least=Min("text")).order_by("least", "small"))


def test_groups_are_ordered_by_their_collation(things: Callable[..., None]) -> None:
    texts = ("zebra", "Zulu", "ähre", "Apfel", "apfel2", "Émile", "emil", "10", "9", "_", "zebra")
    things(columns(text=texts, caseless=texts))

    ordered = ("text", "caseless")
    same_of_each(ordered, lambda name: Thing.objects.values(name).annotate(n=Count("pk")).order_by(name))
    same_of_each(ordered, lambda name: Thing.objects.values_list(name).distinct().order_by(f"-{name}")[2:7])


MOMENT: Final = dt.datetime(2024, 3, 31, 0, 30, tzinfo=dt.UTC)


def test_groups_of_every_type(things: Callable[..., None]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "flag": None if n % 5 == 4 else n % 2 == 0,
            "day": MOMENT.date() + dt.timedelta(days=n % 3),
            "at": MOMENT + dt.timedelta(hours=n % 4, microseconds=n % 2),
            "clock": dt.time(n % 3, 59, 59, 999999 * (n % 2)),
            "span": dt.timedelta(days=n % 3, microseconds=n % 2),
            "uid": uuid.UUID(int=n % 4 << 100),
            "blob": bytes([0, n % 3, 255]),
            "data": {"a": n % 2, "b": [n % 3]},
            "huge": 2**62 + n % 3,
        }
        for n in range(24)
    ]
    things(rows)
    scalars = ("flag", "day", "at", "clock", "span", "uid", "blob", "huge")
    same_of_each(scalars, lambda name: Thing.objects.values(name).annotate(n=Count("pk")).order_by(name))
    same_of_each(scalars, lambda name: Thing.objects.aggregate(n=Count(name, distinct=True)))
    same_of_each(
        ("data", "data__a", "data__b"),
        lambda name: Thing.objects.order_by().values(name).annotate(n=Count("pk"), m=Max("at")),
        ordered=False,
    )
    same_of_each(
        ("day", "at", "clock", "span"),
        lambda name: Thing.objects.order_by("flag").values("flag").annotate(a=Min(name), b=Max(name)),
    )
    same(lambda: Thing.objects.aggregate(Sum("span"), Avg("span"), n=Max("at") - Min("at")))


def test_all_rows_on_one_shard(things: Callable[..., None]) -> None:
    things(columns(text=["a", "b", "a"], real=[1.5, 2.5, 4.0], money=[Decimal("0.1")] * 3), on=[2])

    same(
        lambda: (
            Thing.objects.values("text").annotate(a=Avg("real"), b=Variance("money"), c=Max("text")).order_by("text")
        )
    )
    same(
        lambda: Thing.objects.aggregate(
            a=Avg("real"), b=Variance("real"), c=Max("text"), d=Count("text", distinct=True)
        )
    )


def test_columns_of_nothing(things: Callable[..., None]) -> None:
    """Every shard has rows, none a value."""
    things(columns(small=range(6)))

    same(
        lambda: Thing.objects.aggregate(
            *(kind(column) for kind in (Sum, Avg, Min, Max, Count) for column in ("money", "real", "huge")),
            Max("text"),
            n=Count("text", distinct=True),
        )
    )
    if VENDOR != "sqlite":  # Python's statistics take no NULL
        same(lambda: Thing.objects.aggregate(StdDev("real"), Variance("money"), n=Variance("huge", sample=True)))


def test_text_of_copied_rows(things: Callable[..., None]) -> None:
    """The group is a row that every shard has, and its name ignores case."""
    tones = [Tone.objects.create(name=name, level=n) for n, name in enumerate(("low", "Low", "high"))]
    Tone.objects.using(ORACLE).bulk_create(tones)
    things([{"tone": tones[n % 3], "small": n} for n in range(12)])

    same(
        lambda: sorted(
            Thing.objects.order_by().values("tone__name").annotate(n=Count("pk")).values_list("n", flat=True)
        )
    )
    same(
        lambda: (
            Tone.objects.filter(things__small__gt=2).annotate(n=Count("things"), a=Avg("things__small")).order_by("pk")
        )
    )
    same(lambda: Thing.objects.filter(Q(tone__name="LOW")).aggregate(n=Count("tone__name", distinct=True)), plan=None)


def test_what_values_are_is_asked_once(things: Callable[..., None]) -> None:
    """The second statement of the same shape asks each shard once, and the logical database once."""
    things(columns(text=["a", "b", "a"], small=[1, 2, 3]))
    groups = Thing.objects.order_by("text").values("text").annotate(n=Sum("small"), s=Avg("small"))
    outcome(lambda: groups.filter(small__gt=0))

    seen = outcome(lambda: groups.filter(small__gt=1)).seen

    assert dict.fromkeys([*owners.all_aliases(), "default"], 1) == dict(seen), seen.texts
