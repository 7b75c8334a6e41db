"""What do abstract, proxy and multi-table inheritance mean for where a row lives?

An abstract parent hands down its declaration, a proxy is its model, and a child table of multi-table inheritance lives
with its parent's row: the two have one primary key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Length, Upper

from shardkit.errors import ShardKeyImmutable
from tests.fix_queries import queries_by_database
from tests.fix_shop import START, Shop
from tests.fix_writes import refused_write, same_write
from tests.shop.models import (
    Customer,
    DayTariff,
    Fare,
    Meter,
    NightTariff,
    Order,
    Regular,
    RushOrder,
    Union,
    Wholesaler,
)

pytestmark = pytest.mark.django_db(databases="__all__")

ORDER: dict[str, Any] = {"number": 500, "status": "new", "total": 5, "created": START}


def wholesalers(count: int = 6) -> list[Wholesaler]:
    return [Wholesaler.objects.create(name=f"w{n}", email=f"w{n}", discount=n) for n in range(count)]


def rush(shop: Shop, count: int = 6) -> list[RushOrder]:
    return [
        RushOrder.objects.create(customer_id=customer.pk, hours=n, **ORDER)
        for n, customer in enumerate(shop.customers[1::3][:count])
    ]


def _saved(instance: Any, fields: list[str] | None = None, **values: Any) -> None:
    for name, value in values.items():
        setattr(instance, name, value)
    instance.save(update_fields=fields)


def _child(model: type[Any], parent: Any, link: str, **values: Any) -> Any:
    """Make a child of a parent row that is there already."""
    child = model(**{link: parent}, **values)
    child.__dict__.update({key: value for key, value in parent.__dict__.items() if not key.startswith("_")})
    child.save()
    return child.pk == parent.pk


WRITES: dict[str, Callable[[Shop], Any]] = {
    "create": lambda _: len(wholesalers()),
    "create with a foreign key as key": lambda shop: len(rush(shop)),
    "save of both tables": lambda _: _saved(Wholesaler.objects.get(pk=wholesalers()[2].pk), name="x", discount=9),
    "save of the parent's fields": lambda _: _saved(Wholesaler.objects.get(pk=wholesalers()[2].pk), ["name"], name="x"),
    "save of the child's fields": lambda shop: _saved(RushOrder.objects.get(pk=rush(shop)[2].pk), ["hours"], hours=99),
    "save of the parent": lambda _: _saved(Customer.objects.get(pk=wholesalers()[2].pk), name="x"),
    "a child for a parent that exists": lambda shop: _child(
        Wholesaler, Customer.objects.get(pk=shop.customers[5].pk), "customer_ptr"
    ),
    "update of the child's fields": lambda _: [
        len(wholesalers()),
        Wholesaler.objects.update(discount=F("discount") + 1),
    ],
    "update of the parent's fields": lambda _: [len(wholesalers()), Wholesaler.objects.update(name="x")],
    "update of both": lambda shop: [len(rush(shop)), RushOrder.objects.update(hours=1, status="x")],
    "update by the child's fields": lambda _: [
        len(wholesalers()),
        Wholesaler.objects.filter(discount__gt=2).update(name="x"),
    ],
    "update by the parent's fields": lambda _: [
        len(wholesalers()),
        Wholesaler.objects.filter(name="w3").update(discount=9),
    ],
    "update by both": lambda _: [
        len(wholesalers()),
        Wholesaler.objects.filter(Q(name="w3") | Q(discount=1)).update(name="y", discount=9),
    ],
    "pinned update of both": lambda shop: RushOrder.objects.filter(customer=rush(shop)[1].customer_id).update(
        hours=7, note="x"
    ),
    "delete of a child": lambda _: Wholesaler.objects.get(pk=wholesalers()[2].pk).delete(),
    "delete of its parent": lambda _: Customer.objects.get(pk=wholesalers()[2].pk).delete(),
    "delete of children": lambda shop: [len(rush(shop)), RushOrder.objects.filter(hours__gt=2).delete()],
    "delete of the child alone": lambda _: Wholesaler.objects.get(pk=wholesalers()[2].pk).delete(keep_parents=True),
    "children of the parent's relations": lambda _: wholesalers()[3].orders.create(**ORDER).number,
    "labels of the parent": lambda shop: rush(shop)[2].labels.add(shop.labels[0].pk),
    "bulk_update": lambda _: Wholesaler.objects.bulk_update(
        [Wholesaler(pk=one.pk, discount=50) for one in wholesalers()], ["discount"]
    ),
    "get_or_create": lambda _: Wholesaler.objects.get_or_create(email="new", defaults={"name": "new"}),
    "update_or_create": lambda _: Wholesaler.objects.update_or_create(
        email=wholesalers()[1].email, defaults={"name": "x"}
    ),
    "bulk_create is refused by Django": lambda _: Wholesaler.objects.bulk_create([Wholesaler(name="n", email="e")]),
    "proxy: create": lambda _: Regular.objects.create(name="regular", email="regular"),
    "proxy: bulk_create": lambda _: len(
        Regular.objects.bulk_create([Regular(name="n", email=f"e{n}") for n in range(5)])
    ),
    "proxy: save": lambda shop: _saved(Regular.objects.get(pk=shop.customers[5].pk), name="x"),
    "proxy: update": lambda _: Regular.objects.filter(score=1).update(name="x"),
    "proxy: delete": lambda shop: Regular.objects.get(pk=shop.customers[7].pk).delete(),
    "proxy: relations": lambda shop: Regular.objects.get(pk=shop.customers[7].pk).orders.create(**ORDER),
    "copied: create": lambda _: Union.objects.create(code="EU", name="Union", members=27),
    "copied: save": lambda _: _saved(Union.objects.create(code="EU", name="Union"), members=28, name="x"),
    "copied: update of both": lambda _: [
        Union.objects.create(code="EU", name="U").pk,
        Union.objects.update(name="x", members=1),
    ],
    "copied: update of the parent's": lambda _: [
        Union.objects.create(code="EU", name="U").pk,
        Union.objects.update(name="x"),
    ],
    "copied: update of the parent's by itself": lambda _: [
        Union.objects.create(code="EU", name="U").pk,
        Union.objects.update(name=Concat("name", Value("!"))),
    ],
    "copied: update of both by a function": lambda _: [
        Union.objects.create(code="EU", name="U").pk,
        Union.objects.update(name=Upper(Value("x")), members=Length(Value("abc"))),
    ],
    "copied: delete": lambda _: Union.objects.create(code="EU", name="U").delete(),
    "abstract: create": lambda _: [
        DayTariff.objects.create(zone=n).zone + NightTariff.objects.create(zone=n).zone for n in range(9)
    ],
    "abstract: update": lambda _: [
        NightTariff.objects.create(zone=4).price,
        NightTariff.objects.update(surcharge=F("zone")),
    ],
    "database columns: create": lambda _: Meter.objects.create(place=3).twice,
    "database columns: save": lambda _: _saved(Meter.objects.create(place=3), count=F("count") + 1),
    "database columns: bulk": lambda _: [
        len(Meter.objects.bulk_create([Meter(place=n, **({"count": n} if n % 2 else {})) for n in range(12)])),
        Meter.objects.update(count=F("twice")),
    ],
    "database columns: bulk_update": lambda _: Meter.objects.bulk_update(
        [_with_count(one) for one in Meter.objects.bulk_create([Meter(place=n, count=n) for n in range(12)])], ["count"]
    ),
    "database columns: copied": lambda _: [Fare.objects.create(name="n").twice, Fare.objects.update(price=F("twice"))],
}


def _with_count(meter: Meter) -> Meter:
    meter.count = meter.place + 100
    return meter


@pytest.mark.parametrize("name", WRITES)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: WRITES[name](shop))


def test_a_child_lives_with_its_parent_and_is_found_by_its_id(shop: Shop) -> None:
    made = rush(shop)[4]

    with queries_by_database() as seen:
        found = RushOrder.objects.get(pk=made.pk)

    assert {shop.customers[13].shard: 1} == dict(seen)
    assert made.shard == found.shard == Order.objects.get(pk=found.pk).shard == found.customer.shard


def test_the_key_of_a_child_cannot_be_changed(shop: Shop) -> None:
    made = rush(shop)[0]
    elsewhere = shop.customer_on(3).pk

    def save() -> None:
        found = RushOrder.objects.get(pk=made.pk)
        found.customer_id = elsewhere
        found.save()

    refused_write(save, ShardKeyImmutable)
    refused_write(lambda: RushOrder.objects.filter(pk=made.pk).update(customer=elsewhere), ShardKeyImmutable)
    refused_write(lambda: RushOrder.objects.update(customer=elsewhere, hours=3), ShardKeyImmutable)
