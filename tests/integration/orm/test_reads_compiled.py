"""Is planned what Django makes of a query only while it compiles it: joins, and the expressions of an order?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, F, OuterRef, Subquery
from django.db.models.functions import Lower

from tests.fix_shop import Shop, cases, same
from tests.nasty.models import Floor, Stair, Tread
from tests.shop.models import Customer, Order

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("shop")]

only_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has DISTINCT ON")


@only_postgresql
@cases(
    of_one_shard=lambda s: [len(Order.objects.filter(customer=c).distinct("shipments__region")) for c in s.customers],
    of_all_shards=lambda _: Order.objects.distinct("shipments__region").values_list("shipments__region"),
    a_global_table=lambda s: len(Order.objects.filter(customer=s.customers[7]).distinct("product__name")),
    counted=lambda s: Order.objects.filter(customer=s.customers[7]).distinct("shipments__region").count(),
    inside_of_a_condition=lambda s: Customer.objects.filter(
        pk=s.customers[7].pk, orders__in=Order.objects.distinct("shipments__region").filter(number__gte=0)
    ).count(),
)
def test_distinct_on_a_related_column_joins(shop: Shop, case: Any) -> None:
    same(lambda: case(shop))


@cases(
    of_one_shard=lambda s: [
        [o.pk for o in Order.objects.filter(customer=c).extra(order_by=["shipments__cost", "id"])] for c in s.customers
    ],
    of_all_shards=lambda _: [o.pk for o in Order.objects.extra(order_by=["shipments__cost", "id"])],
    a_global_table=lambda s: [
        o.pk for o in Order.objects.filter(customer=s.customers[7]).extra(order_by=["product__price", "id"])
    ],
    reversed_=lambda _: [o.pk for o in Order.objects.extra(order_by=["-shipments__cost", "id"]).reverse()],
    a_column_of_its_table=lambda _: [o.pk for o in Order.objects.extra(order_by=["-shop_order.total", "id"])],
    inside_of_a_subquery=lambda _: (
        Customer.objects.annotate(
            x=Subquery(
                Order.objects.filter(customer=OuterRef("pk"))
                .extra(order_by=["-shipments__cost", "id"])
                .values("number")[:1]
            )
        )
        .order_by("pk")
        .values_list("pk", "x")
    ),
)
def test_an_extra_order_by_a_related_column_joins(shop: Shop, case: Any) -> None:
    same(lambda: case(shop))


@cases(
    selected=lambda rows: rows.values_list("number", "shipments__cost"),
    selected_of_a_global_table=lambda rows: rows.values_list("number", "product__name"),
    ordered=lambda rows: rows.values_list("number", "shipments__cost").order_by("shipments__cost", "number"),
)
def test_columns_that_are_selected_of_a_union_are_joined_in_its_parts(shop: Shop, case: Any) -> None:
    customer = shop.customer_on(1, 3)
    one, two = Order.objects.filter(customer=customer), Order.objects.filter(customer=customer, number__lt=2)

    same(lambda: case(one.union(two)))
    same(lambda: case(one.union(two, all=True)), ordered=False)


def _built() -> None:
    floors = Floor.objects.bulk_create(Floor(level=number * 5 % 7) for number in range(12))
    stairs = Stair.objects.bulk_create(
        Stair(level=number * 3 % 5, floor=floors[number] if number % 3 else None) for number in range(12)
    )
    Tread.objects.bulk_create(
        Tread(level=number % 5, stair=stairs[number] if number % 4 else None) for number in range(12)
    )


@cases(
    window=lambda: Floor.objects.values_list("level"),
    window_sliced=lambda: Floor.objects.values_list("level")[2:5],
    window_reversed=lambda: Floor.objects.reverse().values_list("level")[:3],
    text=lambda: Stair.objects.values_list("level"),
    text_of_some=lambda: Stair.objects.filter(level__lt=3).values_list("level"),
    subquery=lambda: Tread.objects.values_list("level"),
    subquery_sliced=lambda: Tread.objects.values_list("level")[:4],
    of_the_related_model=lambda: Tread.objects.order_by("stair", "pk").values_list("level", "stair__level"),
    of_the_related_model_in_a_slice=lambda: Tread.objects.order_by("-stair", "pk").values_list("stair__level")[:3],
    beside_groups=lambda: Floor.objects.values("level").annotate(n=Count("stairs")).order_by("level"),
    inside_of_a_subquery=lambda: Stair.objects.annotate(
        x=Subquery(Floor.objects.filter(pk=OuterRef("floor")).values("level")[:1])
    ).values_list("level", "x"),
)
def test_an_order_in_meta_that_is_an_expression(case: Any) -> None:
    def ordered() -> Any:
        _built()
        return list(case())

    same(ordered)


def test_an_order_by_expressions_of_one_shard_is_left_to_it(shop: Shop) -> None:
    customer = shop.customer_on(1, 3)

    same(lambda: Order.objects.filter(customer=customer).order_by(Lower("note"), "pk"), plan="single")
    same(lambda: Order.objects.order_by(F("number") * 2, "pk"), plan="merge")
