"""Is everything that cannot be right refused by name, before a row stands in a wrong place?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.db.models import F, Value
from django.test import override_settings

from shardkit import conf
from shardkit.catalog import store
from shardkit.catalog.tables import ShardMapVersion
from shardkit.errors import (
    BucketCountChanged,
    CrossDatabaseQuery,
    IdBelongsElsewhere,
    MixedDatabases,
    ShardKeyImmutable,
    ShardKeyNotCovered,
    ShardKeyRequired,
    ShardMapMissing,
    ShardMapTooNew,
    ShardUnavailable,
    UnknownShard,
    WrongShard,
)
from tests.fix_queries import queries_by_database
from tests.fix_shop import START, Shop
from tests.fix_writes import refused_write, same_write
from tests.shop.models import (
    Country,
    Customer,
    Document,
    Gadget,
    Invoice,
    Label,
    Line,
    Order,
    Parcel,
    Product,
    Reading,
    Shipment,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

NOTHING: Any = None
NEW_ORDER: dict[str, Any] = {"number": 900, "status": "new", "total": 5, "created": START}


def order_of(shop: Shop) -> Order:
    return Order.objects.get(pk=shop.orders[3].pk)


def orders_of(label: Any) -> Any:
    return label.order_set


def with_values(instance: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(instance, name, value)
    return instance


def alias_of(shop: Shop) -> str:
    return str(order_of(shop).shard)


def far(shop: Shop) -> Customer:
    """Return a customer on another shard than the order's."""
    return next(customer for customer in shop.customers if customer.shard != alias_of(shop))


def wrong(shop: Shop) -> str:
    return str(far(shop).shard)


def near(shop: Shop) -> Customer:
    """Return another customer of the order's shard."""
    order = order_of(shop)
    return next(c for c in shop.customers if c.shard == order.shard and c.pk != order.customer_id)


def elsewhere(maker: int) -> int:
    """Return a maker whose gadgets live on another shard; that of g3 is 1."""
    here = Gadget(maker=maker).shard
    return next(other for other in range(100, 200) if Gadget(maker=other).shard != here)


WITHOUT_A_KEY: dict[str, Callable[[Shop], Any]] = {
    "save": lambda _: Order(**NEW_ORDER).save(),
    "create": lambda _: Order.objects.create(**NEW_ORDER),
    "create with None": lambda _: Order.objects.create(customer=NOTHING, **NEW_ORDER),
    "bulk_create": lambda shop: Order.objects.bulk_create([Order(customer=shop.customers[0]), Order(**NEW_ORDER)]),
    "get_or_create": lambda _: Order.objects.get_or_create(number=900, defaults=NEW_ORDER),
    "update_or_create": lambda _: Order.objects.update_or_create(number=900, defaults=NEW_ORDER),
    "from a global row": lambda shop: Product.objects.get(pk=shop.products[0].pk).orders.create(**NEW_ORDER),
    "from a copied row": lambda shop: orders_of(Label.objects.get(pk=shop.labels[0].pk)).create(**NEW_ORDER),
    "an expression": lambda _: Gadget.objects.create(code="x", maker=F("price")),
    "a value expression": lambda _: Gadget.objects.create(code="x", maker=Value(3)),
    "an expression in bulk": lambda _: Gadget.objects.bulk_create([Gadget(code="x", maker=Value(3))]),
    "a key set to None": lambda shop: with_values(order_of(shop), customer_id=None).save(),
    "half a composite key": lambda _: Reading.objects.create(year=2000, value=1, station=NOTHING),
    "a UUID without its customer": lambda _: Document.objects.create(title="x"),
}


@pytest.mark.parametrize("name", WITHOUT_A_KEY)
def test_no_key(shop: Shop, name: str) -> None:
    with queries_by_database() as seen:
        error = refused_write(lambda: WITHOUT_A_KEY[name](shop), ShardKeyRequired)

    assert "needs" in str(error)
    assert not [text for _, text in seen.texts if text.startswith(("INSERT", "UPDATE", "DELETE"))]


