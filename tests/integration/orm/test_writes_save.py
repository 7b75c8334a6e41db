"""Does a single row get to its shard, whichever way it is saved?"""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Upper
from django.db.models.signals import post_save, pre_save

from tests.fix_queries import queries_by_database
from tests.fix_shop import START, Shop
from tests.fix_writes import same_write
from tests.oracle import ORACLE
from tests.shop.models import Customer, Document, Gadget, Line, Order, Product, Profile, Reading, Shipment, Tagged

pytestmark = pytest.mark.django_db(databases="__all__")

NEW_ORDER = {"number": 77, "status": "new", "total": 5, "created": START}


def test_every_way_of_creating_puts_the_row_on_its_keys_shard(shop: Shop) -> None:
    customer, order = shop.customer_on(2, 1), shop.orders[4]
    product = shop.products[0].pk

    same_write(lambda: Order(customer_id=customer.pk, **NEW_ORDER).save())
    same_write(lambda: Order.objects.create(customer_id=customer.pk, **{**NEW_ORDER, "number": 78}))
    same_write(lambda: Customer.objects.get(pk=customer.pk).orders.create(**{**NEW_ORDER, "number": 79}))
    same_write(
        lambda: Product.objects.get(pk=product).orders.create(customer_id=customer.pk, **{**NEW_ORDER, "number": 80})
    )
    same_write(lambda: Order.objects.get(pk=order.pk).lines.create(sku="x", qty=1))
    same_write(lambda: Line.objects.create(order_id=order.pk, sku="y", qty=2))
    same_write(lambda: Shipment.objects.create(region="nowhere yet", order_id=order.pk, cost=1))
    same_write(lambda: Customer.objects.create(name="new", email="new@x.org", referrer_id=customer.pk))
    same_write(lambda: Reading.objects.create(station="bergen", year=None, value=1.5))
    same_write(lambda: Gadget.objects.create(code="g100", maker=0))
    same_write(lambda: Document.objects.create(customer_id=customer.pk, title="title"))


def test_a_new_row_costs_one_statement_on_one_shard(shop: Shop) -> None:
    customer = shop.customer_on(1)
    Order.objects.create(customer=customer, **NEW_ORDER)  # a range of ids is there from now on

    with queries_by_database() as seen:
        order = Order.objects.create(customer=customer, **{**NEW_ORDER, "number": 78})

    assert {"shard_1": 1} == dict(seen)
    assert "shard_1" == order.shard


def test_a_saved_row_is_updated_where_it_is(shop: Shop) -> None:
    order = shop.orders[5]

    def save(**how: Any) -> str | None:
        found = Order.objects.get(pk=order.pk)
        found.status, found.note = "changed", "also"
        found.save(**how)
        return found._state.db

    assert "default" == same_write(save)
    same_write(lambda: save(update_fields=["status"]))
    same_write(lambda: save(force_update=True))
    same_write(lambda: save(update_fields=[]))
    same_write(lambda: save(force_insert=True))


def test_saving_costs_one_statement_on_one_shard(shop: Shop) -> None:
    order = Order.objects.get(pk=shop.orders[5].pk)

    with queries_by_database() as seen:
        order.save()

    assert [1] == list(seen.values())
    assert "default" not in seen


def test_expressions_are_evaluated_by_the_shard(shop: Shop) -> None:
    pk = shop.orders[5].pk

    def save() -> tuple[Any, Any]:
        found = Order.objects.get(pk=pk)
        found.number, found.status = F("number") + 100, Upper(Value("loud"))
        found.save()
        found.refresh_from_db()
        return found.number, found.status

    same_write(save)


def test_a_deferred_instance_writes_what_is_loaded(shop: Shop) -> None:
    pk = shop.orders[5].pk

    def save(*loaded: str) -> Any:
        found = Order.objects.only(*loaded).get(pk=pk)
        found.note = "deferred"
        with queries_by_database() as seen:
            found.save()
        return sum(count for alias, count in seen.items() if alias != ORACLE)

    assert 1 == same_write(lambda: save("note"))
    assert 1 == same_write(lambda: save("note", "customer"))
    assert 1 == same_write(lambda: save("status"))


def test_a_primary_key_of_ones_own(shop: Shop) -> None:
    customer = shop.customer_on(0)
    free = Order.objects.create(customer=customer, **NEW_ORDER).pk
    Order.objects.filter(pk=free).delete()

    same_write(lambda: Order(pk=free, customer_id=customer.pk, **NEW_ORDER).save())
    same_write(lambda: Order(pk=free, customer_id=customer.pk, **{**NEW_ORDER, "note": "again"}).save())
    same_write(lambda: Order(pk=free, customer_id=customer.pk, **NEW_ORDER).save(force_insert=True))
    same_write(lambda: Order(pk=free + 4096, customer_id=customer.pk, **NEW_ORDER).save(force_update=True))
    same_write(lambda: Gadget(code="g1", maker=Gadget.objects.get(code="g1").maker, price=99).save())
    same_write(lambda: Gadget(code="g1", maker=Gadget.objects.get(code="g1").maker).save(force_insert=True))


