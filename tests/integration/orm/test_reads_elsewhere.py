"""Global, reference and placed models: asked where they live, and never joined with what lives elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connections
from django.db.models import Avg, Count, Exists, F, OuterRef, Q, Subquery, Sum, Window
from django.db.models.functions import RowNumber
from django.db.models.query import QuerySet

from shardkit.errors import CrossDatabaseQuery, CrossShardQuery, MixedDatabases, WrongShard
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, cases, refused, same
from tests.shop.models import Country, Customer, Invoice, InvoiceLine, Label, Order, Product, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


@cases(
    all=lambda _: Product.objects.all(),
    ordered=lambda _: Product.objects.order_by("-price", "name")[1:3],
    counted=lambda _: Product.objects.count(),
    aggregated=lambda _: Product.objects.aggregate(Avg("price"), Sum("price")),
    grouped=lambda _: Product.objects.values("price").annotate(n=Count("pk")).order_by("-n", "price"),
    windowed=lambda _: Product.objects.annotate(r=Window(RowNumber(), order_by="name")).order_by("pk"),
    joined=lambda _: Permission.objects.filter(content_type__app_label="shop").order_by("codename"),
    many_to_many=lambda _: Group.objects.filter(permissions__codename="add_order"),
    subquery=lambda _: ContentType.objects.filter(Exists(Permission.objects.filter(content_type=OuterRef("pk")))),
    union=lambda _: Product.objects.filter(pk__gt=0).union(Product.objects.all()).order_by("pk"),
    reference=lambda _: Country.objects.order_by("name"),
    reference_counted=lambda _: Label.objects.count(),
    reference_combined=lambda _: Label.objects.filter(Exists(Country.objects.filter(code="FR"))).order_by("pk"),
    reference_with_global=lambda _: Product.objects.filter(Exists(Country.objects.filter(code="XX"))),
    raw=lambda _: Product.objects.raw("SELECT * FROM shop_product ORDER BY id"),
    raw_reference=lambda _: Label.objects.raw("SELECT * FROM shop_label ORDER BY id"),
)
def test_what_is_on_default_stays_there(shop: Shop, case: Case_) -> None:
    assert shop.products

    same(lambda: case(shop), on={"default": 1})


@cases(
    all=lambda _: Invoice.objects.all(),
    get=lambda _: Invoice.objects.get(number=2),
    ordered=lambda _: Invoice.objects.order_by("-number")[:2],
    counted=lambda _: Invoice.objects.count(),
    joined=lambda _: InvoiceLine.objects.filter(invoice__number__gte=1).order_by("invoice__number"),
    related=lambda _: Invoice.objects.annotate(n=Count("lines")).order_by("n", "pk"),
    backward=lambda _: Invoice.objects.filter(lines__text__contains="1"),
    aggregated=lambda _: Invoice.objects.aggregate(total=Sum("amount"), lines=Count("lines")),
    subquery=lambda _: Invoice.objects.annotate(
        text=Subquery(InvoiceLine.objects.filter(invoice=OuterRef("pk")).values("text")[:1])
    ).order_by("pk"),
    union=lambda _: Invoice.objects.filter(number=0).union(Invoice.objects.filter(number=1)).order_by("number"),
    exists=lambda _: Invoice.objects.filter(number=1).exists(),
    plain_queryset=lambda _: QuerySet(Invoice).order_by("pk"),
    raw=lambda _: Invoice.objects.raw("SELECT * FROM shop_invoice ORDER BY number"),
)
def test_what_is_placed_is_asked_of_its_database(shop: Shop, case: Case_) -> None:
    assert shop.products

    same(lambda: case(shop), on={"audit": 1})


@cases(
    with_global=lambda _: Product.objects.filter(Exists(Invoice.objects.filter(number=OuterRef("pk")))),
    with_reference=lambda _: Country.objects.filter(Exists(Invoice.objects.filter(number=1))),
    with_sharded=lambda _: Order.objects.filter(number__in=Invoice.objects.values("number")),
    with_sharded_of_one_key=lambda s: Order.objects.filter(
        customer=s.customers[3], number__in=Invoice.objects.values("number")
    ),
    within_placed=lambda _: Invoice.objects.filter(number__in=Order.objects.values("number")),
    union=lambda _: Invoice.objects.values("number").union(Order.objects.values("number")),
    raw=lambda _: Product.objects.extra(where=["id IN (SELECT number FROM shop_invoice)"]),
)
def test_what_can_never_meet_is_refused_as_such(shop: Shop, case: Case_) -> None:
    refused(lambda: case(shop), "shop_invoice", "audit", error=CrossDatabaseQuery)


def test_an_aggregate_over_what_can_never_meet_is_refused(shop: Shop) -> None:
    lines = Subquery(InvoiceLine.objects.values("pk")[:1])

    refused(
        lambda: Order.objects.filter(customer=shop.customers[3]).aggregate(n=Sum(F("number") * 0 + lines)),
        "shop_invoice",
        error=CrossDatabaseQuery,
    )


# .using()


def test_a_named_shard_gives_its_rows_alone(shop: Shop) -> None:
    for alias in shop.shards:
        with queries_by_database() as seen:
            rows = list(Order.objects.using(alias).order_by("pk"))

        assert {alias: 1} == dict(seen)
        assert {alias} == {row.shard for row in rows}
        assert [order.pk for order in shop.orders if order.shard == alias] == [row.pk for row in rows]


def test_a_named_shard_that_cannot_have_the_row_is_refused(shop: Shop) -> None:
    order = shop.orders[0]
    wrong = next(alias for alias in shop.shards if alias != order.shard)

    with pytest.raises(WrongShard, match=r"shop\.Order.*" + wrong):
        Order.objects.using(wrong).get(pk=order.pk)


@cases(
    and_=lambda left, right: left & right,
    or_=lambda left, right: left | right,
    xor=lambda left, right: left ^ right,
    union=lambda left, right: left.union(right),
    intersection=lambda left, right: left.intersection(right),
    difference=lambda left, right: left.difference(right),
)
def test_querysets_of_two_databases_do_not_combine(shop: Shop, case: Case_) -> None:
    left, right = (Order.objects.using(alias) for alias in shop.shards[:2])

    with pytest.raises(MixedDatabases, match=r"shop\.Order.*shard_0.*shard_1"):
        case(left, right)
    with pytest.raises(MixedDatabases):
        case(Order.objects.all(), right)


def test_a_subquery_of_another_database_is_refused_by_django(shop: Shop) -> None:
    customers = Customer.objects.using(shop.shards[1])

    with pytest.raises(ValueError, match="Subqueries aren't allowed across different databases"):
        list(Order.objects.using(shop.shards[0]).filter(customer__in=customers))


@cases(
    merged=lambda chosen: Order.objects.filter(customer__in=chosen),
    gathered=lambda chosen: Shipment.objects.filter(order__customer__in=chosen),
    of_one_shard=lambda chosen: Order.objects.filter(customer=chosen.order_by("pk")[0], customer__in=chosen),
    excluded=lambda chosen: Order.objects.exclude(customer__in=chosen),
    inside_of_another=lambda chosen: Shipment.objects.filter(
        order__in=QuerySet(Order).filter(customer__in=chosen).values("pk")
    ),
    of_plain_querysets=lambda chosen: QuerySet(Order).filter(customer__in=chosen),
    aggregated=lambda chosen: Order.objects.filter(customer__in=chosen).aggregate(n=Count("pk"))["n"],
)
def test_a_plain_subquery_of_default_is_one_of_the_cluster(shop: Shop, case: Case_) -> None:
    """``using("default")`` is where a queryset is anyway; a shard would refuse it as one of another database."""
    assert shop.orders

    same(lambda: case(QuerySet(Customer, using=connections["default"].alias).filter(score__gt=1)))


# Raw SQL.


def test_raw_sql_of_a_sharded_table_needs_a_database(shop: Shop) -> None:
    with pytest.raises(CrossShardQuery, match=r"shop\.Order.*using="):
        Order.objects.raw("SELECT * FROM shop_order")
    with pytest.raises(CrossShardQuery, match=r"shop\.Label.*using="):
        Label.objects.raw("SELECT l.* FROM shop_label l, shop_order o WHERE o.id = l.id")
    with pytest.raises(CrossShardQuery, match=r"shop\.Label.*several databases"):
        Label.objects.raw("SELECT l.* FROM shop_label l, shop_invoice i")

    rows = list(Order.objects.raw("SELECT * FROM shop_order ORDER BY id", using=shop.shards[1]))

    assert [order.pk for order in shop.orders if order.shard == shop.shards[1]] == [row.pk for row in rows]
    assert {shop.shards[1]} == {row.shard for row in rows}
    assert {"default"} == {row._state.db for row in rows}


def test_raw_sql_of_a_manager_that_is_not_ours_finds_no_sharded_table(shop: Shop) -> None:
    assert shop.orders

    with pytest.raises(DatabaseError, match="shop_order"):
        list(Product.objects.raw("SELECT p.* FROM shop_product p, shop_order o WHERE o.product_id = p.id"))


def test_raw_sql_of_a_named_queryset_runs_there(shop: Shop) -> None:
    rows = Order.objects.using(shop.shards[2]).raw("SELECT id, status FROM shop_order WHERE number = %s", [0])

    assert {shop.shards[2]} == {row.shard for row in rows}
    assert {"number", "customer_id"} <= next(iter(rows)).get_deferred_fields()


def test_a_cursor_finds_no_sharded_table_on_default(shop: Shop) -> None:
    """What escapes planning fails loudly instead of finding nothing."""
    assert shop.orders
    tables = connections["default"].introspection.table_names()

    assert {"shop_product", "shop_label"} <= set(tables)
    assert not {"shop_order", "shop_customer", "shop_order_labels", "shop_invoice"} & set(tables)


def test_explain_shows_one_shards_plan(shop: Shop) -> None:
    with queries_by_database() as seen:
        text = Order.objects.filter(customer=shop.customer_on(2, 3)).order_by("pk").explain()

    assert text
    assert {shop.customer_on(2, 3).shard: 1} == dict(seen)


def test_explain_shows_the_plan_of_every_shard(shop: Shop) -> None:
    one = Order.objects.using(shop.shards[0]).filter(status="new").explain()
    with queries_by_database() as seen:
        text = Order.objects.filter(status="new").explain()

    assert dict.fromkeys(shop.shards, 1) == dict(seen)
    assert "\n".join(f"-- {alias}\n{one}" for alias in shop.shards) == text


def test_explain_shows_what_is_gathered(shop: Shop) -> None:
    text = Shipment.objects.filter(order__status="paid").explain()

    assert [f"-- {shop.shards[0]}: rows of shop_order"] == text.splitlines()[:1]
    assert "-- default: the statement over these rows" == text.splitlines()[-1]


def test_the_sql_of_a_query_is_that_of_one_database(shop: Shop) -> None:
    """`str(query)` plans nothing, so that logging a query never fails."""
    same(lambda: str(Order.objects.filter(Q(number=1) | Q(status="new"), shipments__cost=1).query))
    assert shop.orders