NOT_COVERED: dict[str, Callable[[], Any]] = {
    "below every range": lambda: Parcel.objects.create(zone=-1, weight=1),
    "beyond the end": lambda: Parcel.objects.create(zone=1000, weight=1),
    "in bulk": lambda: Parcel.objects.bulk_create([Parcel(zone=1, weight=1), Parcel(zone=5000, weight=1)]),
}


@pytest.mark.parametrize("name", NOT_COVERED)
def test_a_key_that_nothing_covers(shop: Shop, name: str) -> None:
    del shop

    refused_write(NOT_COVERED[name], ShardKeyNotCovered)


def test_nothing_has_a_key_that_nothing_covers(shop: Shop) -> None:
    del shop

    assert [[], 0, (0, {})] == [
        list(Parcel.objects.filter(zone=5000)),
        Parcel.objects.filter(zone=-1).update(weight=2),
        Parcel.objects.filter(zone__in=[-1, 5000]).delete(),
    ]


def test_covered_keys_are_where_their_range_is(shop: Shop) -> None:
    same_write(lambda: [Parcel.objects.create(zone=zone, weight=1).zone for zone in (0, 99, 100, 250, 999, None)])
    same_write(lambda: [Ticket.objects.create(queue=queue, title="x").title for queue in ("support", "sales", "any")])
    del shop


@pytest.mark.parametrize("value", ["seven", object(), [], {}], ids=lambda value: type(value).__name__)
def test_a_value_that_is_no_key_is_refused_as_django_does(shop: Shop, value: Any) -> None:
    del shop

    refused_write(lambda: Gadget.objects.create(code="x", maker=value), (TypeError, ValueError))  # type: ignore[arg-type]
    refused_write(lambda: Gadget.objects.filter(maker=value).update(price=1), (TypeError, ValueError))  # type: ignore[arg-type]


CHANGED_KEYS: dict[str, Callable[[Shop], Any]] = {
    "save": lambda shop: with_values(order_of(shop), customer_id=far(shop).pk).save(),
    "save of an object": lambda shop: with_values(
        order_of(shop), customer=Customer.objects.get(pk=far(shop).pk)
    ).save(),
    "save of the key alone": lambda shop: with_values(order_of(shop), customer_id=far(shop).pk).save(
        update_fields=["customer"]
    ),
    "save of its column": lambda shop: with_values(order_of(shop), customer_id=far(shop).pk).save(
        update_fields=["customer_id"]
    ),
    "save by force": lambda shop: with_values(order_of(shop), customer_id=far(shop).pk).save(force_update=True),
    "save on the same shard, by another bucket": lambda shop: with_values(
        order_of(shop), customer_id=near(shop).pk
    ).save(),
    "save of the key that is the id": lambda shop: with_values(
        Customer.objects.get(pk=shop.customers[0].pk), id=far(shop).pk + 4096 * 77
    ).save(),
    "save of a natural row": lambda _: with_values(Gadget.objects.get(code="g3"), maker=elsewhere(1)).save(),
    "save of a composite key": lambda _: with_values(Reading.objects.get(station="oslo", year=2000), year=1996).save(),
    "save to NULL": lambda _: with_values(Reading.objects.get(station="oslo", year=2000), year=None).save(),
    "update": lambda shop: Order.objects.filter(pk=shop.orders[3].pk).update(customer=far(shop).pk),
    "update of an object": lambda shop: Order.objects.filter(pk=shop.orders[3].pk).update(customer=far(shop)),
    "update by an expression": lambda _: Order.objects.update(customer=F("number")),
    "update on the shard by name": lambda shop: Order.objects.using(alias_of(shop)).update(customer=far(shop).pk),
    "bulk_update": lambda shop: Order.objects.bulk_update(
        [with_values(order_of(shop), customer_id=far(shop).pk)], ["customer"]
    ),
    "bulk_update of a row made by hand": lambda _: Gadget.objects.bulk_update(
        [Gadget(code="g3", maker=elsewhere(1))], ["maker"]
    ),
    "bulk_update by an expression": lambda _: Gadget.objects.bulk_update(
        [with_values(Gadget.objects.get(code="g3"), maker=F("maker") + 1)], ["maker"]
    ),
    "upsert": lambda shop: Order.objects.bulk_create(
        [Order(customer=far(shop), **NEW_ORDER)],
        update_conflicts=True,
        update_fields=["customer"],
        **({"unique_fields": ["id"]} if connection.features.supports_update_conflicts_with_target else {}),
    ),
    "update_or_create": lambda shop: Order.objects.update_or_create(
        pk=shop.orders[3].pk, defaults={"customer": Customer.objects.get(pk=far(shop).pk)}
    ),
    "add to another parent": lambda shop: Customer.objects.get(pk=far(shop).pk).orders.add(order_of(shop)),
    "set of another parent": lambda shop: Customer.objects.get(pk=far(shop).pk).orders.set([order_of(shop)]),
    "add to another parent, not in bulk": lambda shop: Customer.objects.get(pk=far(shop).pk).orders.add(
        order_of(shop), bulk=False
    ),
    "a line of another order": lambda shop: with_values(
        Line.objects.get(pk=shop.lines[0].pk), order_id=shop.orders[-1].pk
    ).save(),
}


