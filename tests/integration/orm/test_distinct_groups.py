"""Distinct rows of groups, which MariaDB itself may give twice, or with a mean of 0.

So the plain database is not the judge here: that the rows without DISTINCT, told apart in Python, are the answer is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import Avg, Count, Max, QuerySet, Value
from django.db.models.functions import Coalesce

from tests.shop.models import Customer, Line, Order

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("shop")]

Rows = QuerySet[Any, Any]

ORDERED: Callable[[], Rows] = lambda: Line.objects.values("order").annotate(  # noqa: E731
    lines=Count("order__lines__id"), products=Count("order__product__name", distinct=True)
)
SHAPES: dict[str, Callable[[], Rows]] = {
    "gathered": lambda: Line.objects.annotate(
        one=Count("order__lines__id") + Count("order__product__name", distinct=True), two=Coalesce(Count("*"), 0)
    ).values_list("one", "two"),
    "of instances": lambda: Line.objects.annotate(names=Count("order__product__name", distinct=True)).values_list(
        "qty", "names"
    ),
    "means": lambda: Order.objects.annotate(mean=Avg("weight"), names=Count("product__name") * 2).values_list(
        "mean", "names"
    ),
    "of one shard each": lambda: (
        Order.objects.values("customer").annotate(n=Count("status", distinct=True)).values_list("n", flat=True)
    ),
    "in parts": lambda: (
        Order.objects.values("status").annotate(n=Count("customer", distinct=True)).values_list("n", flat=True)
    ),
    "with having": lambda: ORDERED().filter(lines__gt=1).values_list("lines", "products"),
    "with related rows": lambda: Order.objects.select_related("customer").annotate(
        n=Count("lines__sku", distinct=True)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_row_stands_once(shape: str) -> None:
    every = list(SHAPES[shape]())
    found = list(SHAPES[shape]().distinct())
    assert len(found) == len(set(found))
    assert set(found) == set(every)
    assert all(row.customer.name for row in found if isinstance(row, Order))


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "with related rows"])
@pytest.mark.parametrize("cut", [slice(0, 3), slice(1, 5), slice(2, None)], ids=str)
def test_a_slice_is_one_of_distinct_rows(shape: str, cut: slice) -> None:
    rows = SHAPES[shape]()
    names = [*rows.query.values_select, *rows.query.annotation_select]
    found = list(rows.order_by(*names).distinct()[cut])
    assert found == list(rows.order_by(*names).distinct())[cut]
    assert len(found) == len(set(found))


def test_what_is_only_sorted_by_makes_rows_distinct_too() -> None:
    rows = Line.objects.annotate(n=Count("order__product__name", distinct=True)).order_by("-qty", "n")
    every = {(line.qty, line.n) for line in rows}
    found = list(rows.values_list("n", flat=True).distinct())
    assert found == [n for qty, n in sorted(every, key=lambda pair: (-pair[0], pair[1]))]


def test_what_is_only_sorted_by_makes_the_rows_of_shards_distinct_too() -> None:
    rows = Order.objects.values("customer").annotate(n=Count("status", distinct=True), last=Max("number"))
    every = {(row["n"], row["last"]) for row in rows}
    found = list(rows.order_by("-last", "n").values_list("n", flat=True).distinct())
    assert found == [n for n, last in sorted(every, key=lambda pair: (-pair[1], pair[0]))]


def test_they_are_counted_once() -> None:
    rows = SHAPES["gathered"]().distinct()
    assert rows.count() == len(set(rows))
    assert rows.aggregate(most=Max("two"), n=Count("*")) == {
        "most": max(two for _, two in set(rows)),
        "n": len(set(rows)),
    }


def test_constants_and_rows_without_an_order_by() -> None:
    rows = Customer.objects.annotate(n=Count("orders__status", distinct=True), one=Value(1)).values_list("one", "n")
    assert sorted(rows.distinct()) == sorted(set(rows))


def test_only_mariadb_needs_a_subquery() -> None:
    sql = str(SHAPES["of one shard each"]().distinct().query)
    assert ("qualify" in sql) is (connection.vendor == "mysql")
