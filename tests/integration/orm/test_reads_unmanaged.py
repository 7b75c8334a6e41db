"""Does a plain, unmanaged model over a sharded table read its rows where they are?"""

from __future__ import annotations

import pytest

from shardkit.routing.registry import Kind, placement_of_table
from tests.fix_shop import Shop, same
from tests.shop.models import OrderReport, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")


def test_its_table_is_that_of_the_model_that_knows():
    placement = placement_of_table("shop_order")

    assert placement is not None
    assert placement.kind is Kind.SHARDED


def test_its_rows_are_those_of_all_shards(shop: Shop):
    assert shop.orders
    assert same(lambda: OrderReport.objects.filter(status="new"))
    assert same(lambda: OrderReport.objects.filter(pk=shop.orders[3].pk), plan="single")


def test_its_rows_are_merged_and_joined_as_theirs(shop: Shop):
    assert shop.orders
    same(lambda: OrderReport.objects.order_by("number", "pk"))
    same(lambda: OrderReport.objects.filter(pk__in=Shipment.objects.filter(cost__gt=3).values("order")))
    same(lambda: Shipment.objects.filter(order__in=OrderReport.objects.filter(status="paid").values("pk")))