@pytest.mark.parametrize("name", CHANGED_KEYS)
def test_a_changed_key(shop: Shop, name: str) -> None:
    error = refused_write(lambda: CHANGED_KEYS[name](shop), (ShardKeyImmutable, ShardKeyRequired))  # type: ignore[arg-type]

    assert isinstance(error, ShardKeyRequired if name == "bulk_update by an expression" else ShardKeyImmutable)


def test_an_id_of_another_bucket(shop: Shop) -> None:
    here = shop.orders[3]

    refused_write(lambda: Order(pk=here.pk, customer=far(shop), **NEW_ORDER).save(), IdBelongsElsewhere)
    refused_write(
        lambda: Order.objects.create(pk=here.pk + 4096 * 500, customer=far(shop), **NEW_ORDER), IdBelongsElsewhere
    )
    refused_write(
        lambda: Order.objects.bulk_create([Order(pk=here.pk + 4096 * 500, customer=far(shop), **NEW_ORDER)]),
        IdBelongsElsewhere,
    )


def test_a_primary_key_that_a_row_on_another_shard_has(shop: Shop) -> None:
    """The primary key of a gadget does not say its shard, so the other shards are asked."""
    del shop

    refused_write(lambda: Gadget(code="g3", maker=elsewhere(1)).save(), ShardKeyImmutable)


