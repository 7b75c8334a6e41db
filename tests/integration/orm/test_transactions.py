"""Is a transaction on `default` one transaction over every shard that it touches?"""

# ruff: noqa: PT012 - what a test is about is the whole block

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.transaction import TransactionManagementError

from shardkit.routing import owners
from tests.fix_shop import Shop
from tests.fix_writes import content_of_shards, same_write
from tests.shop.models import Country, Customer, Gadget, Label, Order, Product, Reading

pytestmark = pytest.mark.django_db(databases="__all__")


class Stop(ValueError):
    """What a test raises to leave a block."""


def touch(number: int) -> None:
    """Write a row that only this number has, on the shard that it falls on; five numbers reach four shards."""
    Gadget.objects.create(code=f"touched {number}", maker=number)


def test_numbers_reach_every_shard(shop: Shop) -> None:
    assert set(shop.shards) == {Gadget(code="x", maker=number).shard for number in range(9)}


def fail_after(*writes: Callable[[], Any]) -> None:
    with transaction.atomic():
        for write in writes:
            write()
        raise Stop


def swallow(write: Callable[[], Any], error: type[Exception] = Stop) -> str:
    try:
        write()
    except error as raised:
        return type(raised).__name__
    return "nothing"


def rolled_back_everywhere() -> Any:
    return swallow(
        lambda: fail_after(
            *[lambda n=n: touch(n) for n in range(9)],
            lambda: Label.objects.create(name="x"),
            lambda: Product.objects.create(name="x", price=1),
            lambda: Reading.objects.update(value=7),
            lambda: Order.objects.all().delete(),
        )
    )


def inner_rolled_back() -> Any:
    with transaction.atomic():
        touch(0)
        touch(1)
        swallow(lambda: fail_after(lambda: touch(2), lambda: touch(100), lambda: Label.objects.create(name="inner")))
        touch(3)
    return sorted(Gadget.objects.filter(code__startswith="touched").values_list("code", flat=True))


def first_touched_inside() -> Any:
    with transaction.atomic():
        swallow(lambda: fail_after(*[lambda n=n: touch(n) for n in range(9)]))
        for n in range(4, 7):
            touch(n)


def three_levels() -> Any:
    with transaction.atomic():
        touch(0)
        with transaction.atomic():
            for n in range(1, 5):
                touch(n)
            swallow(lambda: fail_after(*[lambda n=n: touch(n + 10) for n in range(9)]))
            touch(6)
        swallow(lambda: fail_after(lambda: touch(7), inner_committed))


def inner_committed() -> None:
    with transaction.atomic():
        for n in range(20, 29):
            touch(n)


def fail_without_savepoint(number: int) -> None:
    with transaction.atomic(savepoint=False):
        touch(number)
        raise Stop


def without_savepoint() -> Any:
    with transaction.atomic():
        touch(0)
        swallow(lambda: fail_without_savepoint(1))
        return swallow(lambda: touch(2), TransactionManagementError)


def marked_for_rollback() -> Any:
    with transaction.atomic():
        for n in range(9):
            touch(n)
        transaction.set_rollback(True)
    return transaction.get_rollback()


def savepoints_by_hand() -> Any:
    with transaction.atomic():
        touch(0)
        first = transaction.get_connection().savepoint()
        for n in range(1, 5):
            touch(n)
        second = transaction.get_connection().savepoint()
        for n in range(5, 9):
            touch(n)
        transaction.savepoint_rollback(second)
        touch(9)
        transaction.savepoint_rollback(first)
        touch(10)
        transaction.savepoint_commit(first)
        third = transaction.get_connection().savepoint()
        touch(11)
        transaction.savepoint_commit(third)


def a_savepoint_used_twice() -> Any:
    with transaction.atomic():
        sid = transaction.get_connection().savepoint()
        for _ in range(2):
            for n in range(9):
                touch(n)
            transaction.savepoint_rollback(sid)
        touch(3)


def swallowed_in_its_block() -> Any:
    taken = Gadget.objects.get(code="g3")
    with transaction.atomic():
        touch(0)
        try:
            with transaction.atomic():
                Gadget.objects.create(code=taken.code, maker=taken.maker)
        except IntegrityError:
            for n in range(1, 9):
                touch(n)


def swallowed_without_a_block() -> Any:
    taken = Gadget.objects.get(code="g3")
    with transaction.atomic():
        try:
            Gadget.objects.create(code=taken.code, maker=taken.maker)
        except IntegrityError:
            for n in range(1, 9):
                touch(n)


