"""Do `get_or_create()` and `update_or_create()` find the row wherever it is, and make it where it belongs?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from shardkit.errors import ShardKeyRequired
from tests.fix_shop import START, Shop
from tests.fix_writes import refused_write, same_write
from tests.shop.models import Country, Customer, Gadget, Label, Order, Product, Profile, Reading

pytestmark = pytest.mark.django_db(databases="__all__")

DEFAULTS: dict[str, Any] = {"status": "made", "total": 1, "created": START}

#: Django calls what is callable among the defaults.
CALLED: Any = lambda: "called"  # noqa: E731 - a function among values

UPSERTS: dict[str, Callable[[Shop], Any]] = {
    "get, with the key": lambda shop: Order.objects.get_or_create(
        customer_id=shop.orders[4].customer_id, number=shop.orders[4].number, defaults=DEFAULTS
    ),
    "create, with the key": lambda shop: Order.objects.get_or_create(
        customer_id=shop.customers[4].pk, number=1000, defaults=DEFAULTS
    ),
    "get, by a value": lambda shop: Customer.objects.get_or_create(email=shop.customers[9].email),
    "create, by a value": lambda _: Customer.objects.get_or_create(email="new", defaults={"name": "new"}),
    "get, through a relation": lambda shop: Order.objects.get_or_create(
        customer=Customer.objects.get(pk=shop.orders[4].customer_id), number=shop.orders[4].number
    ),
    "get, of the reverse side": lambda shop: Customer.objects.get(pk=shop.orders[4].customer_id).orders.get_or_create(
        number=shop.orders[4].number, defaults=DEFAULTS
    ),
    "create, of the reverse side": lambda shop: Customer.objects.get(pk=shop.customers[4].pk).orders.get_or_create(
        number=1000, defaults=DEFAULTS
    ),
    "get, composite": lambda _: Reading.objects.get_or_create(station="oslo", year=2001, defaults={"value": 0}),
    "create, composite with NULL": lambda _: Reading.objects.get_or_create(
        station="x", year=None, defaults={"value": 0}
    ),
    "get, natural": lambda _: Gadget.objects.get_or_create(code="g4", defaults={"maker": 2}),
    "create, natural": lambda _: Gadget.objects.get_or_create(code="new", defaults={"maker": 2}),
    "get, copied": lambda _: Country.objects.get_or_create(code="DE", defaults={"name": "?"}),
    "create, copied": lambda _: Country.objects.get_or_create(code="NO", defaults={"name": "Norge"}),
    "create, copied, numbered": lambda _: Label.objects.get_or_create(name="new"),
    "create, global": lambda _: Product.objects.get_or_create(name="new", defaults={"price": 1}),
    "update, with the key": lambda shop: Order.objects.update_or_create(
        customer_id=shop.orders[4].customer_id, number=shop.orders[4].number, defaults={"note": "updated"}
    ),
    "update, by the primary key": lambda shop: Order.objects.update_or_create(
        pk=shop.orders[4].pk, defaults={"note": "updated", "status": CALLED}
    ),
    "make, with the key": lambda shop: Order.objects.update_or_create(
        customer_id=shop.customers[4].pk, number=1000, defaults=DEFAULTS
    ),
    "update, by a value": lambda shop: Customer.objects.update_or_create(
        email=shop.customers[9].email, defaults={"name": "updated"}
    ),
    "make, by a value": lambda _: Customer.objects.update_or_create(
        email="new", defaults={"name": "updated"}, create_defaults={"name": "made"}
    ),
    "update, a one-to-one": lambda shop: Profile.objects.update_or_create(
        customer_id=shop.customers[0].pk, defaults={"bio": "updated"}
    ),
    "make, a one-to-one": lambda shop: Profile.objects.update_or_create(
        customer_id=shop.customers[1].pk, defaults={"bio": "made"}
    ),
    "update, of the reverse side": lambda shop: Customer.objects.get(
        pk=shop.orders[4].customer_id
    ).orders.update_or_create(number=shop.orders[4].number, defaults={"note": "updated"}),
    "make, of the reverse side": lambda shop: Customer.objects.get(pk=shop.customers[4].pk).orders.update_or_create(
        number=1000, defaults=DEFAULTS
    ),
    "update, composite": lambda _: Reading.objects.update_or_create(station="oslo", year=2001, defaults={"value": 9}),
    "update, copied": lambda _: Country.objects.update_or_create(code="DE", defaults={"name": "D"}),
    "make, copied": lambda _: Country.objects.update_or_create(code="NO", defaults={"name": "Norge"}),
    "several match": lambda _: Order.objects.get_or_create(status="new", defaults=DEFAULTS),
    "several match, to update": lambda _: Order.objects.update_or_create(status="new", defaults=DEFAULTS),
    "a violation": lambda shop: Order.objects.get_or_create(
        status="nowhere",
        defaults={**DEFAULTS, "customer_id": shop.orders[4].customer_id, "number": shop.orders[4].number},
    ),
}


@pytest.mark.parametrize("name", UPSERTS)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: UPSERTS[name](shop))
    same_write(lambda: UPSERTS[name](shop))


@pytest.mark.parametrize("name", ["get_or_create", "update_or_create"])
def test_a_row_that_is_not_there_needs_its_key(shop: Shop, name: str) -> None:
    del shop

    refused_write(lambda: getattr(Order.objects, name)(number=4711, defaults=DEFAULTS), ShardKeyRequired)


def test_async_twins(shop: Shop) -> None:
    order = shop.orders[4]

    async def write() -> list[Any]:
        customer = await Customer.objects.aget(pk=order.customer_id)
        return [
            await Order.objects.aget_or_create(customer=customer, number=1000, defaults=DEFAULTS),
            await Order.objects.aupdate_or_create(customer=customer, number=1000, defaults={"note": "updated"}),
            await customer.orders.aget_or_create(number=1001, defaults=DEFAULTS),
            await customer.orders.aupdate_or_create(number=1001, defaults={"note": "updated"}),
        ]

    same_write(async_to_sync(write))