USING_ANOTHER: dict[str, Callable[[Shop], Any]] = {
    "get": lambda shop: Order.objects.using(wrong(shop)).get(pk=shop.orders[3].pk),
    "filter": lambda shop: list(Order.objects.using(wrong(shop)).filter(customer=shop.orders[3].customer_id)),
    "filter by several keys": lambda shop: list(
        Order.objects.using(wrong(shop)).filter(customer__in=[shop.orders[3].customer_id, near(shop).pk])
    ),
    "count": lambda shop: Order.objects.using(wrong(shop)).filter(pk=shop.orders[3].pk).count(),
    "exists": lambda shop: Order.objects.using(wrong(shop)).filter(pk=shop.orders[3].pk).exists(),
    "save": lambda shop: order_of(shop).save(using=wrong(shop)),
    "save of some fields": lambda shop: order_of(shop).save(using=wrong(shop), update_fields=["note"]),
    "save of a new row": lambda shop: Order(customer_id=shop.orders[3].customer_id, **NEW_ORDER).save(
        using=wrong(shop)
    ),
    "create": lambda shop: Order.objects.using(wrong(shop)).create(customer_id=shop.orders[3].customer_id, **NEW_ORDER),
    "bulk_create": lambda shop: Order.objects.using(wrong(shop)).bulk_create(
        [Order(customer=far(shop), **NEW_ORDER), Order(customer_id=shop.orders[3].customer_id, **NEW_ORDER)]
    ),
    "bulk_update": lambda shop: Order.objects.using(wrong(shop)).bulk_update(
        [with_values(order_of(shop), note="x")], ["note"]
    ),
    "get_or_create": lambda shop: Order.objects.using(wrong(shop)).get_or_create(
        customer_id=shop.orders[3].customer_id, number=900, defaults=NEW_ORDER
    ),
    "update": lambda shop: Order.objects.using(wrong(shop)).filter(pk=shop.orders[3].pk).update(note="x"),
    "delete": lambda shop: Order.objects.using(wrong(shop)).filter(pk=shop.orders[3].pk).delete(),
    "delete of an instance": lambda shop: order_of(shop).delete(using=wrong(shop)),
    "refresh_from_db": lambda shop: order_of(shop).refresh_from_db(using=wrong(shop)),
    "a copied row: create": lambda _: Label.objects.using("shard_1").create(name="x"),
    "a copied row: save": lambda shop: Label.objects.get(pk=shop.labels[0].pk).save(using="shard_1"),
    "a copied row: update": lambda _: Label.objects.using("shard_1").update(name="x"),
    "a copied row: delete": lambda _: Label.objects.using("shard_1").filter(name="unused").delete(),
    "a copied row: delete of an instance": lambda shop: Label.objects.get(pk=shop.labels[3].pk).delete(using="shard_1"),
    "a copied row: bulk_create": lambda _: Label.objects.using("shard_1").bulk_create([Label(name="x")]),
    "a copied row: bulk_update": lambda _: Country.objects.using("shard_1").bulk_update(
        [Country(code="DE", name="x")], ["name"]
    ),
    "a placed row: read": lambda _: list(Invoice.objects.using("shard_1")),
    "a placed row: create": lambda _: Invoice.objects.using("shard_1").create(number=9, amount=1),
}


@pytest.mark.parametrize("name", USING_ANOTHER)
def test_a_database_that_does_not_own_the_row(shop: Shop, name: str) -> None:
    error = refused_write(lambda: USING_ANOTHER[name](shop), WrongShard)

    assert "using" in str(error)


USING_ITS_OWN: dict[str, Callable[[Shop], Any]] = {
    "save": lambda shop: with_values(order_of(shop), note="x").save(using=alias_of(shop)),
    "create": lambda shop: Order.objects.using(alias_of(shop)).create(
        customer_id=shop.orders[3].customer_id, **NEW_ORDER
    ),
    "update": lambda shop: Order.objects.using(alias_of(shop)).filter(pk=shop.orders[3].pk).update(note="x"),
    "bulk_update": lambda shop: Order.objects.using(alias_of(shop)).bulk_update(
        [with_values(order_of(shop), note="x")], ["note"]
    ),
    "delete": lambda shop: Order.objects.using(alias_of(shop)).filter(pk=shop.orders[3].pk).delete(),
    "delete of an instance": lambda shop: order_of(shop).delete(using=alias_of(shop)),
    "default: update": lambda shop: Order.objects.using("default").filter(pk=shop.orders[3].pk).update(note="x"),
    "default: delete": lambda _: Order.objects.using("default").filter(status="new").delete(),
    "default: save": lambda shop: with_values(order_of(shop), note="x").save(using="default"),
    "default: combined": lambda shop: (
        Order.objects.using("default").filter(pk=shop.orders[3].pk) | Order.objects.filter(pk=shop.orders[4].pk)
    ).update(note="x"),
    "default: a subquery": lambda _: Order.objects.filter(
        customer__in=Customer.objects.using("default").filter(score=1)
    ).update(note="x"),
}


