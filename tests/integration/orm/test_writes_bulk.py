"""Do many rows written at once get to their shards as one database would have taken them?"""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, models
from django.db.models import F, Value
from django.db.models.functions import Concat

from shardkit.errors import CrossShardQuery, ShardKeyImmutable, ShardKeyRequired
from tests.fix_queries import queries_by_database
from tests.fix_shop import START, Shop
from tests.fix_writes import refused_write, same_write, unrouted
from tests.shop.models import Customer, Document, Gadget, Label, Order, Product, Profile, Reading, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")


def new_orders(shop: Shop, count: int = 20, **values: Any) -> list[Order]:
    """Make orders of customers on every shard, in no order of shards."""
    return [
        Order(
            customer_id=shop.customers[n * 7 % len(shop.customers)].pk,
            **{"number": 100 + n, "status": "new", "total": n, "created": START, **values},
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("how", [{}, {"batch_size": 1}, {"batch_size": 3}, {"batch_size": 100}], ids=str)
def test_rows_of_many_shards_return_in_their_order_with_ids(shop: Shop, how: dict[str, int]) -> None:
    def write() -> list[Any]:
        made = new_orders(shop)
        returned = Order.objects.bulk_create(made, **how)
        assert all(order.pk is not None for order in made)
        assert [False, "default"] == [made[0]._state.adding, made[0]._state.db]
        return [[id(one) for one in returned] == [id(one) for one in made], [order.number for order in returned]]

    same_write(write)


def test_a_statement_for_each_shard(shop: Shop) -> None:
    Order.objects.bulk_create(new_orders(shop, 1))
    made = new_orders(shop, number=None)
    for number, order in enumerate(made):
        order.number = 1000 + number

    with queries_by_database() as seen:
        Order.objects.bulk_create(made)

    assert dict.fromkeys(shop.shards, 1) == dict(seen)


def test_no_rows_at_all(shop: Shop) -> None:
    del shop

    same_write(lambda: Order.objects.bulk_create([]))
    same_write(lambda: Order.objects.bulk_update([], ["status"]))


def test_an_iterator_of_rows(shop: Shop) -> None:
    same_write(lambda: len(Order.objects.bulk_create(iter(new_orders(shop)))))


def test_rows_that_have_ids_and_rows_that_have_none(shop: Shop) -> None:
    free = shop.customer_on(0).pk + 4096 * 5000

    def write() -> list[Any]:
        made = [Customer(name="without", email="1@"), Customer(pk=free, name="with", email="2@")]
        return [customer.name for customer in Customer.objects.bulk_create(made)]

    same_write(write)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Customer, [{"name": f"n{n}", "email": f"e{n}"} for n in range(9)]),
        (Reading, [{"station": f"s{n}", "year": n % 3 or None, "value": n} for n in range(9)]),
        (Gadget, [{"code": f"new{n}", "maker": n} for n in range(9)]),
        (Label, [{"name": f"new{n}"} for n in range(9)]),
        (Product, [{"name": f"new{n}", "price": n} for n in range(9)]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_kind_of_key(shop: Shop, model: type[models.Model], values: list[dict[str, Any]]) -> None:
    del shop

    same_write(lambda: len(model._default_manager.bulk_create([model(**row) for row in values])))


def test_keys_that_are_foreign_keys(shop: Shop) -> None:
    without = [customer.pk for customer in shop.customers[1::4]]

    same_write(lambda: len(Profile.objects.bulk_create([Profile(customer_id=pk, bio="new") for pk in without])))
    same_write(lambda: len(Document.objects.bulk_create([Document(customer_id=pk, title="new") for pk in without])))


def test_a_key_that_is_known_only_when_its_parent_was_saved(shop: Shop) -> None:
    del shop

    def write() -> int:
        parents = [Customer(name="p", email=f"p{n}") for n in range(6)]
        children = [Profile(customer=parent, bio="child") for parent in parents]
        Customer.objects.bulk_create(parents)
        return len(Profile.objects.bulk_create(children))

    same_write(write)


def test_a_plain_queryset_and_a_plain_manager_do_the_same(shop: Shop) -> None:
    def write() -> list[Any]:
        made = new_orders(shop)
        unrouted(Order).bulk_create(made, batch_size=7)
        assert all(order.pk is not None for order in made) or not connection.features.can_return_rows_from_bulk_insert
        return [order.number for order in made]

    same_write(write)
    same_write(lambda: unrouted(Customer).create(name="n", email="e").name)


def test_a_conflict_on_one_shard_leaves_all_without_the_rows(shop: Shop) -> None:
    taken = shop.orders[5]

    def write() -> None:
        made = new_orders(shop)
        made[11].customer_id, made[11].number = taken.customer_id, taken.number
        Order.objects.bulk_create(made)

    assert isinstance(same_write(write), IntegrityError)


@pytest.mark.parametrize("how", [{}, {"batch_size": 4}], ids=str)
def test_ignoring_conflicts(shop: Shop, how: dict[str, int]) -> None:
    taken = shop.orders[5]

    def write() -> int:
        made = new_orders(shop)
        made[11].customer_id, made[11].number = taken.customer_id, taken.number
        return len(Order.objects.bulk_create(made, ignore_conflicts=True, **how))

    same_write(write)


def unique_fields(*names: str) -> dict[str, Any]:
    """Name the constraint where the vendor wants to hear it; MariaDB takes any."""
    return {"unique_fields": names} if connection.features.supports_update_conflicts_with_target else {}


def test_updating_on_conflict(shop: Shop) -> None:
    taken = shop.orders[5]

    def write() -> int:
        made = new_orders(shop, status="upsert")
        made[11].customer_id, made[11].number = taken.customer_id, taken.number
        how = unique_fields("customer", "number")
        return len(Order.objects.bulk_create(made, update_conflicts=True, update_fields=["status", "total"], **how))

    same_write(write)


def test_updating_on_conflict_of_the_primary_key(shop: Shop) -> None:
    def write() -> int:
        made = [
            Customer(pk=customer.pk, name="upsert", email=customer.email, score=9) for customer in shop.customers[::3]
        ]
        return len(
            Customer.objects.bulk_create(
                made, update_conflicts=True, update_fields=["name", "score"], **unique_fields("id")
            )
        )

    same_write(write)


@pytest.mark.parametrize("name", ["customer", "customer_id"])
def test_a_conflict_cannot_change_the_key(shop: Shop, name: str) -> None:
    how = unique_fields("id")

    refused_write(
        lambda: Order.objects.bulk_create(new_orders(shop), update_conflicts=True, update_fields=[name], **how),
        ShardKeyImmutable,
    )


def test_a_conflict_cannot_change_the_key_by_any_queryset(shop: Shop) -> None:
    how = unique_fields("id")

    refused_write(
        lambda: unrouted(Order).bulk_create(new_orders(shop), update_conflicts=True, update_fields=["customer"], **how),
        ShardKeyImmutable,
    )
    refused_write(
        lambda: Order.objects.bulk_create(new_orders(shop), None, False, True, ["customer"]),
        ShardKeyImmutable,
    )


@pytest.mark.skipif(
    not connection.features.supports_update_conflicts_with_target, reason="the vendor looks at every constraint"
)
@pytest.mark.parametrize("queryset", [Customer.objects.all(), unrouted(Customer)], ids=["ours", "plain"])
def test_a_conflict_that_may_be_on_another_shard_is_refused(shop: Shop, queryset: Any) -> None:
    taken = shop.customers[9].email

    refused_write(
        lambda: queryset.bulk_create(
            [Customer(name="n", email=taken)], update_conflicts=True, update_fields=["name"], unique_fields=["email"]
        ),
        CrossShardQuery,
    )


def test_a_row_without_a_key_is_refused_and_none_is_written(shop: Shop) -> None:
    def write() -> None:
        made = new_orders(shop)
        made[-1].customer_id = None
        Order.objects.bulk_create(made)

    refused_write(write, ShardKeyRequired)


def test_bulk_update_over_shards(shop: Shop) -> None:
    def write(fields: list[str], **how: Any) -> int:
        found = [Order.objects.get(pk=order.pk) for order in shop.orders]
        for n, order in enumerate(found):
            order.status, order.note = f"s{n}", None
            order.total = F("total") * 2 + n
        return Order.objects.bulk_update(found, fields, **how)

    same_write(lambda: write(["status"]))
    same_write(lambda: write(["status", "total", "note"], batch_size=3))
    same_write(lambda: write(["total"], batch_size=1000))


def test_bulk_update_with_expressions_and_foreign_keys(shop: Shop) -> None:
    target = shop.products[1].pk

    def write() -> int:
        found = [Order.objects.get(pk=order.pk) for order in shop.orders]
        for order in found:
            order.product_id, order.status = target, Concat(F("status"), Value("!"))
        return Order.objects.bulk_update(found, ["product", "status"])

    same_write(write)


def test_bulk_update_of_rows_made_by_hand(shop: Shop) -> None:
    """Only what a row's key says is known of it, and that is enough."""

    def write() -> int:
        made = [Order(pk=order.pk, customer_id=order.customer_id, status="by hand") for order in shop.orders]
        return Order.objects.bulk_update(made, ["status"])

    same_write(write)


def test_bulk_update_of_rows_whose_key_is_deferred(shop: Shop) -> None:
    def write() -> int:
        found = [Order.objects.only("status").get(pk=order.pk) for order in shop.orders]
        for order in found:
            order.status = "deferred"
        return Order.objects.bulk_update(found, ["status"])

    same_write(write)


def test_bulk_update_of_a_part_of_the_rows(shop: Shop) -> None:
    """The queryset's own conditions count as well."""

    def write() -> int:
        found = [Order.objects.get(pk=order.pk) for order in shop.orders]
        for order in found:
            order.note = "part"
        return Order.objects.filter(status="new").bulk_update(found, ["note"])

    same_write(write)


def test_bulk_update_by_a_plain_queryset(shop: Shop) -> None:
    def write() -> Any:
        found = [Order.objects.get(pk=order.pk) for order in shop.orders]
        for order in found:
            order.note = f"note {order.number}"
        return unrouted(Order).bulk_update(found, ["note"])

    same_write(write)


def test_bulk_update_of_keys_that_locate_nothing_by_themselves(shop: Shop) -> None:
    def write() -> int:
        found = [Gadget.objects.get(code=f"g{n}") for n in range(20)]
        for gadget in found:
            gadget.price += 100
        return Gadget.objects.bulk_update(found, ["price"])

    same_write(write)
    same_write(
        lambda: Shipment.objects.bulk_update(
            [Shipment(pk=s.pk, region=s.region, cost=-1) for s in shop.shipments], ["cost"]
        )
    )


def test_bulk_update_of_unsaved_rows_is_refused_as_django_does(shop: Shop) -> None:
    same_write(lambda: Order.objects.bulk_update(new_orders(shop, 2), ["status"]))


def test_bulk_update_of_copied_and_global_rows(shop: Shop) -> None:
    def write() -> list[int]:
        labels = list(Label.objects.all())
        products = list(Product.objects.all())
        for label in labels:
            label.name = f"{label.name}!"
        for product in products:
            product.price = F("price") + 1
        return [Label.objects.bulk_update(labels, ["name"]), Product.objects.bulk_update(products, ["price"])]

    same_write(write)
    del shop


def test_bulk_update_cannot_change_the_key(shop: Shop) -> None:
    def write() -> None:
        found = [Order.objects.get(pk=order.pk) for order in shop.orders]
        for order in found:
            order.customer_id = shop.customer_on(0).pk
        Order.objects.bulk_update(found, ["customer"])

    refused_write(write, ShardKeyImmutable)


def test_async_twins(shop: Shop) -> None:
    async def write() -> list[Any]:
        made = await Order.objects.abulk_create(new_orders(shop))
        for order in made:
            order.status = "async"
        return [len(made), await Order.objects.abulk_update(made, ["status"])]

    same_write(async_to_sync(write))


def test_conditions_of_the_queryset_do_not_matter_to_an_insert(shop: Shop) -> None:
    ada, cleo = shop.customers[0], shop.customers[-1]
    assert ada.shard != cleo.shard

    (order,) = ada.orders.bulk_create([Order(customer=cleo, number=900, status="new", total=1, created=START)])

    assert order.shard == cleo.shard
    assert Order.objects.get(customer=cleo, number=900) == order


def test_conditions_of_the_queryset_leave_rows_out_of_an_update(shop: Shop) -> None:
    ada, cleo = shop.customers[0], shop.customers[-1]
    order = cleo.orders.create(number=901, status="new", total=1, created=START)
    order.status = "paid"

    count = ada.orders.bulk_update([order], ["status"])

    assert count == 0
    assert Order.objects.get(pk=order.pk).status == "new"