def as_decorator() -> Any:
    @transaction.atomic
    def decorated() -> None:
        touch(0)
        inner_committed()

    decorated()


BLOCKS: dict[str, Callable[[], Any]] = {
    write.__name__.replace("_", " "): write
    for write in (
        rolled_back_everywhere,
        inner_rolled_back,
        first_touched_inside,
        three_levels,
        without_savepoint,
        marked_for_rollback,
        savepoints_by_hand,
        a_savepoint_used_twice,
        swallowed_in_its_block,
        swallowed_without_a_block,
        as_decorator,
    )
}


@pytest.mark.parametrize("name", BLOCKS)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    del shop

    same_write(BLOCKS[name])


@pytest.mark.parametrize("read", ["shard", "default", "another shard"])
def test_after_a_swallowed_error_no_database_answers(shop: Shop, read: str) -> None:
    taken, far = shop.customers[3], shop.customer_on(2)
    reads: dict[str, Callable[[], Any]] = {
        "shard": lambda: Customer.objects.get(pk=taken.pk),
        "default": Product.objects.count,
        "another shard": lambda: Customer.objects.get(pk=far.pk),
    }

    with transaction.atomic():
        with pytest.raises(IntegrityError):
            Customer.objects.create(pk=taken.pk, name="n", email=taken.email)

        with pytest.raises(TransactionManagementError):
            reads[read]()
        transaction.set_rollback(True)


def test_durable_refuses_to_be_inner(shop: Shop) -> None:
    del shop

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"), transaction.atomic(durable=True):
        pass


def test_hooks_of_a_block_that_rolled_back_do_not_run(
    shop: Shop, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    del shop
    ran: list[str] = []

    with django_capture_on_commit_callbacks(execute=True) as callbacks, transaction.atomic():
        touch(0)
        transaction.on_commit(lambda: ran.append("outer"))
        swallow(lambda: fail_after(lambda: touch(1), lambda: transaction.on_commit(lambda: ran.append("inner"))))

    assert ["outer"] == ran
    assert 1 == len(callbacks)


@pytest.mark.skipif(not connection.features.has_select_for_update, reason="the vendor locks no rows")
def test_rows_are_locked_where_they_are(shop: Shop) -> None:
    order = shop.orders[5]

    def write() -> list[Any]:
        with transaction.atomic():
            locked = Order.objects.select_for_update().get(customer=order.customer_id, number=order.number)
            many = Order.objects.select_for_update().filter(status="new")
            locked.note = "locked"
            locked.save()
            return [locked, sorted(one.number for one in many)]

    same_write(write)


def test_an_explicit_block_on_a_shard_inside(shop: Shop) -> None:
    customer = shop.customer_on(1)

    with transaction.atomic():
        touch(0)
        with transaction.atomic(using="shard_1"):
            Customer.objects.filter(pk=customer.pk).update(name="inside")
        swallow(lambda: fail_on("shard_1", customer.pk))
        touch(1)

    assert "inside" == Customer.objects.get(pk=customer.pk).name
    assert {"touched 0", "touched 1"} <= set(Gadget.objects.values_list("code", flat=True))


def fail_on(alias: str, pk: int) -> None:
    with transaction.atomic(using=alias):
        Customer.objects.filter(pk=pk).update(name="failed")
        raise Stop


def test_using_a_shard_by_name_is_part_of_the_transaction(shop: Shop) -> None:
    customer = shop.customer_on(1)

    with pytest.raises(Stop), transaction.atomic():
        Customer.objects.using("shard_1").filter(pk=customer.pk).update(name="named")
        found = Customer.objects.using("shard_1").get(pk=customer.pk)
        found.email = "named"
        found.save(using="shard_1")
        raise Stop

    again = Customer.objects.get(pk=customer.pk)
    assert [customer.name, customer.email] == [again.name, again.email]


@pytest.mark.parametrize("_time", [1, 2])
def test_rows_of_one_test_are_gone_in_the_next(shop: Shop, _time: int) -> None:
    del shop
    assert 20 == len(list(Gadget.objects.all()))

    for n in range(9):
        touch(n)
    Country.objects.create(code="XX", name="only in one test")
    Country.objects.all().update(name="x")

    content_of_shards()
    logical: Any = connections["default"]
    assert set(owners.all_aliases()) <= set(logical._enlisted)
