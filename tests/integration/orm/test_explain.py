"""Is it said what a query does: in words, and in those of each database?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.models import Avg, Count, Exists, F, OuterRef, Q, Sum, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import RowNumber

from shardkit.errors import CrossDatabaseQuery
from shardkit.routing.plan import Gather, Local, Merge, Recipe
from shardkit.signals import query_planned
from tests.fix_deployment import deployment  # noqa: F401 - a fixture
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop
from tests.shop.models import Country, Customer, Invoice, Label, Line, Order, Product, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")


def headings(text: str) -> list[str]:
    return [line.removeprefix("-- ") for line in text.splitlines() if line.startswith("-- ")]


def test_the_plan_of_one_shard_in_words(shop: Shop) -> None:
    plan = Order.objects.filter(customer=shop.customer_on(2)).route()

    assert str(plan).startswith("Single: the statement runs on shard_2\n  because its ")


def test_the_plan_of_no_shard_in_words() -> None:
    assert str(Country.objects.order_by("name").route()) == (
        "Local: the statement runs on default\n  because it names no sharded table"
    )


def test_a_merge_in_words() -> None:
    plan = Order.objects.filter(total__gt=3).order_by("-total")[10:30].route()

    assert str(plan).splitlines() == [
        "Merge: shard_0, shard_1, shard_2, shard_3",
        "  because it does not say the shard key of shop.Order (customer)",
        "  each shard: the conditions, the order, the first 30 rows",
        "  then their rows become one sequence here",
    ]


def test_groups_in_words() -> None:
    rows: Any = Order.objects.values("status").annotate(n=Count("pk"), mean=Avg("total")).order_by("-n")

    plan = rows.route()

    assert isinstance(plan, Merge)
    assert plan.recipe is Recipe.GROUPS
    assert plan.pushed == ("all rows", "its part of each group and aggregate")
    assert "a database makes whole groups" in str(plan)


def test_whole_groups_and_distinct_rows_in_words() -> None:
    groups = Customer.objects.annotate(n=Count("orders")).filter(n__gt=1).route()
    distinct = Customer.objects.filter(orders__number=1).distinct().route()

    assert isinstance(groups, Merge)
    assert isinstance(distinct, Merge)
    assert groups.pushed == ("the conditions", "whole groups")
    assert distinct.pushed == ("the conditions", "distinct rows")


def test_a_gather_in_words() -> None:
    plan = Order.objects.filter(product__price__gt=3).route()

    assert isinstance(plan, Gather)
    assert "because it joins shop_order with shop_product, which is only on 'default'" in str(plan)
    assert "each shard: the conditions that it can judge, only the columns that are needed" in str(plan)


#: What somebody who listens is told of a statement: each line of its plan after the first two.
IN_WORDS: dict[str, tuple[Any, list[str]]] = {
    "a count": (
        lambda: Order.objects.filter(total__gt=3).count(),
        ["each shard: the conditions, its part of each aggregate", "then their parts become the whole here"],
    ),
    "a mean": (
        lambda: Order.objects.aggregate(Avg("total")),
        [
            "each shard: all rows, its part of each aggregate",
            "then a database makes whole groups and aggregates of their parts",
        ],
    ),
    "distinct rows": (
        lambda: list(Order.objects.values("status").distinct()),
        [
            "each shard: all rows, its distinct rows",
            "then a database makes whole groups and aggregates of their parts",
        ],
    ),
    "a count of groups": (
        lambda: Order.objects.values("status").annotate(n=Count("pk")).filter(n__gt=1).count(),
        [
            "each shard: the conditions, its part of each group and aggregate",
            "then a database makes whole groups and aggregates of their parts",
        ],
    ),
    "whether there are any": (
        lambda: Order.objects.filter(total__gt=3).exists(),
        ["each shard: the conditions, the first row", "then their rows become one sequence here"],
    ),
    "a page": (
        lambda: Order.objects.order_by("total").cursor_page(size=3),
        ["each shard: all rows, the order, the first 4 rows", "then their rows become one sequence here"],
    ),
    "an update": (
        lambda: Order.objects.filter(total__gt=3).update(note="x"),
        ["each shard: the conditions", "then the numbers of their rows are added"],
    ),
    "a delete": (
        lambda: Line.objects.all().delete(),
        ["each shard: all rows", "then the numbers of their rows are added"],
    ),
    "an update that gathers": (
        lambda: Shipment.objects.filter(order__status="new").update(cost=1),
        [
            "each shard: the conditions that it can judge, only the columns that are needed",
            "then the keys of the rows are found over these, and the rows are written wherever they are",
        ],
    ),
    "an insert of copies": (
        lambda: Label.objects.create(name="x"),
        ["each shard: the same write", "then every copy is the same"],
    ),
    "an update of copies that shards choose": (
        lambda: Label.objects.filter(order__number=1).update(name="x"),
        [
            "each shard: the conditions",
            "then the keys of the rows are found over these, and the rows are written wherever they are",
        ],
    ),
}


@contextmanager
def told_plans() -> Iterator[list[Any]]:
    plans: list[Any] = []

    def note(plan: Any, **_: Any) -> None:
        plans.append(plan)

    query_planned.connect(note)
    try:
        yield plans
    finally:
        query_planned.disconnect(note)


@pytest.mark.parametrize("name", IN_WORDS)
def test_whoever_listens_hears_what_each_shard_does(shop: Shop, name: str) -> None:
    del shop
    act, expected = IN_WORDS[name]
    with told_plans() as plans:
        act()

    assert expected == [line.strip() for line in str(plans[0]).splitlines()[2:]]


def test_the_next_page_has_a_condition(shop: Shop) -> None:
    assert shop.orders
    page = Order.objects.order_by("-total").cursor_page(size=3)
    with told_plans() as plans:
        Order.objects.order_by("-total").cursor_page(size=3, cursor=page.next_cursor)

    assert "each shard: the conditions, the order, the first 4 rows" in str(plans[0])


with_product = Order.objects.select_related("product")


@pytest.mark.parametrize(
    ("rows", "shards"),
    [
        (lambda s: with_product.filter(customer=s.customer_on(2)), [2]),
        (lambda s: Line.objects.filter(order__customer=s.customer_on(1)).select_related("order__product"), [1]),
        (lambda s: with_product.filter(customer__in=[s.customer_on(0), s.customer_on(3)]), [0, 3]),
        (
            lambda s: Order.objects.filter(customer=s.customer_on(0)).union(
                Order.objects.filter(customer=s.customer_on(1))
            ),
            [0, 1],
        ),
        (lambda s: Order.objects.filter(customer=s.customer_on(2)).filter(shipments__cost__gt=1), [0, 1, 2, 3]),
        (lambda s: with_product.exclude(customer=s.customer_on(2)), [0, 1, 2, 3]),
        (
            lambda s: Order.objects.filter(customer=s.customer_on(2), product__name="x").extra(
                where=["shop_order.id IN (SELECT order_id FROM shop_line)"]
            ),
            [0, 1, 2, 3],
        ),
    ],
)
def test_a_gather_names_the_shards_that_it_may_ask(shop: Shop, rows: Any, shards: list[int]) -> None:
    queryset = rows(shop)

    plan = queryset.route()

    assert (Gather, [shop.shards[n] for n in shards]) == (type(plan), list(plan.aliases))
    with queries_by_database() as seen:
        list(queryset.all())
    assert set(seen) - {"default"} <= set(plan.aliases), seen.texts


def test_a_gather_of_no_shard_in_words(shop: Shop) -> None:
    one, other = shop.customer_on(0), shop.customer_on(1)
    rows = Order.objects.filter(customer=one).filter(customer=other).select_related("product")

    assert str(rows.route()).startswith("Gather: no shard\n")
    assert [] == list(rows)


def test_a_refusal_in_words() -> None:
    plan = Invoice.objects.filter(number__in=Product.objects.values("pk")).route()

    assert str(plan).startswith("Refuse: shop_invoice (on 'audit'), shop_product\n  because they live")


def test_words_do_not_make_plans_differ() -> None:
    assert Merge((), "why", pushed=("all",)) == Merge((), "why")
    assert "pushed" not in repr(Merge((), "why", pushed=("all",)))


def test_a_route_asks_no_database() -> None:
    groups: Any = Order.objects.values("status").annotate(n=Count("pk"))

    with queries_by_database() as seen:
        Order.objects.filter(product__price__gt=3).order_by("-total")[:3].route()
        groups.route()

    assert not seen


def test_one_database_has_no_routes(deployment: str) -> None:  # noqa: F811
    plan = Customer.objects.order_by("name").route()

    assert (deployment == "plain") == (plan == Local("there is one database"))


# Which plan a read gets. That its answer is right is asked elsewhere, of each.

first_orders: Any = Order.objects.order_by("-customer").values("customer")
mine: Any = Order.objects.filter(customer=OuterRef("pk"))
PLANS: dict[str, dict[str, Callable[[Shop], Any]]] = {
    "Single": {
        "key": lambda s: Order.objects.filter(customer_id=s.customers[3].pk, number=1),
        "key as text": lambda s: Order.objects.filter(customer_id=str(s.customers[3].pk)),
        "key by its row": lambda s: Order.objects.filter(customer=Customer(id=s.customers[3].pk)),
        "pk": lambda s: Order.objects.filter(pk=s.orders[7].pk),
        "contradiction": lambda s: Order.objects.filter(customer=s.customers[0]).filter(customer=s.customers[15]),
        "parent's key": lambda s: Line.objects.filter(order__customer_id=s.customers[3].pk),
        "child's key": lambda s: Customer.objects.filter(orders__customer_id=s.customers[3].pk).distinct(),
        "two keys of one shard": lambda s: Order.objects.filter(
            Q(customer=s.customers[0]) | Q(customer=s.customers[1])
        ),
    },
    "Merge of rows": {
        "all": lambda _: Order.objects.all(),
        "ordered": lambda _: Order.objects.order_by("-weight", "id")[10:50],
        "nulls last": lambda _: Order.objects.order_by(F("weight").asc(nulls_last=True), "id"),
        "by a parent": lambda _: Order.objects.order_by("customer__name", "id"),
        "by a copied row": lambda _: Order.objects.order_by("customer__country__name", "id"),
        "hidden sort column": lambda _: Order.objects.values_list("status", flat=True).order_by("-created")[:11],
        "excluded key": lambda s: Order.objects.exclude(customer=s.customers[3]),
        "key or another column": lambda s: Order.objects.filter(Q(customer=s.customers[3]) | Q(status="new")),
        "exists": lambda _: Customer.objects.filter(Exists(mine.filter(total__gt=7))),
        "not exists": lambda _: Customer.objects.filter(~Exists(mine)),
        "among colocated rows": lambda _: Order.objects.filter(customer__in=Customer.objects.filter(score__gt=0)),
        "whole groups": lambda _: (
            Order.objects.values("customer_id")
            .annotate(n=Count("id"))
            .filter(n__gt=1)
            .order_by("-n", "customer_id")[:5]
        ),
        "children": lambda _: Customer.objects.annotate(a=Count("orders", distinct=True), b=Count("orders__lines")),
        "windows of the key": lambda _: Order.objects.annotate(
            r=Window(RowNumber(), partition_by="customer_id")
        ).filter(r=1),
        "related here": lambda _: Customer.objects.select_related("profile", "country"),
        "raw expression": lambda _: Order.objects.annotate(x=RawSQL("number*2", [])),
    },
    "Merge of groups": {
        "groups": lambda _: Order.objects.values("status").annotate(n=Count("id"), t=Sum("total")).order_by("-n")[:2],
        "having": lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=20),
        "distinct": lambda _: Order.objects.values("status").distinct().order_by("status", "note"),
        "distinct copied rows": lambda _: Country.objects.filter(customer__score__gte=0).distinct(),
        "groups of copied rows": lambda _: Label.objects.filter(order__status="paid").annotate(n=Count("order")),
    },
    "Gather": {
        "join elsewhere": lambda _: Shipment.objects.filter(order__status="paid"),
        "nothing elsewhere": lambda _: Order.objects.filter(shipments__isnull=True),
        "copied base": lambda _: Country.objects.filter(customer__isnull=True),
        "exists elsewhere": lambda _: Order.objects.filter(Exists(Shipment.objects.filter(order=OuterRef("pk")))),
        "among the first": lambda _: Order.objects.filter(customer__in=first_orders[:3]),
        "not among": lambda _: Customer.objects.exclude(id__in=Customer.objects.values("referrer_id")),
        "windows over all": lambda _: Order.objects.annotate(r=Window(RowNumber(), order_by="pk")),
        "union": lambda _: Order.objects.filter(number=0).union(Order.objects.filter(status="new")),
        "union of all": lambda _: Order.objects.filter(number=0).union(Order.objects.filter(status="new"), all=True),
        "intersection": lambda _: Order.objects.filter(number=0).intersection(Order.objects.filter(status="new")),
        "difference": lambda _: Order.objects.filter(number=0).difference(Order.objects.filter(status="new")),
        "distinct on": lambda _: Order.objects.order_by("status", "-total", "id").distinct("status"),
        "related elsewhere": lambda _: Shipment.objects.select_related("order__customer"),
        "related to itself": lambda _: Customer.objects.select_related("referrer"),
        "related to global": lambda _: Order.objects.select_related("product"),
        "raw table": lambda _: Order.objects.extra(tables=["shop_shipment"]),
        "generic relation": lambda _: Order.objects.filter(tags__tag="tag-1"),
    },
}


@pytest.mark.parametrize(("expected", "name"), [(plan, name) for plan, reads in PLANS.items() for name in reads])
def test_a_read_gets_its_plan(shop: Shop, expected: str, name: str) -> None:
    plan = PLANS[expected][name](shop).route()

    sort = f"Merge of {plan.recipe.value}" if isinstance(plan, Merge) else type(plan).__name__
    assert expected == sort, plan


# EXPLAIN.


def test_one_database_explains_as_if_it_had_been_asked_itself(shop: Shop) -> None:
    pinned = Order.objects.filter(customer=shop.customer_on(2))
    there = pinned.using("shard_2").explain()

    assert headings(there) == []
    assert pinned.explain() == there
    assert headings(Country.objects.all().explain()) == []


def test_each_shard_explains_its_part_of_a_merge(shop: Shop) -> None:
    with queries_by_database() as seen:
        text = Order.objects.filter(total__gt=3).order_by("-total")[10:30].explain()

    assert headings(text) == list(shop.shards)
    assert dict.fromkeys(shop.shards, 1) == dict(seen)
    assert all("EXPLAIN" in sql and "LIMIT 30" in sql for _, sql in seen.texts)
    assert len(text.splitlines()) >= 2 * len(shop.shards)


def test_only_the_shards_that_are_asked_explain(shop: Shop) -> None:
    text = Order.objects.filter(customer__in=[shop.customer_on(0), shop.customer_on(3)]).explain()

    assert headings(text) == ["shard_0", "shard_3"]


def test_each_shard_explains_its_part_of_groups(shop: Shop) -> None:
    text = Order.objects.values("status").annotate(n=Count("pk"), mean=Avg("total")).order_by("-n").explain()

    assert headings(text) == [f"{alias}: its part of the groups" for alias in shop.shards]


@pytest.mark.parametrize("name", ["a join", "a window"])
def test_each_shard_explains_the_rows_it_gives_to_a_gather(shop: Shop, name: str) -> None:
    rows: Any = {
        "a join": Order.objects.filter(product__price__gt=3),
        "a window": Order.objects.annotate(n=Window(RowNumber(), order_by="total")),
    }[name]

    text = rows.explain()

    found = headings(text)
    assert found[:-1] == [f"{alias}: rows of shop_order" for alias in shop.shards]
    assert found[-1] == "default: the statement over these rows"


def test_no_row_explains_nothing() -> None:
    assert not [line for line in Customer.objects.none().explain().splitlines() if not line.startswith("-- ")]


def test_a_refusal_is_refused() -> None:
    with pytest.raises(CrossDatabaseQuery):
        Invoice.objects.filter(number__in=Product.objects.values("pk")).explain()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no other format")
def test_a_format_is_passed_on(shop: Shop) -> None:
    for rows in (Order.objects.order_by("-total"), Order.objects.values("status").annotate(n=Count("pk"))):
        text = rows.explain(format="json")

        assert len(headings(text)) == len(shop.shards)
        for part in text.split("-- ")[1:]:
            json.loads(part.partition("\n")[2])


# The signal: each plan once.


@pytest.fixture
def heard() -> Any:
    found: list[tuple[str, str, str]] = []

    def note(sender: Any, plan: Any, operation: str, **_: Any) -> None:
        found.append((operation, sender.__name__, type(plan).__name__))

    query_planned.connect(note)
    yield found
    query_planned.disconnect(note)


ANNOUNCED: dict[str, tuple[Any, list[tuple[str, str, str]]]] = {
    "a merge": (lambda: list(Order.objects.order_by("total")), [("select", "Order", "Merge")]),
    "groups": (
        lambda: list(Order.objects.values("status").annotate(n=Count("pk"))),
        [("select", "Order", "Merge")],
    ),
    "a gather": (lambda: list(Order.objects.filter(product__price__gt=3)), [("select", "Order", "Gather")]),
    "an update": (lambda: Order.objects.update(note="x"), [("update", "Order", "Merge")]),
    "an update that gathers": (
        lambda: Shipment.objects.filter(order__status="new").update(cost=1),
        [("update", "Shipment", "Gather")],
    ),
    "an update of gathered values": (
        lambda: Order.objects.filter(product__price__gt=3).update(number=F("number") + 100),
        [("update", "Order", "Gather")],
    ),
    "an update of copies": (lambda: Label.objects.update(name="x"), [("update", "Label", "Merge")]),
    "an update of copies that shards choose": (
        lambda: Label.objects.filter(order__number=1).update(name="x"),
        [("update", "Label", "Merge")],
    ),
    "a delete": (lambda: Line.objects.filter(qty=1).delete(), [("delete", "Line", "Merge")]),
    "a delete that gathers": (
        lambda: Shipment.objects.filter(order__status="new").delete(),
        [("delete", "Shipment", "Gather")],
    ),
    "an explanation": (lambda: Order.objects.order_by("total").explain(), [("explain", "Order", "Merge")]),
}


@pytest.mark.parametrize("name", ANNOUNCED)
def test_each_plan_is_announced_once(shop: Shop, heard: list[tuple[str, str, str]], name: str) -> None:
    del shop
    act, expected = ANNOUNCED[name]

    act()

    assert heard == expected