@pytest.mark.parametrize("name", USING_ITS_OWN)
def test_naming_the_database_that_owns_the_row_changes_nothing(
    shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cascades reach other shards all the same."""
    write = USING_ITS_OWN[name]
    alias = "default" if name.startswith("default") else alias_of(shop)

    def run() -> Any:
        is_plain = connections["default"] is connections["oracle"]
        monkeypatch.setitem(globals(), "alias_of", lambda _: "default" if is_plain else alias)
        return write(shop)

    same_write(run)


MIXED: dict[str, Callable[[Any, Any], Any]] = {
    "|": lambda left, right: left | right,
    "&": lambda left, right: left & right,
    "^": lambda left, right: left ^ right,
    "union": lambda left, right: left.union(right),
    "intersection": lambda left, right: left.intersection(right),
    "difference": lambda left, right: left.difference(right),
    "union of three": lambda left, right: left.union(left, right),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("aliases", [("shard_0", "shard_1"), (None, "shard_1"), ("shard_0", "default")], ids=str)
def test_combining_querysets_of_two_databases(shop: Shop, name: str, aliases: tuple[str | None, str | None]) -> None:
    del shop
    left, right = (Order.objects.using(alias) if alias else Order.objects.all() for alias in aliases)

    with pytest.raises(MixedDatabases):
        MIXED[name](left, right)


def test_a_subquery_of_another_database_is_refused_as_django_does(shop: Shop) -> None:
    del shop

    with pytest.raises(ValueError, match="different databases"):
        list(Order.objects.using("shard_0").filter(customer__in=Customer.objects.using("shard_1").all()))


JOINS: dict[str, Callable[[Shop], Any]] = {
    "a global table through a placed one": lambda _: Product.objects.filter(
        pk__in=Invoice.objects.values("number")
    ).update(name="x"),
    "a placed table through a global one": lambda _: Invoice.objects.filter(
        number__in=Product.objects.values("pk")
    ).delete(),
    "a sharded table through a placed one": lambda _: Order.objects.filter(
        number__in=Invoice.objects.values("number")
    ).update(note="x"),
    "a copied table through a placed one": lambda _: Label.objects.filter(
        pk__in=Invoice.objects.values("number")
    ).update(name="x"),
}


@pytest.mark.parametrize("name", JOINS)
def test_a_join_that_cannot_work(shop: Shop, name: str) -> None:
    refused_write(lambda: JOINS[name](shop), CrossDatabaseQuery)


@contextmanager
def changed_map(**values: Any) -> Iterator[None]:
    """Let the catalog hold another map for a while."""
    with transaction.atomic():
        if values:
            ShardMapVersion.objects.update(**values)
        else:
            ShardMapVersion.objects.all().delete()
        store.reset_map()
        try:
            yield
        finally:
            transaction.set_rollback(True)
    store.reset_map()


MAPS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "missing": ({}, ShardMapMissing, "migrate_shards"),
    "too new": ({"format": 99}, ShardMapTooNew, "Upgrade"),
    "of a shard that the settings lack": ({"owners": '[["gone", 1024]]'}, UnknownShard, "gone"),
}
OPERATIONS: dict[str, Callable[[Shop], Any]] = {
    "get": lambda shop: Order.objects.get(pk=shop.orders[3].pk),
    "filter": lambda shop: list(Order.objects.filter(customer=shop.customers[3].pk)),
    "create": lambda shop: Order.objects.create(customer_id=shop.customers[3].pk, **NEW_ORDER),
    "update": lambda shop: Order.objects.filter(pk=shop.orders[3].pk).update(note="x"),
    "delete": lambda shop: Order.objects.filter(pk=shop.orders[3].pk).delete(),
    "bulk_create": lambda shop: Order.objects.bulk_create([Order(customer_id=shop.customers[3].pk, **NEW_ORDER)]),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", MAPS)
def test_a_map_that_cannot_be_used(shop: Shop, name: str, operation: str) -> None:
    values, error, remedy = MAPS[name]

    with changed_map(**values), queries_by_database() as seen, pytest.raises(error, match=remedy):
        OPERATIONS[operation](shop)

    assert not [text for _, text in seen.texts if text.startswith(("INSERT", "UPDATE", "DELETE"))]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_another_number_of_buckets(shop: Shop, operation: str) -> None:
    from django.conf import settings

    with (
        override_settings(SHARDKIT={**settings.SHARDKIT, "BUCKETS": 512}),
        pytest.raises(BucketCountChanged, match="1024"),
    ):
        OPERATIONS[operation](shop)

    assert 1024 == conf.get_settings().buckets


@contextmanager
def down(alias: str) -> Iterator[None]:
    """Let nobody answer where the settings look for a database: no file, or no server at that port."""
    up = connections[alias]
    broken = connections.create_connection(alias)
    broken.settings_dict = {**up.settings_dict, "NAME": "/nonexistent/database"}
    if connection.vendor != "sqlite":
        broken.settings_dict |= {"NAME": up.settings_dict["NAME"], "HOST": "127.0.0.1", "PORT": "1"}
    connections[alias] = broken
    try:
        yield
    finally:
        connections[alias] = up


ON_A_SHARD: dict[str, Callable[[Shop], Any]] = {
    "get": lambda shop: Customer.objects.get(pk=shop.customer_on(1).pk),
    "all": lambda _: list(Customer.objects.all()),
    "create": lambda shop: Order.objects.create(customer_id=shop.customer_on(1).pk, **NEW_ORDER),
    "bulk_create": lambda shop: Order.objects.bulk_create(
        [Order(customer_id=shop.customer_on(number).pk, **NEW_ORDER) for number in range(4)]
    ),
    "update": lambda shop: Customer.objects.filter(pk=shop.customer_on(1).pk).update(name="x"),
    "update of all": lambda _: Customer.objects.update(name="x"),
    "delete": lambda shop: Customer.objects.get(pk=shop.customer_on(0).pk).delete(),
    "a copied row": lambda _: Label.objects.create(name="x"),
    "by name": lambda _: list(Customer.objects.using("shard_1")),
}


@pytest.mark.parametrize("name", ON_A_SHARD)
def test_a_shard_that_is_down(shop: Shop, name: str) -> None:
    with down("shard_1"), pytest.raises(ShardUnavailable, match="'shard_1'") as raised, transaction.atomic():
        ON_A_SHARD[name](shop)

    assert isinstance(raised.value, OperationalError)
    assert shop.customers[0] == Customer.objects.get(pk=shop.customers[0].pk)
    refused_write(fail, ZeroDivisionError)


def fail() -> None:
    raise ZeroDivisionError


def test_the_other_shards_answer_while_one_is_down(shop: Shop) -> None:
    with down("shard_1"):
        for number in (0, 2, 3):
            customer = Customer.objects.get(pk=shop.customer_on(number).pk)
            customer.save()
            Order.objects.create(customer=customer, **NEW_ORDER)


@pytest.mark.parametrize("name", ["order", "aggregate", "distinct", "offset"])
def test_writes_whose_rows_only_all_shards_know(shop: Shop, name: str) -> None:
    del shop
    writes: dict[str, Callable[[], Any]] = {
        "order": lambda: Order.objects.filter(pk__in=Order.objects.order_by("number", "pk").values("pk")[:3]).update(
            note="x"
        ),
        "aggregate": lambda: Shipment.objects.filter(cost=Order.objects.order_by("pk").values("number")[:1]).update(
            cost=1
        ),
        "distinct": lambda: Line.objects.filter(order__in=Order.objects.filter(product__name="x")).delete(),
        "offset": lambda: Order.objects.filter(pk__in=Order.objects.order_by("pk").values("pk")[2:4]).delete(),
    }

    same_write(writes[name])


def test_a_violation_is_still_djangos(shop: Shop) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Customer.objects.create(name="n", email=shop.customers[0].email, pk=shop.customers[0].pk + 4096 * 900)