def test_a_copy_of_a_row_is_a_new_row(shop: Shop) -> None:
    pk, other = shop.orders[5].pk, shop.customer_on(3, 2).pk

    def copy(customer: int | None = None) -> None:
        found = Order.objects.get(pk=pk)
        found.pk, found._state.adding, found.number = None, True, 1000
        found.customer_id = customer or found.customer_id
        found.save()

    same_write(copy)
    same_write(lambda: copy(other))


def test_a_copy_of_a_row_without_adding_is_a_new_row_too(shop: Shop) -> None:
    """Django's documented way of copying sets only the primary key to None."""
    pk, other = shop.orders[5].pk, shop.customer_on(3, 2).pk

    def copy(customer: int | None = None) -> None:
        found = Order.objects.get(pk=pk)
        found.pk, found.number = None, 1000
        found.customer_id = customer or found.customer_id
        found.save()

    same_write(copy)
    same_write(lambda: copy(other))


def test_a_failed_save_can_be_tried_again_with_another_key(shop: Shop) -> None:
    order, other = shop.orders[5], shop.customer_on(3, 2).pk

    def save() -> None:
        again = Order(customer_id=order.customer_id, **{**NEW_ORDER, "number": order.number})
        with pytest.raises(IntegrityError), transaction.atomic():
            again.save()
        again.customer_id = other
        again.save()

    same_write(save)


def test_updating_a_row_without_a_primary_key_is_an_error(shop: Shop) -> None:
    customer = shop.customer_on(3, 2).pk

    same_write(lambda: Order(customer_id=customer, **NEW_ORDER).save(force_update=True))
    same_write(lambda: Order(customer_id=customer, **NEW_ORDER).save(update_fields=["status"]))


def test_a_deleted_instance_can_be_saved_again(shop: Shop) -> None:
    pk = shop.customer_on(1, 1).pk

    def save() -> None:
        order = Customer.objects.get(pk=pk).orders.first()
        assert order is not None
        order.delete()
        order.save()

    same_write(save)


def test_an_unsaved_parent_gets_its_id_before_its_child_is_placed(shop: Shop) -> None:
    del shop

    def save() -> None:
        customer = Customer(name="parent", email="parent@x.org")
        order = Order(customer=customer, **NEW_ORDER)
        line = Line(order=order, sku="z", qty=1)
        customer.save()
        order.save()
        line.save()
        Profile(customer=customer, bio="bio").save()

    same_write(save)


def test_a_child_of_an_unsaved_parent_is_refused_as_django_does(shop: Shop) -> None:
    del shop

    same_write(lambda: Order(customer=Customer(name="n", email="e"), **NEW_ORDER).save())


def test_a_key_is_placed_by_its_value_whatever_type_it_has(shop: Shop) -> None:
    customer = shop.customer_on(3)

    same_write(lambda: Order.objects.create(customer_id=str(customer.pk), **NEW_ORDER).number)
    same_write(lambda: Gadget.objects.create(code="text", maker="7").code)


def test_falsy_keys_are_keys(shop: Shop) -> None:
    del shop

    same_write(lambda: Gadget.objects.create(code="zero", maker=0))
    same_write(lambda: Shipment.objects.create(region="", order_id=1, cost=0))
    same_write(lambda: Reading.objects.create(station="", year=0, value=0))


def test_a_unique_violation_on_the_shard_is_an_integrity_error(shop: Shop) -> None:
    order = shop.orders[5]

    error = same_write(lambda: Order.objects.create(customer_id=order.customer_id, **{**NEW_ORDER, "number": 0}))

    assert isinstance(error, IntegrityError)


def test_refresh_and_generic_relations_see_what_was_saved(shop: Shop) -> None:
    pk = shop.orders[5].pk

    def save() -> list[Any]:
        order = Order.objects.get(pk=pk)
        tagged = Tagged.objects.create(target=order, tag="t")
        Order.objects.filter(pk=pk).update(status="seen")
        order.refresh_from_db()
        return [order.status, Tagged.objects.get(pk=tagged.pk).target]

    same_write(save)


@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_signals_name_the_logical_database(shop: Shop, signal: Any) -> None:
    using: list[str] = []

    def note(**kwargs: Any) -> None:
        using.append(kwargs["using"])

    signal.connect(note, sender=Order)
    try:
        Order.objects.create(customer=shop.customer_on(1), **NEW_ORDER)
        Order.objects.bulk_create([])
    finally:
        signal.disconnect(note, sender=Order)

    assert ["default"] == using


def test_async_twins_do_the_same(shop: Shop) -> None:
    customer = shop.customer_on(2).pk

    async def write() -> None:
        await Order.objects.acreate(customer_id=customer, **NEW_ORDER)
        await Order(customer_id=customer, **{**NEW_ORDER, "number": 78}).asave()

    same_write(async_to_sync(write))


def test_async_save_refresh_and_delete_of_a_saved_row(shop: Shop) -> None:
    pk = shop.orders[5].pk

    async def write() -> Any:
        order = await Order.objects.aget(pk=pk)
        order.status = "async"
        await order.asave(update_fields=["status"])
        await order.arefresh_from_db()
        return order.status, await order.adelete()

    same_write(async_to_sync(write))
