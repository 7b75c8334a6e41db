"""Does `update()` change what one database would have changed, and count the same?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, models
from django.db.models import Case, Count, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce, Length, Upper

from shardkit.errors import CrossDatabaseQuery, CrossShardQuery, ShardKeyImmutable
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop
from tests.fix_writes import refused_write, same_write
from tests.shop.models import (
    Customer,
    Gadget,
    Invoice,
    InvoiceLine,
    Label,
    Line,
    Order,
    Product,
    Profile,
    Reading,
    Room,
    RushOrder,
    Shipment,
)

pytestmark = pytest.mark.django_db(databases="__all__")

UPDATES: dict[str, Callable[[Shop], Any]] = {
    "all rows": lambda _: Order.objects.update(status="x"),
    "no rows": lambda _: Order.objects.none().update(status="x"),
    "no row matches": lambda _: Order.objects.filter(number=-1).update(status="x"),
    "by value over shards": lambda _: Order.objects.filter(status="new").update(status="x", note=None),
    "pinned": lambda shop: Order.objects.filter(customer=shop.customers[6].pk).update(status="x"),
    "several keys": lambda shop: Order.objects.filter(customer__in=[c.pk for c in shop.customers[::3]]).update(
        note="x"
    ),
    "by primary keys": lambda shop: Order.objects.filter(pk__in=[o.pk for o in shop.orders[::2]]).update(note="x"),
    "excluded": lambda shop: Order.objects.exclude(customer=shop.customers[6].pk).update(status="x"),
    "a tree of conditions": lambda shop: Order.objects.filter(
        Q(customer=shop.customers[6].pk) | Q(status="new") & ~Q(number=1)
    ).update(note="x"),
    "a contradiction": lambda shop: (
        Order.objects.filter(customer=shop.customers[0].pk).filter(customer=shop.customers[5].pk).update(status="x")
    ),
    "F": lambda _: Order.objects.update(total=F("total") * 2 + F("number")),
    "functions": lambda _: Order.objects.update(note=Upper(Coalesce("note", Value("none")))),
    "Case": lambda _: Order.objects.update(
        status=Case(When(status="new", then=Value("paid")), When(number=1, then=Value("one")), default=F("status"))
    ),
    "annotated": lambda _: Order.objects.annotate(size=Length("status")).filter(size=3).update(note="three"),
    "set from an annotation": lambda _: Order.objects.annotate(twice=F("number") * 2).update(number=F("twice") + 100),
    "through a parent's key": lambda shop: Line.objects.filter(order__customer=shop.customers[6].pk).update(qty=9),
    "through a colocated parent": lambda _: Line.objects.filter(order__status="new").update(qty=9),
    "through two colocated parents": lambda _: Line.objects.filter(order__customer__score__gt=0).update(qty=9),
    "through a colocated child": lambda _: Customer.objects.filter(orders__lines__qty__gt=1).update(score=99),
    "through a one-to-one": lambda _: Profile.objects.filter(customer__score=1).update(bio="x"),
    "through a reverse one-to-one": lambda _: Customer.objects.filter(profile__isnull=True).update(name="x"),
    "through a copied table": lambda _: Customer.objects.filter(country__name="France").update(name="x"),
    "through many-to-many": lambda _: Order.objects.filter(labels__name="gift").update(note="x"),
    "Exists, colocated": lambda _: Customer.objects.filter(
        Exists(Order.objects.filter(customer=OuterRef("pk"), status="new"))
    ).update(score=50),
    "IN a colocated subquery": lambda _: Order.objects.filter(customer__in=Customer.objects.filter(score__gt=1)).update(
        note="x"
    ),
    "set from a colocated subquery": lambda _: Line.objects.update(
        sku=Subquery(Order.objects.filter(pk=OuterRef("order")).values("status"))
    ),
    "composite key": lambda _: Reading.objects.filter(station="oslo", year=2001).update(value=1),
    "composite key with NULL": lambda _: Reading.objects.filter(station="oslo", year=None).update(value=1),
    "natural key": lambda _: Gadget.objects.filter(code="g3").update(price=1),
    "ordered": lambda _: Order.objects.order_by("-number").update(status="x"),
    "a foreign key that is no shard key": lambda shop: Customer.objects.update(referrer=shop.customers[3].pk),
    "a foreign key to a global row": lambda shop: Order.objects.update(
        product=Product.objects.get(pk=shop.products[2].pk)
    ),
    "a reverse relation": lambda shop: Customer.objects.get(pk=shop.customers[6].pk).orders.update(status="x"),
    "a global row": lambda _: Product.objects.filter(price__gt=5).update(price=F("price") + 1),
    "all global rows": lambda _: Product.objects.update(name="x"),
    "placed rows": lambda _: Invoice.objects.update(amount=F("amount") + 1),
    "placed rows through a placed parent": lambda _: InvoiceLine.objects.filter(invoice__number=1).update(text="x"),
    "the key to what it is": lambda _: Gadget.objects.filter(maker=3).update(maker=3, price=8),
    "a part of the key to what it is": lambda _: Reading.objects.filter(year=2001).update(year=2001, value=8),
    "a foreign key that is the key to what it is": lambda shop: Order.objects.filter(
        customer=shop.customers[7].pk
    ).update(customer=shop.customers[7].pk, note="x"),
    "the key of no row": lambda shop: Order.objects.filter(number=-1).update(customer=shop.customers[7].pk),
}
#: What only rows of several databases together can tell: the keys are gathered, and the rows written by them.
GATHERED: dict[str, Callable[[Shop], Any]] = {
    "through a global table": lambda _: Order.objects.filter(product__name="product 1").update(note="x"),
    "through a global table, by an expression": lambda _: Order.objects.filter(product__price__gt=10).update(
        number=F("number") + 100, note=Upper("status")
    ),
    "through another key": lambda _: Shipment.objects.filter(order__status="new").update(cost=0),
    "through a child with another key": lambda _: Order.objects.filter(shipments__cost__gt=3).update(note="x"),
    "by what another key lacks": lambda _: Order.objects.filter(shipments__isnull=True).update(note=None),
    "not through another key": lambda _: Order.objects.exclude(shipments__cost__gt=3).update(note="x"),
    "Exists, another key": lambda _: Order.objects.filter(Exists(Shipment.objects.filter(order=OuterRef("pk")))).update(
        note="x"
    ),
    "by a slice of all": lambda _: Order.objects.filter(
        pk__in=Order.objects.order_by("-total", "pk").values("pk")[:5]
    ).update(note="x"),
    "by a count of another key": lambda _: (
        Order.objects.annotate(n=Count("shipments")).filter(n__gt=1).update(status="x")
    ),
    "no row of another key": lambda _: Shipment.objects.filter(order__status="none").update(cost=0),
    "distinct": lambda _: Order.objects.filter(shipments__cost__gte=0).distinct().update(note="x"),
    "set from another key": lambda _: Shipment.objects.update(
        cost=Subquery(Order.objects.filter(pk=OuterRef("order")).values("number"))
    ),
    "set from another key and its own row": lambda _: Shipment.objects.filter(order__number__gt=0).update(
        cost=F("cost") + Subquery(Order.objects.filter(pk=OuterRef("order")).values("number"))
    ),
    "set from a global table": lambda _: Order.objects.update(
        note=Subquery(Product.objects.filter(pk=OuterRef("product")).values("name"))
    ),
    "set decimals from a global table": lambda _: Order.objects.update(
        total=Coalesce(Subquery(Product.objects.filter(pk=OuterRef("product")).values("price")), F("total")) / 7
    ),
    "set text from numbers": lambda _: Order.objects.update(
        note=Subquery(Product.objects.filter(pk=OuterRef("product")).values("id"))
    ),
    "set from a count of all": lambda _: Customer.objects.update(
        score=Subquery(Order.objects.order_by().values("status").annotate(n=Count("pk")).order_by("-n").values("n")[:1])
    ),
    "a composite key through another": lambda _: Room.objects.filter(
        tenant__in=Shipment.objects.filter(cost__lt=5).values("cost")
    ).update(name="x"),
    "a natural key by a slice": lambda _: Gadget.objects.filter(
        code__in=Gadget.objects.order_by("-price", "code").values("code")[:4]
    ).update(price=F("price") + 1),
    "a global row from a sharded table": lambda _: Product.objects.update(
        name=Coalesce(
            Subquery(Order.objects.filter(product=OuterRef("pk")).order_by("pk").values("status")[:1]), "name"
        )
    ),
    "a global row through a sharded table": lambda _: Product.objects.filter(orders__status="new").update(name="x"),
    "copied rows through a sharded table": lambda _: Label.objects.filter(order__status="new").update(name="x"),
    "copied rows through one shard": lambda shop: Label.objects.filter(
        order__customer=shop.orders[5].customer_id
    ).update(name="x"),
    "copied rows from a sharded table": lambda _: Label.objects.update(
        name=Coalesce(
            Subquery(Order.objects.filter(labels=OuterRef("pk")).order_by("-number", "pk").values("status")[:1]),
            Value("none"),
        )
    ),
    "a child table through another key": lambda _: RushOrder.objects.filter(shipments__cost__gte=0).update(
        hours=5, note="x"
    ),
}
#: What needs rows of another database, and the error that says so.
REFUSED: dict[str, tuple[Callable[[Shop], Any], type[Exception]]] = {
    "a global row from a placed table": (
        lambda _: Product.objects.update(price=Subquery(Invoice.objects.values("amount")[:1])),
        CrossDatabaseQuery,
    ),
    "placed rows from a global table": (
        lambda _: Invoice.objects.update(amount=Subquery(Product.objects.values("price")[:1])),
        CrossDatabaseQuery,
    ),
    "the key by an expression": (lambda _: Gadget.objects.update(maker=F("maker") + 1), ShardKeyImmutable),
    "the key of all rows": (lambda _: Gadget.objects.update(maker=3), ShardKeyImmutable),
    "the key to another shard": (lambda _: Gadget.objects.filter(maker=1).update(maker=3), ShardKeyImmutable),
    "a foreign key that is the key": (
        lambda shop: Order.objects.filter(customer=shop.customers[3].pk).update(customer=shop.customers[9]),
        ShardKeyImmutable,
    ),
    "its column": (
        lambda shop: Order.objects.filter(customer=shop.customers[3].pk).update(customer_id=shop.customers[9].pk),
        ShardKeyImmutable,
    ),
    "a part of a composite key": (
        lambda _: Reading.objects.filter(station="oslo").update(year=1999),
        ShardKeyImmutable,
    ),
    "an id": (
        lambda shop: Customer.objects.filter(pk=shop.customers[0].pk).update(id=shop.customers[9].pk + 1),
        ShardKeyImmutable,
    ),
    "an id that carries another bucket": (
        lambda shop: Order.objects.filter(pk=shop.orders[0].pk).update(id=shop.orders[0].pk + 1),
        ShardKeyImmutable,
    ),
}


@pytest.mark.parametrize("name", UPDATES)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: UPDATES[name](shop))


@pytest.mark.parametrize("name", GATHERED)
def test_what_only_a_gather_finds_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: GATHERED[name](shop))


def test_what_is_assigned_before_it_is_read_equals_one_database_or_is_refused(shop: Shop) -> None:
    """MariaDB and MySQL read the new value then, and the others the old one."""

    def write() -> int:
        number = Subquery(Order.objects.filter(pk=OuterRef("order")).values("number"))
        return Shipment.objects.update(order=shop.orders[0].pk, cost=number)

    if connection.vendor == "mysql":
        assert "'order' is assigned before it is read" in str(refused_write(write, CrossShardQuery))
    else:
        same_write(write)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name_and_writes_nothing(shop: Shop, name: str) -> None:
    update, error = REFUSED[name]

    refused_write(lambda: update(shop), error)


@pytest.mark.parametrize("name", ["all rows", "by value over shards", "pinned", "F", "through a colocated parent"])
def test_a_plain_queryset_does_the_same(shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in (Order, Line):
        manager = models.Manager.from_queryset(models.QuerySet)()
        manager.model = model
        monkeypatch.setattr(model, "objects", manager)

    same_write(lambda: UPDATES[name](shop))


def test_pinned_is_one_statement_on_one_shard(shop: Shop) -> None:
    customer = shop.customer_on(2, 3)

    with queries_by_database() as seen:
        Order.objects.filter(customer=customer).update(status="x")

    assert {"shard_2": 1} == dict(seen)


def test_several_keys_ask_only_their_shards(shop: Shop) -> None:
    with queries_by_database() as seen:
        Order.objects.filter(customer__in=[shop.customer_on(0), shop.customer_on(3)]).update(status="x")

    assert {"shard_0": 1, "shard_3": 1} == dict(seen)


def test_a_violation_on_one_shard_undoes_all(shop: Shop) -> None:
    del shop

    assert isinstance(same_write(lambda: Order.objects.update(number=5)), IntegrityError)


def test_async_twin(shop: Shop) -> None:
    del shop

    async def write() -> int:
        return await Order.objects.filter(status="new").aupdate(status="async")

    same_write(async_to_sync(write))
