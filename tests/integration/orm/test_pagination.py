"""Do pages by cursor hold the rows of one database, each once, whatever happens between them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Length, Lower, TruncDate

from shardkit.orm.cursors import CursorPage
from tests.fix_shop import Shop, same
from tests.shop.models import Answer, Customer, Document, Gadget, Line, Order, Profile, Reading, Room, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

ORDERS: dict[str, Callable[[], QuerySet[Any, Any]]] = {
    "the primary key alone": Order.objects.all,
    "Meta.ordering": Answer.objects.all,
    "reversed": lambda: Answer.objects.reverse(),
    "text with ties": lambda: Customer.objects.order_by("name"),
    "text, descending": lambda: Customer.objects.order_by("-name"),
    "NULLs": lambda: Customer.objects.order_by("score"),
    "NULLs, descending": lambda: Customer.objects.order_by("-score"),
    "NULLs last": lambda: Customer.objects.order_by(F("score").asc(nulls_last=True)),
    "NULLs first, descending": lambda: Customer.objects.order_by(F("score").desc(nulls_first=True)),
    "two directions": lambda: Order.objects.order_by("status", "-total", "number"),
    "NULLs behind another key": lambda: Order.objects.order_by("status", "weight"),
    "NULL text": lambda: Order.objects.order_by("note", "-status"),
    "decimals": lambda: Order.objects.order_by("-total"),
    "an expression of decimals": lambda: Order.objects.order_by(F("total") / 3),
    "floats": lambda: Order.objects.order_by("weight"),
    "microseconds": lambda: Order.objects.order_by("-created"),
    "dates": lambda: Order.objects.order_by(TruncDate("created")),
    "a UUID": lambda: Document.objects.order_by("pk"),
    "a foreign key": lambda: Order.objects.order_by("customer"),
    "a colocated row's column": lambda: Order.objects.order_by("customer__name", "-number"),
    "a column of the same name there": lambda: Order.objects.order_by("customer__id", "id"),
    "a copied row's column, or none": lambda: Customer.objects.order_by("country__name"),
    "an expression": lambda: Customer.objects.order_by(Lower("name").desc(), Length("email")),
    "an annotation": lambda: Customer.objects.annotate(size=Length("name")).order_by("size", "-email"),
    "an annotation by alias()": lambda: Customer.objects.alias(size=Length("name")).order_by("-size"),
    "a count": lambda: Customer.objects.annotate(n=Count("orders")).order_by("-n"),
    "a count among conditions": lambda: Customer.objects.annotate(n=Count("orders")).filter(n__gt=0).order_by("n"),
    "a composite primary key": lambda: Room.objects.order_by("name"),
    "a composite primary key alone": lambda: Room.objects.order_by("-pk"),
    "a foreign key as the primary key": lambda: Profile.objects.order_by("-bio"),
    "a natural primary key": lambda: Gadget.objects.order_by("price"),
    "another key's rows": lambda: Shipment.objects.order_by("-cost"),
    "conditions": lambda: Order.objects.filter(status__in=["new", "paid"], total__gt=3).order_by("-number"),
    "distinct": lambda: Order.objects.filter(lines__qty__gt=0).distinct().order_by("-created"),
    "deferred": lambda: Customer.objects.only("email").order_by("name"),
    "related rows": lambda: Line.objects.select_related("order__customer").order_by("order__customer__email", "sku"),
    "values": lambda: Customer.objects.values("email", "name").order_by("score"),
    "values_list": lambda: Customer.objects.values_list("email", "score").order_by("-name"),
    "a flat list": lambda: Customer.objects.values_list("email", flat=True).order_by("name"),
    "no row": lambda: Customer.objects.none().order_by("name"),
    "floats of a composite key": lambda: Reading.objects.order_by("year", "-value"),
}


def forward(rows: QuerySet[Any, Any], size: int) -> list[CursorPage[Any]]:
    pages = [paged(rows, size, None)]
    while pages[-1].next_cursor:
        assert len(pages) < 100
        pages.append(paged(rows, size, pages[-1].next_cursor))
    return pages


def backward(rows: QuerySet[Any, Any], size: int, last: CursorPage[Any]) -> list[CursorPage[Any]]:
    pages = [last]
    while pages[0].previous_cursor:
        assert len(pages) < 100
        pages.insert(0, paged(rows, size, pages[0].previous_cursor))
    return pages


def paged(rows: QuerySet[Any, Any], size: int, cursor: str | None) -> CursorPage[Any]:
    from shardkit.orm.cursors import page_of

    return page_of(rows, size=size, cursor=cursor)


def walk(make: Callable[[], QuerySet[Any, Any]], size: int) -> Any:
    """Return all rows, page by page there and back."""
    there = forward(make(), size)
    back = backward(make(), size, there[-1])
    assert [row for page in there for row in page] == [row for page in back for row in page]
    assert all(len(page) == size for page in there[:-1])
    return [row for page in there for row in page]


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("name", ORDERS)
def test_there_and_back_in_the_order_of_one_database(shop: Shop, name: str, size: int) -> None:
    del shop

    rows = same(lambda: walk(ORDERS[name], size), ordered=True)

    assert Counter(map(repr, rows)) == Counter(map(repr, ORDERS[name]()))
