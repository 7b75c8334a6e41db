"""Models and expressions of less usual shapes over gathered rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum, Value, Window
from django.db.models.functions import Concat, Now, RowNumber

from shardkit.errors import CrossShardQuery
from tests.fix_shop import Shop, cases, copy_to_oracle, same
from tests.shop.models import (
    Country,
    Customer,
    DayTariff,
    Label,
    NightTariff,
    Order,
    Product,
    Regular,
    Room,
    RushOrder,
    Shipment,
    Tagged,
    Wholesaler,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


# Multi-table inheritance and proxies.


@pytest.fixture
def heirs(shop: Shop) -> Shop:
    """Add rows that inherit tables, in both worlds."""
    for number, customer in enumerate(shop.customers[:6]):
        RushOrder.objects.create(
            customer=customer,
            number=100 + number,
            status="rush",
            total=number,
            created=shop.orders[0].created,
            hours=number,
        )
    wholesalers = [
        Wholesaler.objects.create(name=f"w{n}", email=f"w{n}@x", discount=n, referrer=shop.customers[n])
        for n in range(6)
    ]
    for number in range(8):
        DayTariff.objects.create(zone=number, price=number % 3)
        NightTariff.objects.create(zone=number, price=number % 4, surcharge=number)
    assert len({one.shard for one in wholesalers}) > 1
    _copy_parents()
    for model in (DayTariff, NightTariff):
        copy_to_oracle(model)
    return shop


def _copy_parents() -> None:
    """Copy the rows of child tables; `bulk_create` takes no heirs."""
    for model in (Wholesaler, RushOrder):
        for row in model._base_manager.all():
            row._state.adding = True
            row.save(using="oracle", force_insert=True)


@cases(
    all=lambda _: Wholesaler.objects.order_by("name"),
    by_parent=lambda _: Wholesaler.objects.filter(referrer__score__gte=0).order_by("name"),
    child_of_parent=lambda _: Customer.objects.filter(wholesaler__discount__gt=2),
    child_missing=lambda _: Customer.objects.filter(referred__wholesaler__isnull=True),
    related=lambda _: Wholesaler.objects.select_related("referrer__country").order_by("pk"),
    counted=lambda _: Wholesaler.objects.annotate(n=Count("referrer__orders__shipments")).order_by("pk"),
    rush=lambda _: RushOrder.objects.filter(customer__referrer__isnull=False).order_by("hours"),
    rush_of_shipments=lambda _: Shipment.objects.filter(order__rushorder__isnull=True).count(),
    rush_window=lambda _: RushOrder.objects.annotate(r=Window(RowNumber(), order_by="-hours")).order_by("r"),
    proxy=lambda _: Regular.objects.filter(referrer__name="Bob"),
    abstract=lambda _: NightTariff.objects.filter(
        Exists(DayTariff.objects.filter(price=OuterRef("price"), zone__lt=OuterRef("zone")))
    ).order_by("pk"),
    abstract_union=lambda _: DayTariff.objects.values("zone", "price").union(
        NightTariff.objects.values("zone", "price")
    ),
)
def test_inherited_tables(heirs: Shop, case: Case_) -> None:
    same(lambda: case(heirs))


# What the planner has to look twice at.


@cases(
    now=lambda _: Shipment.objects.filter(order__created__lt=Now()).count(),
    concatenated=lambda _: Shipment.objects.annotate(t=Concat("region", Value("/"), "order__status")).order_by(
        "t", "pk"
    ),
    percent=lambda _: Shipment.objects.filter(order__status__contains="%").count(),
    percent_literal=lambda _: Shipment.objects.extra(where=["region LIKE '%%o%%'"]).filter(order__status="new"),
    quotes=lambda _: Shipment.objects.filter(order__note='it\'s "quoted" \\ ; --').count(),
    two_ways=lambda _: Shipment.objects.filter(Exists(Order.objects.filter(pk=OuterRef("order"))), order__number=1),
    same_subquery_twice=lambda _: (
        Order.objects.annotate(dear=Exists(Shipment.objects.filter(order=OuterRef("pk"), cost__gt=4)))
        .filter(Q(dear=True) | Q(number=0))
        .order_by("dear", "pk")
    ),
    negated_exists=lambda _: Order.objects.filter(~Exists(Shipment.objects.filter(order=OuterRef("pk"))), number__gt=0),
    exists_or=lambda _: Order.objects.filter(Q(Exists(Shipment.objects.filter(order=OuterRef("pk")))) | Q(number=0)),
    among_or=lambda _: Order.objects.filter(
        Q(pk__in=Shipment.objects.filter(cost__gt=6).values("order")) | Q(number=0)
    ),
    among_negated=lambda _: Order.objects.exclude(pk__in=Shipment.objects.filter(cost__gt=6).values("order")),
    among_of_a_slice=lambda _: [
        row.pk
        for row in Order.objects.annotate(
            top=Subquery(Shipment.objects.filter(order=OuterRef("pk")).order_by("-cost", "pk").values("cost")[1:2])
        ).order_by("pk")
    ],
    counted_of_a_filter=lambda _: Product.objects.annotate(
        n=Count("orders__shipments", filter=Q(orders__status="new"))
    ).order_by("pk"),
    filter_after_count=lambda _: (
        Product.objects.annotate(n=Count("orders")).filter(orders__status="new", n__gt=1).order_by("pk")
    ),
    filter_before_count=lambda _: (
        Product.objects.filter(orders__status="new").annotate(n=Count("orders")).order_by("pk")
    ),
    alias_compared=lambda _: (
        Order.objects.alias(most=Max("shipments__cost")).filter(most__gt=F("number")).order_by("pk")
    ),
    conditions_of_two_tables=lambda _: Shipment.objects.filter(cost__gt=F("order__number")).order_by("pk"),
    no_column_at_all=lambda _: Product.objects.filter(Exists(Room.objects.all())).order_by("pk"),
    null_keys=lambda _: Customer.objects.filter(Q(referrer__isnull=True) | Q(referrer__score__gt=0)).order_by("pk"),
    missing_and_filtered=lambda _: Customer.objects.filter(name="Ada", referred__isnull=True),
    left_of_left=lambda _: Customer.objects.filter(name="Ada").select_related("referrer__referrer").order_by("pk"),
    left_by_order=lambda _: Customer.objects.filter(score__gt=0).order_by("referrer__name", "pk"),
    reverse_generic=lambda s: Tagged.objects.filter(object_id__in=[one.pk for one in s.orders]).order_by("pk"),
    generic_of_labels=lambda _: Order.objects.filter(tags__tag="tag-0", labels__name="gift").distinct(),
    prefetch_of_gathered=lambda _: (
        Shipment.objects.filter(order__status="new").select_related("order").prefetch_related("order__labels")
    ),
    prefetched_by_gather=lambda _: Label.objects.prefetch_related(
        Prefetch("order_set", Order.objects.filter(shipments__isnull=False).distinct().order_by("pk"))
    ).order_by("pk"),
    third_party=lambda _: User.objects.filter(pk__in=Order.objects.filter(shipments__isnull=True).values("number")),
    dates=lambda _: Order.objects.filter(shipments__cost__gt=2).datetimes("created", "day", order="DESC"),
    in_bulk=lambda s: Order.objects.filter(shipments__cost__gt=0).distinct().in_bulk([one.pk for one in s.orders[:9]]),
    latest=lambda _: Order.objects.filter(shipments__isnull=True).latest("created", "pk"),
    earliest=lambda _: Shipment.objects.select_related("order").earliest("order__created", "pk"),
    iterated=lambda _: list(Shipment.objects.select_related("order").order_by("pk").iterator(chunk_size=5)),
    contains=lambda s: Order.objects.filter(shipments__isnull=True).contains(s.orders[0]),
    empty_list=lambda _: Shipment.objects.filter(order__in=[]).count(),
    none_of_it=lambda _: list(Shipment.objects.filter(order__status="new").none()),
    empty_part=lambda _: Shipment.objects.filter(Q(order__in=[]) | Q(order__status="new")).order_by("pk"),
    or_of_querysets=lambda _: Shipment.objects.filter(order__status="new") | Shipment.objects.filter(cost=1),
)
def test_shapes(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


@pytest.mark.skipif(django.VERSION < (6, 1), reason="fetch modes came with Django 6.1")
@pytest.mark.parametrize("mode", ["FETCH_ONE", "FETCH_PEERS"])
def test_fetch_modes_of_gathered_rows(shop: Shop, mode: str) -> None:
    manager: Any = Shipment.objects
    assert shop.orders

    same(
        lambda: sorted(
            (row.cost, row.order.status, row.region)
            for row in manager.fetch_mode(getattr(models, mode)).filter(order__number__gte=0).only("pk", "cost")
        )
    )


# Many rows come as temporary tables.


@cases(
    joined=lambda _: Shipment.objects.filter(order__status="paid").order_by("pk"),
    missing=lambda _: Order.objects.filter(shipments__isnull=True),
    related=lambda _: Customer.objects.select_related("referrer__referrer").order_by("pk"),
    grouped_by_the_key=lambda _: Order.objects.annotate(n=Count("shipments")).order_by("pk"),
    grouped_and_numbered=lambda _: (
        Order.objects.annotate(n=Count("shipments"), r=Window(RowNumber(), order_by="pk"))
        .filter(r__lt=9)
        .order_by("pk")
    ),
    twice_in_one=lambda _: Customer.objects.filter(
        Exists(Customer.objects.filter(referrer=OuterRef("pk"), score__gt=0))
    ),
    twice_in_a_union=lambda _: (
        Order.objects.filter(number=0).union(Order.objects.filter(status="new")).order_by("-pk")[1:5]
    ),
    difference=lambda _: Order.objects.filter(number=0).difference(Order.objects.filter(status="new")),
    with_global=lambda _: Product.objects.annotate(t=Sum("orders__total")).order_by("pk"),
    with_reference=lambda _: Country.objects.filter(customer__isnull=True),
    totals=lambda _: Order.objects.order_by("-total", "pk")[:10].aggregate(Sum("total"), Max("created")),
    of_text=lambda _: Customer.objects.filter(referrer__name="ada").order_by("name", "pk"),
    empty=lambda _: Shipment.objects.filter(order__status="?"),
    looked_up=lambda _: Order.objects.annotate(
        c=Subquery(Shipment.objects.filter(cost=OuterRef("number"), region__gte="").order_by("pk").values("pk")[:1])
    ).order_by("pk"),
    looked_up_by_several=lambda _: Shipment.objects.filter(
        ~Exists(Order.objects.filter(number=OuterRef("cost"), status=OuterRef("region"))),
        Exists(Order.objects.filter(number=OuterRef("cost"), note=OuterRef("region"), total__gt=0)),
    ),
    looked_up_by_text=lambda _: Customer.objects.filter(
        ~Exists(Product.objects.filter(name=OuterRef("name"))), Exists(Shipment.objects.filter(region=OuterRef("name")))
    ),
    looked_up_by_time=lambda _: Order.objects.filter(
        Exists(Order.objects.filter(created=OuterRef("created"), weight=OuterRef("weight")).exclude(pk=OuterRef("pk")))
    ),
)
def test_shapes_over_tables(shop: Shop, settings: Any, case: Case_) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": 0}

    same(lambda: case(shop))
    assert "shop_order" not in connection.introspection.table_names()


# What only PostgreSQL has.


@cases(
    string=lambda m: Product.objects.annotate(
        t=(getattr(models, "StringAgg", None) or m.StringAgg)("orders__status", Value("/"), order_by="orders__pk")
    ).order_by("pk"),
    array=lambda m: (
        Order.objects.annotate(a=m.ArrayAgg("shipments__cost", order_by="shipments__pk"))
        .order_by("pk")
        .values_list("pk", "a")
    ),
    array_default=lambda m: (
        Order.objects.annotate(
            a=m.ArrayAgg(
                "shipments__cost", filter=Q(shipments__cost__gt=4), default=Value([]), order_by="shipments__cost"
            )
        )
        .order_by("pk")
        .values_list("pk", "a")
    ),
    array_of_all=lambda m: Order.objects.aggregate(a=m.ArrayAgg("number", order_by="pk")),
    array_distinct=lambda m: Shipment.objects.aggregate(a=m.ArrayAgg("order__status", distinct=True)),
    json=lambda m: (
        Country.objects.annotate(j=m.JSONBAgg("customer__score", order_by="customer__pk"))
        .order_by("pk")
        .values_list("pk", "j")
    ),
    booleans=lambda m: Product.objects.annotate(b=m.BoolOr(Q(orders__status="new"))).order_by("pk"),
    grouped=lambda m: Order.objects.values("status").annotate(a=m.ArrayAgg("total", order_by="pk")).order_by("status"),
)
def test_aggregates_of_postgresql(shop: Shop, case: Case_) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("aggregates of PostgreSQL")
    from django.contrib.postgres import aggregates

    assert shop.orders
    same(lambda: case(aggregates))


# What has no shadow.


def test_a_table_with_a_schema_is_refused_by_name(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    quote = connection.ops.quote_name("")[0]
    assert shop.orders
    from shardkit.orm.gathering import tables as gather_tables
    from shardkit.routing.registry import placement_of

    monkeypatch.setattr(Shipment._meta, "db_table", f"{quote}other{quote}.{quote}shipment{quote}")

    with pytest.raises(CrossShardQuery, match=r"shop\.Shipment.*names a schema"):
        gather_tables.require_shadowable(placement_of(Shipment), connection, "it joins")


def test_sums_over_gathered_rows_are_those_of_one_database(shop: Shop) -> None:
    assert shop.orders
    same(lambda: Shipment.objects.filter(order__number=0).aggregate(Sum("order__total"), Max("order__weight")))
