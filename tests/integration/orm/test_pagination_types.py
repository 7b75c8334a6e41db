"""Do pages by cursor hold each row once where values are hard to compare: NaN, spellings, tiny differences?"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, models
from django.db.models import F
from django.db.models.fields.json import KT
from django.db.models.functions import Lower

from shardkit.errors import OrderNotPageable
from shardkit.orm.paging.cursors import page_of
from tests.fix_shop import copy_to_oracle, same
from tests.nasty.models import Box, Thing

pytestmark = pytest.mark.django_db(databases="__all__")

#: Each column gets these in turn, so that every value meets NULL and its own kind on every shard.
VALUES: dict[str, list[Any]] = {
    "text": ["a", "A", "ä", "a ", "", None, "aa", "Z", "\U0001f600", "ﬁ", "'%s", "\\"],
    "caseless": ["Bob", "bob", "BOB", None, "ann", "Ann", "bob ", "Bób", ""],
    "binary": ["Bob", "bob", "BOB", "ann", "", "é"],
    "long": ["", "x", *(["x" * 2000, "x" * 2000 + "y"] if connection.vendor != "mysql" else [])],
    "small": [1, -1, None, 0],
    "huge": [2**63 - 1, -(2**63), 2**53, 2**53 + 1, 2**53 - 1, None],
    "real": [0.1 + 0.2, 0.3, -0.0, 0.0, 1e300, -1e300, 5e-324, None],
    "money": [Decimal("1.1000000001"), Decimal("1.1"), Decimal("-0"), Decimal(12345678901234567890), None],
    "flag": [True, False, None],
    "day": [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 2, 29), None],
    "at": [
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, 0, 0, 0, 999999, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        None,
    ],
    "clock": [dt.time(0), dt.time(0, 0, 0, 1), dt.time(23, 59, 59, 999999), None],
    "span": [dt.timedelta(0), dt.timedelta(microseconds=-1), dt.timedelta(days=400, microseconds=1), None],
    "uid": [UUID(int=0), UUID(int=2**128 - 1), UUID("00000000-0000-1000-8000-000000000001"), None],
    "blob": [b"", b"\x00", b"\xff\xfe", b"abc", None],
}


@pytest.fixture
def things() -> None:
    boxes = [Box.objects.create(name="first")]
    while len(boxes) < 12 or len({box.shard for box in boxes}) < 4:
        boxes.append(Box.objects.create(name="another"))
    count = 40
    columns = {
        name: [values[n * (step + 3) // 2 % len(values)] for n in range(count)]
        for step, (name, values) in enumerate(VALUES.items())
    }
    if connection.vendor == "postgresql":  # the others keep no NaN
        columns["real"][::7] = [float("nan")] * len(columns["real"][::7])
        columns["real"][3] = float("inf")
    Thing.objects.bulk_create(
        Thing(box=boxes[n * 5 % len(boxes)], **{name: values[n] for name, values in columns.items()})
        for n in range(count)
    )
    for model in (Box, Thing):
        copy_to_oracle(model)


def places(rows: models.QuerySet[Any], size: int) -> list[int]:
    """Return the primary keys of all rows, page by page there, and demand the same on the way back."""
    pages = [page_of(rows, size=size)]
    while pages[-1].next_cursor:
        assert len(pages) < 100
        pages.append(page_of(rows, size=size, cursor=pages[-1].next_cursor))
    there = [row.pk for page in pages for row in page]
    page, back = pages[-1], [row.pk for row in pages[-1]]
    while page.previous_cursor:
        page = page_of(rows, size=size, cursor=page.previous_cursor)
        back = [row.pk for row in page] + back
    assert back == there
    return there


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("name", VALUES)
def test_each_row_once_in_the_order_of_one_database(name: str) -> None:
    for order, tie in ((name, "pk"), (f"-{name}", "-pk")):
        rows, all_rows = Thing.objects.order_by(order), Thing.objects.order_by(order, tie)

        found = same(partial(places, rows, 6))

        assert found == same(partial(list, all_rows.values_list("pk", flat=True)))


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("order", [["caseless", "-real"], ["-money", "text"], ["flag", "-huge", "day"]], ids=str)
def test_ties_of_one_column_go_on_in_the_next(order: list[str]) -> None:
    found = same(lambda: places(Thing.objects.order_by(*order), 4))

    tie = "-pk" if order[-1].startswith("-") else "pk"
    assert found == same(lambda: [row.pk for row in Thing.objects.order_by(*order, tie)])


@pytest.mark.usefixtures("things")
def test_what_json_orders_is_refused() -> None:
    for order in ("data", "data__a", F("data__a"), KT("data__a"), Lower(KT("data__a"))):
        with pytest.raises(OrderNotPageable, match="JSON"):
            page_of(Thing.objects.order_by(order), size=2)


@pytest.mark.usefixtures("things")
@pytest.mark.skipif(connection.vendor != "postgresql", reason="no other database keeps a NaN")
def test_a_decimal_that_is_no_number_is_refused_where_a_page_ends_in_it() -> None:
    thing = Thing.objects.order_by("-money")[0]
    with connections[str(thing.shard)].cursor() as cursor:
        cursor.execute("UPDATE nasty_thing SET money = 'NaN' WHERE id = %s", [thing.pk])
    first = page_of(Thing.objects.filter(money__isnull=False).order_by("-money"), size=1)

    with pytest.raises(OrderNotPageable, match="NaN"):
        _ = first.next_cursor


@pytest.mark.usefixtures("things")
@pytest.mark.skipif(connection.vendor != "mysql", reason="other databases sort by all of a text")
def test_text_whose_end_does_not_count_in_the_order_is_refused_where_a_page_ends_in_it() -> None:
    Thing.objects.filter(long="x").update(long="x" * 2000)
    first = page_of(Thing.objects.order_by("-long"), size=1)

    with pytest.raises(OrderNotPageable, match="characters"):
        _ = first.next_cursor
