"""Does `delete()` take away what one database would have taken away, and report the same counts?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import models
from django.db.models import Exists, OuterRef, ProtectedError, Q
from django.db.models.signals import post_delete, pre_delete

from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop
from tests.fix_writes import same_write
from tests.shop.models import (
    Country,
    Customer,
    Document,
    Gadget,
    Invoice,
    Label,
    Line,
    Order,
    Part,
    Product,
    Profile,
    Reading,
    Room,
    Shipment,
    Tagged,
)

pytestmark = pytest.mark.django_db(databases="__all__")

DELETES: dict[str, Callable[[Shop], Any]] = {
    "all rows without children": lambda _: Reading.objects.all().delete(),
    "no rows": lambda _: Line.objects.none().delete(),
    "no row matches": lambda _: Order.objects.filter(number=-1).delete(),
    "an instance": lambda shop: Line.objects.get(pk=shop.lines[0].pk).delete(),
    "an instance with children everywhere": lambda shop: Order.objects.get(pk=shop.orders[4].pk).delete(),
    "a cascade over three levels": lambda shop: Customer.objects.get(pk=shop.customers[7].pk).delete(),
    "cascades of all rows": lambda _: Customer.objects.all().delete(),
    "pinned": lambda shop: Order.objects.filter(customer=shop.customers[7].pk).delete(),
    "several keys": lambda shop: Order.objects.filter(customer__in=[c.pk for c in shop.customers[::3]]).delete(),
    "by value over shards": lambda _: Order.objects.filter(status="new").delete(),
    "excluded": lambda shop: Order.objects.exclude(customer=shop.customers[7].pk).delete(),
    "a tree of conditions": lambda shop: Order.objects.filter(Q(customer=shop.customers[7].pk) | Q(number=2)).delete(),
    "through a parent's key": lambda shop: Line.objects.filter(order__customer=shop.customers[7].pk).delete(),
    "through a colocated parent": lambda _: Line.objects.filter(order__status="new").delete(),
    "through a colocated child": lambda _: Order.objects.filter(lines__qty__gt=1).delete(),
    "through a copied table": lambda _: Customer.objects.filter(country__name="France").delete(),
    "through many-to-many": lambda _: Order.objects.filter(labels__name="gift").delete(),
    "Exists": lambda _: Order.objects.filter(Exists(Line.objects.filter(order=OuterRef("pk"), qty=3))).delete(),
    "a one-to-one": lambda _: Profile.objects.filter(customer__score=1).delete(),
    "natural keys": lambda _: Gadget.objects.filter(code__in=["g1", "g2", "g3"]).delete(),
    "composite keys with NULL": lambda _: Reading.objects.filter(year=None).delete(),
    "UUIDs": lambda shop: Document.objects.filter(pk__in=[d.pk for d in shop.documents[:3]]).delete(),
    "a reverse relation": lambda shop: Customer.objects.get(pk=shop.customers[7].pk).orders.all().delete(),
    "a generic relation": lambda shop: Order.objects.get(pk=shop.orders[4].pk).tags.all().delete(),
    "generic rows": lambda _: Tagged.objects.all().delete(),
    "global rows without children": lambda shop: Product.objects.filter(pk=shop.products[4].pk).delete(),
    "placed rows with children": lambda _: Invoice.objects.filter(number__gt=0).delete(),
    "a copied row with many-to-many rows on the shards": lambda shop: Label.objects.get(pk=shop.labels[0].pk).delete(),
    "copied rows": lambda _: Label.objects.filter(name__in=["gift", "unused"]).delete(),
    "a copied row that nothing protects": lambda _: Country.objects.create(code="XX", name="X").delete(),
    "shipments of everywhere": lambda _: Shipment.objects.filter(region__in=["north", ""]).delete(),
    "_raw_delete": lambda _: Reading.objects.all()._raw_delete("default"),
}
PROTECTED: dict[str, Callable[[Shop], Any]] = {
    "a global row by sharded ones": lambda shop: Product.objects.get(pk=shop.products[0].pk).delete(),
    "global rows by sharded ones": lambda _: Product.objects.all().delete(),
    "a copied row by sharded ones": lambda _: Country.objects.get(code="DE").delete(),
    "copied rows by sharded ones": lambda _: Country.objects.all().delete(),
}


@pytest.mark.parametrize("name", DELETES)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: DELETES[name](shop))


@pytest.mark.parametrize("name", PROTECTED)
def test_a_row_protected_from_another_database_stays(shop: Shop, name: str) -> None:
    assert isinstance(same_write(lambda: PROTECTED[name](shop)), ProtectedError)


@pytest.mark.parametrize("name", ["by value over shards", "pinned", "cascades of all rows"])
def test_a_plain_queryset_does_the_same(shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in (Order, Customer):
        manager = models.Manager.from_queryset(models.QuerySet)()
        manager.model = model
        monkeypatch.setattr(model, "objects", manager)

    same_write(lambda: DELETES[name](shop))


def parts(shop: Shop, count: int = 8) -> list[Part]:
    """Make parts on every shard, of which each is made of the one before."""
    made: list[Part] = []
    for shelf in range(count):
        made.append(
            Part.objects.create(
                shelf=shelf,
                order_id=shop.orders[shelf // 2].pk,
                made_of=made[-1] if made else None,
                default_label_id=shop.labels[3].pk,
                bought_id=shop.products[4].pk if shelf == 5 else None,
            )
        )
    return made


PARTS: dict[str, Callable[[Shop], Any]] = {
    "restricted": lambda shop: [parts(shop), Order.objects.get(pk=shop.orders[0].pk).delete()],
    "restricted, through the customer": lambda shop: [
        parts(shop),
        Customer.objects.get(pk=shop.orders[0].customer_id).delete(),
    ],
    "restricted, in bulk": lambda shop: [parts(shop), Order.objects.filter(status="new").delete()],
    "a chain over shards": lambda shop: Part.objects.get(pk=parts(shop)[2].pk).delete(),
    "a chain over shards, in bulk": lambda shop: [len(parts(shop)), Part.objects.filter(shelf=1).delete()],
    "a copied row sets defaults everywhere": lambda shop: [
        len(parts(shop)),
        Label.objects.get(pk=shop.labels[3].pk).delete(),
    ],
    "a global row takes sharded ones with it": lambda shop: [
        len(parts(shop)),
        Product.objects.get(pk=shop.products[4].pk).delete(),
    ],
}


def test_the_parts_are_on_every_shard(shop: Shop) -> None:
    assert set(shop.shards) == {part.shard for part in parts(shop)}


@pytest.mark.parametrize("name", PARTS)
def test_what_a_deletion_reaches_elsewhere(shop: Shop, name: str) -> None:
    same_write(lambda: PARTS[name](shop))


def test_references_elsewhere_are_set_to_null(shop: Shop) -> None:
    """Customers refer to the next one, who is on another shard for every fourth."""
    referred = shop.customers[8].pk

    def write() -> list[Any]:
        counts = Customer.objects.get(pk=referred).delete()
        return [counts, sorted(Customer.objects.filter(referrer=None).values_list("email", flat=True))]

    assert any(c.referrer_id == referred and c.shard != shop.customers[8].shard for c in shop.customers)
    same_write(write)


GATHERED: dict[str, Callable[[Shop], Any]] = {
    "through another key": lambda _: Shipment.objects.filter(order__status="new").delete(),
    "through another key, with children": lambda _: Order.objects.filter(shipments__cost__gt=3).delete(),
    "not through another key": lambda _: Order.objects.exclude(shipments__cost__gt=3).delete(),
    "through a global table": lambda _: Order.objects.filter(product__name="product 1").delete(),
    "a sliced subquery": lambda _: Line.objects.filter(
        order__in=Order.objects.order_by("number", "pk").values("pk")[:3]
    ).delete(),
    "distinct": lambda _: Order.objects.filter(shipments__cost__gte=0).distinct().delete(),
    "no row of another key": lambda _: Shipment.objects.filter(order__status="none").delete(),
    "a composite key": lambda _: Room.objects.filter(
        tenant__in=Shipment.objects.filter(cost__lt=5).values("cost")
    ).delete(),
    "a natural key": lambda _: Gadget.objects.filter(
        code__in=Gadget.objects.order_by("-price", "code").values("code")[:4]
    ).delete(),
    "copied rows through a sharded table": lambda _: Label.objects.filter(order__status="new").delete(),
    "_raw_delete": lambda _: Shipment.objects.filter(order__status="new")._raw_delete("default"),
    "many-to-many rows": lambda _: Order.labels.through.objects.filter(order__shipments__cost__gt=2).delete(),
}


@pytest.mark.parametrize("name", GATHERED)
def test_what_only_a_gather_finds_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: GATHERED[name](shop))


def test_a_protected_row_that_only_a_gather_finds_stays(shop: Shop) -> None:
    del shop

    assert isinstance(same_write(lambda: Product.objects.filter(orders__status="new").delete()), ProtectedError)


def test_a_leaf_is_deleted_by_one_statement(shop: Shop) -> None:
    line = Line.objects.get(pk=shop.lines[0].pk)

    with queries_by_database() as seen:
        line.delete()

    assert {line.shard: 1} == dict(seen)


def test_signals_of_cascades_name_the_logical_database(shop: Shop) -> None:
    heard: list[tuple[str, str, str | None]] = []

    def note(sender: type[models.Model], instance: Any, using: str, **_: Any) -> None:
        heard.append((sender._meta.model_name or "", using, instance.shard))

    customer = Customer.objects.get(pk=shop.customers[7].pk)
    for signal in (pre_delete, post_delete):
        signal.connect(note, sender=Customer)
        signal.connect(note, sender=Line)
    try:
        customer.delete()
    finally:
        for signal in (pre_delete, post_delete):
            signal.disconnect(note, sender=Customer)
            signal.disconnect(note, sender=Line)

    assert {"customer", "line"} == {model for model, _, _ in heard}
    assert {("default", shop.customers[7].shard)} == {(using, shard) for _, using, shard in heard}


def test_a_deleted_instance_has_no_primary_key(shop: Shop) -> None:
    def write() -> Any:
        order = Order.objects.get(pk=shop.orders[4].pk)
        order.delete()
        return [order.pk, same_error(order.delete)]

    same_write(write)


def same_error(call: Callable[[], Any]) -> str:
    try:
        call()
    except ValueError as error:
        return type(error).__name__
    return "none"


def test_async_twins(shop: Shop) -> None:
    pk = shop.orders[4].pk

    async def write() -> Any:
        one = await (await Order.objects.aget(pk=pk)).adelete()
        return one, await Reading.objects.filter(station="oslo").adelete()

    same_write(async_to_sync(write))
