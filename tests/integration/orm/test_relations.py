"""Do related managers write through to the right rows, whichever side they stand on?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.models import Count, Max
from django.db.models.signals import m2m_changed

from shardkit.routing import owners
from shardkit.routing.registry import databases_of
from tests.fix_queries import queries_by_database
from tests.fix_shop import START, Shop, same
from tests.fix_writes import same_write
from tests.nasty.models import Box, Choir
from tests.shop.models import Country, Customer, Label, Order, Product, Profile, Shipment, Tagged

pytestmark = pytest.mark.django_db(databases="__all__")

NEW_ORDER: dict[str, Any] = {"number": 1000, "status": "new", "total": 5, "created": START}


def _orders_of(label: Any) -> Any:
    return label.order_set


def target(tagged: Tagged) -> Any:
    return tagged.target


def order(shop: Shop) -> Order:
    return Order.objects.get(pk=shop.orders[3].pk)  # it has two labels


def label(shop: Shop, number: int = 0) -> Label:
    return Label.objects.get(pk=shop.labels[number].pk)


def orders(shop: Shop) -> list[Order]:
    """Return orders of all shards."""
    return [Order.objects.get(pk=one.pk) for one in shop.orders[::4]]


MANY_TO_MANY: dict[str, Callable[[Shop], Any]] = {
    "add": lambda shop: order(shop).labels.add(label(shop, 2), label(shop, 3)),
    "add what is there": lambda shop: order(shop).labels.add(label(shop, 0), label(shop, 1)),
    "add primary keys": lambda shop: order(shop).labels.add(shop.labels[2].pk, shop.labels[3].pk),
    "add nothing": lambda shop: order(shop).labels.add(),
    "remove": lambda shop: order(shop).labels.remove(label(shop, 0)),
    "remove primary keys": lambda shop: order(shop).labels.remove(shop.labels[0].pk, shop.labels[3].pk),
    "set": lambda shop: order(shop).labels.set([label(shop, 1), label(shop, 3)]),
    "set, clearing": lambda shop: order(shop).labels.set([label(shop, 1), label(shop, 3)], clear=True),
    "set nothing": lambda shop: order(shop).labels.set([]),
    "clear": lambda shop: order(shop).labels.clear(),
    "create": lambda shop: order(shop).labels.create(name="new"),
    "get or create": lambda shop: order(shop).labels.get_or_create(name="new"),
    "get and not create": lambda shop: order(shop).labels.get_or_create(name="gift"),
    "update or create": lambda shop: order(shop).labels.update_or_create(name="gift", defaults={"name": "present"}),
    "count": lambda shop: [order(shop).labels.count(), order(shop).labels.exists()],
    "reverse add": lambda shop: label(shop).order_set.add(*orders(shop)),
    "reverse add primary keys": lambda shop: label(shop).order_set.add(*[one.pk for one in shop.orders[::4]]),
    "reverse remove": lambda shop: label(shop).order_set.remove(*orders(shop)),
    "reverse set": lambda shop: label(shop).order_set.set(orders(shop)),
    "reverse set, clearing": lambda shop: label(shop).order_set.set(orders(shop), clear=True),
    "reverse clear": lambda shop: label(shop).order_set.clear(),
    "reverse create": lambda shop: _orders_of(label(shop)).create(customer_id=shop.customers[5].pk, **NEW_ORDER),
    "delete those related": lambda shop: label(shop).order_set.all().delete(),
    "the through table": lambda shop: Order.labels.through.objects.create(
        order_id=shop.orders[4].pk, label_id=shop.labels[3].pk
    ),
    "many of the through table": lambda shop: len(
        Order.labels.through.objects.bulk_create(
            [Order.labels.through(order_id=one.pk, label_id=shop.labels[3].pk) for one in shop.orders]
        )
    ),
    "delete of the through table": lambda shop: Order.labels.through.objects.filter(label=shop.labels[0].pk).delete(),
    "update of the through table": lambda shop: Order.labels.through.objects.filter(label=shop.labels[0].pk).update(
        label=shop.labels[3].pk
    ),
}
FOREIGN_KEYS: dict[str, Callable[[Shop], Any]] = {
    "create": lambda shop: Customer.objects.get(pk=shop.customers[6].pk).orders.create(**NEW_ORDER),
    "bulk_create": lambda shop: len(
        Customer.objects.get(pk=shop.customers[6].pk).orders.bulk_create(
            [Order(customer_id=shop.customers[6].pk, **NEW_ORDER)]
        )
    ),
    "create from a global row": lambda shop: Product.objects.get(pk=shop.products[0].pk).orders.create(
        customer_id=shop.customers[6].pk, **NEW_ORDER
    ),
    "create from a row with another key": lambda shop: order(shop).shipments.create(region="far", cost=1),
    "create from a copied row": lambda _: Country.objects.get(code="DE").customer_set.create(name="n", email="e"),
    "add of another key": lambda shop: order(shop).shipments.add(
        *[Shipment.objects.get(pk=one.pk) for one in shop.shipments[::5]]
    ),
    "set of another key": lambda shop: order(shop).shipments.set(
        [Shipment.objects.get(pk=one.pk) for one in shop.shipments[::5]]
    ),
    "add to a global row": lambda shop: Product.objects.get(pk=shop.products[3].pk).orders.add(*orders(shop)),
    "add to a global row, not in bulk": lambda shop: Product.objects.get(pk=shop.products[3].pk).orders.add(
        *orders(shop), bulk=False
    ),
    "set of a global row": lambda shop: Product.objects.get(pk=shop.products[3].pk).orders.set(orders(shop)),
    "remove from a global row": lambda shop: _remove(Product.objects.get(pk=shop.products[0].pk), _keys(shop)),
    "clear of a global row": lambda shop: Product.objects.get(pk=shop.products[0].pk).orders.clear(),
    "clear of a global row, not in bulk": lambda shop: Product.objects.get(pk=shop.products[0].pk).orders.clear(
        bulk=False
    ),
    "add referred customers of other shards": lambda shop: Customer.objects.get(pk=shop.customers[0].pk).referred.add(
        *[Customer.objects.get(pk=one.pk) for one in shop.customers[::5]]
    ),
    "set referred customers of other shards": lambda shop: Customer.objects.get(pk=shop.customers[0].pk).referred.set(
        [Customer.objects.get(pk=one.pk) for one in shop.customers[::5]]
    ),
    "clear referred customers": lambda shop: Customer.objects.get(pk=shop.customers[4].pk).referred.clear(),
    "add of one's own": lambda shop: Customer.objects.get(pk=shop.orders[3].customer_id).orders.add(order(shop)),
    "update of the reverse side": lambda shop: Customer.objects.get(pk=shop.customers[6].pk).orders.update(note="x"),
    "delete of the reverse side": lambda shop: Product.objects.get(pk=shop.products[0].pk).orders.all().delete(),
    "assigning another customer's referrer": lambda shop: _assign(
        Customer.objects.get(pk=shop.customers[0].pk), referrer=Customer.objects.get(pk=shop.customers[9].pk)
    ),
    "assigning None": lambda shop: _assign(Customer.objects.get(pk=shop.customers[1].pk), referrer=None),
    "assigning a global row": lambda shop: _assign(order(shop), product=Product.objects.get(pk=shop.products[4].pk)),
    "assigning a copied row": lambda shop: _assign(
        Customer.objects.get(pk=shop.customers[1].pk), country=Country.objects.get(code="JP")
    ),
}
ONE_TO_ONE: dict[str, Callable[[Shop], Any]] = {
    "create": lambda shop: Profile.objects.create(customer=Customer.objects.get(pk=shop.customers[1].pk), bio="new"),
    "assigning on the reverse side": lambda shop: _profile(shop.customers[1].pk),
    "save from the reverse side": lambda shop: _assign(Customer.objects.get(pk=shop.customers[0].pk).profile, bio="x"),
    "a second one": lambda shop: Profile.objects.create(customer_id=shop.customers[0].pk, bio="second"),
    "delete": lambda shop: Customer.objects.get(pk=shop.customers[0].pk).profile.delete(),
    "delete of the other side": lambda shop: Customer.objects.get(pk=shop.customers[0].pk).delete(),
}
GENERIC: dict[str, Callable[[Shop], Any]] = {
    "create": lambda shop: order(shop).tags.create(tag="new"),
    "create with a target": lambda shop: Tagged.objects.create(target=order(shop), tag="new").target,
    "create with a copied target": lambda shop: Tagged.objects.create(target=label(shop, 1), tag="new").target,
    "create with a global target": lambda shop: (
        Tagged.objects.create(target=Product.objects.get(pk=shop.products[0].pk), tag="new").target
    ),
    "add": lambda shop: order(shop).tags.add(*[Tagged.objects.get(pk=one.pk) for one in shop.tags[:2]]),
    "add new ones, not in bulk": lambda shop: order(shop).tags.add(Tagged(tag="new"), bulk=False),
    "set": lambda shop: order(shop).tags.set([Tagged.objects.get(pk=one.pk) for one in shop.tags[:2]]),
    "remove": lambda shop: order(shop).tags.remove(Tagged.objects.get(pk=shop.tags[3].pk)),
    "clear": lambda shop: order(shop).tags.clear(),
    "update": lambda shop: order(shop).tags.update(tag="changed"),
    "get or create": lambda shop: order(shop).tags.get_or_create(tag="new"),
    "update or create": lambda shop: order(shop).tags.update_or_create(tag="new", defaults={"tag": "newer"}),
    "assigning": lambda shop: _assign(Tagged.objects.get(pk=shop.tags[0].pk), target=label(shop, 2)),
    "targets": lambda _: sorted(str(target(tagged).pk) for tagged in Tagged.objects.all()),
    "delete of the target": lambda shop: order(shop).delete(),
    "content types": lambda shop: Tagged.objects.filter(
        content_type=ContentType.objects.get_for_model(Label), object_id=shop.labels[0].pk
    ).update(tag="x"),
}
ALL = {
    f"{family}: {name}": write
    for family, writes in {"m2m": MANY_TO_MANY, "fk": FOREIGN_KEYS, "o2o": ONE_TO_ONE, "gfk": GENERIC}.items()
    for name, write in writes.items()
}


def _keys(shop: Shop) -> list[int]:
    return [customer.pk for customer in shop.customers]


def _remove(product: Product, customers: list[int]) -> None:
    product.orders.remove(*product.orders.filter(customer_id__in=customers))


def _assign(instance: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(instance, name, value)
    instance.save()
    return instance


def _profile(customer: int) -> Any:
    found = Customer.objects.get(pk=customer)
    found.profile = Profile(bio="assigned")
    found.profile.save()
    return Customer.objects.get(pk=customer).profile.bio


@pytest.mark.parametrize("name", ALL)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: ALL[name](shop))


def test_labels_of_an_order_are_added_on_its_shard(shop: Shop) -> None:
    found = order(shop)
    chosen = label(shop, 2)
    found.labels.add(label(shop, 3))  # a range of ids is there from now on

    with queries_by_database() as seen:
        found.labels.add(chosen)

    assert {found.shard} == set(seen)


def test_signals_of_many_to_many_name_the_logical_database(shop: Shop) -> None:
    heard: list[str] = []

    def note(using: str, **_: Any) -> None:
        heard.append(using)

    m2m_changed.connect(note, sender=Order.labels.through)
    try:
        order(shop).labels.add(label(shop, 2))
        label(shop, 2).order_set.clear()
    finally:
        m2m_changed.disconnect(note, sender=Order.labels.through)

    assert {"default"} == set(heard)


def test_async_twins_of_related_managers(shop: Shop) -> None:
    pk, customer, product = shop.orders[3].pk, shop.customers[6].pk, shop.products[3].pk

    async def write() -> list[Any]:
        found = await Order.objects.aget(pk=pk)
        chosen = [one async for one in Label.objects.order_by("pk")]
        await found.labels.aadd(chosen[2])
        await found.labels.aremove(chosen[0])
        await found.labels.aset([chosen[1], chosen[3]])
        made = await found.labels.acreate(name="new")
        got = await found.labels.aget_or_create(name="newer")
        updated = await found.labels.aupdate_or_create(name="newer", defaults={"name": "newest"})
        await chosen[1].order_set.aclear()
        parent = await Customer.objects.aget(pk=customer)
        await parent.orders.acreate(**NEW_ORDER)
        shelf = await Product.objects.aget(pk=product)
        await shelf.orders.aadd(found)
        await shelf.orders.aset([found])
        await shelf.orders.aremove(found)
        await shelf.orders.aclear()
        await found.tags.acreate(tag="new")
        return [made, got, updated, await found.labels.acount()]

    same_write(async_to_sync(write))


# A global model that declares the relation has its table beside it, on default.


def _choir() -> tuple[Choir, list[Box]]:
    return Choir.objects.create(), [Box.objects.create(name=f"box {number}") for number in range(6)]


def _added(choir: Choir, boxes: list[Box]) -> Any:
    choir.boxes.add(*boxes[:4])
    return sorted(choir.boxes.values_list("name", flat=True)), [box.choirs.count() for box in boxes]


def _added_backwards(choir: Choir, boxes: list[Box]) -> Any:
    for box in boxes[1:3]:
        box.choirs.add(choir)
    return list(Choir.objects.filter(boxes__name="box 2").values_list("boxes__name", flat=True))


def _set_and_removed(choir: Choir, boxes: list[Box]) -> Any:
    choir.boxes.set(boxes)
    choir.boxes.remove(boxes[0])
    boxes[1].choirs.clear()
    return sorted(Box.objects.filter(choirs=choir).values_list("name", flat=True))


def _deleted(choir: Choir, boxes: list[Box]) -> Any:
    choir.boxes.set(boxes)
    boxes[0].delete()
    Box.objects.filter(name__in=["box 1", "box 2"]).delete()
    return choir.boxes.count(), Choir.boxes.through.objects.count()


def _prefetched(choir: Choir, boxes: list[Box]) -> Any:
    choir.boxes.set(boxes[:3])
    (found,) = Choir.objects.prefetch_related("boxes")
    annotated = Choir.objects.annotate(n=Count("boxes"), most=Max("boxes__name")).values_list("n", "most")
    return sorted(box.name for box in found.boxes.all()), list(annotated)


@pytest.mark.parametrize("use", [_added, _added_backwards, _set_and_removed, _deleted, _prefetched])
def test_a_relation_that_a_global_model_declares_to_a_sharded_one(use: Callable[[Choir, list[Box]], Any]) -> None:
    same(lambda: use(*_choir()))


@pytest.mark.parametrize("through", [Choir.boxes.through, Order.labels.through])
def test_the_table_of_a_relation_is_where_it_is_made(through: Any) -> None:
    table = through._meta.db_table
    made = {alias for alias in connections if table in connections[alias].introspection.table_names()}

    assert set(databases_of(through)) <= made
    assert databases_of(through) == (("default",) if through is Choir.boxes.through else owners.all_aliases())
