"""Do databases answer together only when they understand the same value in the same way?"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import connections
from django.db.models import Count

from shardkit.errors import DatabasesDiffer
from shardkit.orm import reaching
from shardkit.orm.remembering import SECONDS
from shardkit.vendors.registry import vendor_of
from tests.fix_shop import Shop, cases, same
from tests.shop.models import Order, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    reaching._alike.forget()
    yield
    reaching._alike.forget()


SEVERAL = cases(
    rows=lambda: list(Order.objects.order_by("created")),
    groups=lambda: list(Order.objects.values("status").annotate(n=Count("pk"))),
    counts=Order.objects.count,
    gathered=lambda: list(Shipment.objects.select_related("order__customer")),
)


@SEVERAL
def test_a_shard_with_another_time_zone_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch, case) -> None:
    monkeypatch.setitem(connections[shop.shards[2]].__dict__, "timezone_name", "America/New_York")

    with pytest.raises(DatabasesDiffer, match=f"'{shop.shards[2]}' has TIME_ZONE = 'America/New_York'"):
        case()

    same(lambda: Order.objects.filter(customer=shop.customer_on(1)), plan="single")


@SEVERAL
def test_a_shard_that_orders_texts_otherwise_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch, case) -> None:
    vendor = type(vendor_of(connections[shop.shards[0]]))
    name = {"postgresql": "current_database()", "mysql": "database()", "sqlite": "random()"}
    monkeypatch.setattr(vendor, "text_order_sql", f"SELECT {name[connections['default'].vendor]}")

    with pytest.raises(DatabasesDiffer, match="has default collation = "):
        case()


@pytest.mark.usefixtures("shop")
def test_every_database_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    list(Order.objects.order_by("pk"))
    monkeypatch.setattr(reaching, "asked", None)

    same(lambda: Order.objects.order_by("pk"))


def test_what_a_database_said_is_believed_for_a_minute(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server may stand behind the name by then."""
    list(Order.objects.order_by("pk"))
    monkeypatch.setitem(connections[shop.shards[2]].__dict__, "timezone_name", "America/New_York")
    list(Order.objects.order_by("pk"))
    monkeypatch.setattr(reaching._alike, "_now", lambda: time.monotonic() + SECONDS)

    with pytest.raises(DatabasesDiffer, match=f"'{shop.shards[2]}' has TIME_ZONE = 'America/New_York'"):
        list(Order.objects.order_by("pk"))
