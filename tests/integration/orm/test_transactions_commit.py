"""Do all databases commit together, as far as they can, and does nothing stay half open when one cannot?

These tests commit for real: they run outside of a test's transaction, and flush the databases afterwards.
"""

# ruff: noqa: PT012 - what a test is about is the whole block

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest, HttpResponse

from shardkit.catalog import store
from shardkit.errors import PartialCommit
from shardkit.routing import owners
from tests.fix_queries import queries_by_database
from tests.fix_shop import START
from tests.oracle import on_plain_database
from tests.shop.models import Customer, Gadget, Invoice, Label, Line, Order, Product, Profile

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

needs_deferred = pytest.mark.skipif(
    not connection.features.can_defer_constraint_checks, reason="the vendor checks foreign keys at once"
)


class Stop(ValueError):
    """What a test raises to leave a block."""


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    for alias in ("default", *owners.all_aliases()):
        assert not connections[alias].in_atomic_block
        assert connections[alias].get_autocommit()


@pytest.fixture
def customers() -> list[Customer]:
    """Return a customer on each shard, in the order of the shards."""
    found: dict[Any, Customer] = {}
    while len(found) < len(owners.all_aliases()):
        customer = Customer(name="n", email=f"{len(found)} {id(found)}")
        customer.save()
        if customer.shard in found:
            customer.delete()
        else:
            found[customer.shard] = customer
    return [found[alias] for alias in owners.all_aliases()]


def names() -> list[str]:
    """Return the name of the customer on each shard, past all routing."""
    return [Customer.objects.using(alias).get().name for alias in owners.all_aliases()]


def rename(customers: list[Customer], name: str) -> None:
    for customer in customers:
        Customer.objects.filter(pk=customer.pk).update(name=name)


@contextmanager
def failing_commit(alias: str) -> Iterator[None]:
    """Let the COMMIT of one database fail, as it does when its server dies at that moment."""
    broken: Any = connections[alias]

    def fail() -> None:
        broken.rollback()
        raise OperationalError(f"{alias} went away")

    broken._commit = fail
    try:
        yield
    finally:
        del broken._commit


def test_all_databases_commit(customers: list[Customer]) -> None:
    with transaction.atomic():
        rename(customers, "committed")
        Product.objects.create(name="committed", price=1)
        Label.objects.create(name="committed")
        Invoice.objects.create(number=1, amount=1)

    assert ["committed"] * len(customers) == names()
    assert 1 == Product.objects.count() == Label.objects.using("shard_3").count() == Invoice.objects.count()


def test_all_databases_roll_back(customers: list[Customer]) -> None:
    with pytest.raises(Stop), transaction.atomic():
        rename(customers, "lost")
        Product.objects.create(name="lost", price=1)
        Label.objects.create(name="lost")
        Invoice.objects.create(number=1, amount=1)
        raise Stop

    assert ["n"] * len(customers) == names()
    assert [0, 0, 0, 0] == [
        Product.objects.count(),
        Label.objects.count(),
        Label.objects.using("shard_3").count(),
        Invoice.objects.count(),
    ]


def test_a_shard_that_nobody_touches_is_not_asked(customers: list[Customer]) -> None:
    with queries_by_database() as seen, transaction.atomic():
        rename(customers[1:2], "alone")
        logical: Any = connections["default"]
        assert {"shard_1"} == set(logical._enlisted)

    assert {"shard_1": 1} == dict(seen)


def test_hooks_run_once_and_after_all_shards(customers: list[Customer]) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        seen.append([*names(), str(connections["default"].in_atomic_block)])

    with transaction.atomic():
        rename(customers, "hooked")
        transaction.on_commit(look)
        transaction.on_commit(look, using="shard_0")
        with transaction.atomic():
            transaction.on_commit(look)

    assert [["hooked"] * len(customers) + ["False"]] * 3 == seen


def test_an_error_in_a_hook_leaves_nothing_open(customers: list[Customer]) -> None:
    def fail() -> None:
        raise Stop

    with pytest.raises(Stop), transaction.atomic():
        rename(customers, "hooked")
        transaction.on_commit(fail, using="shard_0")

    assert ["hooked"] * len(customers) == names()


def test_hooks_do_not_run_after_a_rollback(customers: list[Customer]) -> None:
    seen: list[str] = []

    with pytest.raises(Stop), transaction.atomic():
        rename(customers, "lost")
        transaction.on_commit(lambda: seen.append("default"))
        transaction.on_commit(lambda: seen.append("shard"), using="shard_0")
        raise Stop

    assert [] == seen


def _orphan(customer: Customer) -> None:
    """Write a row whose foreign key refers to nothing on its shard, which a deferred constraint says at COMMIT."""
    pk = customer.pk + 4096 * 9999
    Order(customer_id=pk, number=1, status="orphan", total=1, created=START).save()


@needs_deferred
@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_deferred_violation_on_one_shard_commits_nothing_anywhere(customers: list[Customer], position: int) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        rename(customers, "lost")
        Product.objects.create(name="lost", price=1)
        _orphan(customers[position])

    assert ["n"] * len(customers) == names()
    assert 0 == Product.objects.count()


@needs_deferred
def test_a_deferred_violation_on_the_only_shard_commits_nothing_on_default(customers: list[Customer]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Product.objects.create(name="lost", price=1)
        _orphan(customers[2])

    assert 0 == Product.objects.count()


@needs_deferred
def test_a_deferred_violation_on_default_commits_nothing_on_the_shards(customers: list[Customer]) -> None:
    from django.contrib.admin.models import LogEntry

    with pytest.raises(IntegrityError), transaction.atomic():
        rename(customers[:1], "lost")
        LogEntry.objects.create(user_id=4711, action_flag=1, object_repr="orphan")

    assert ["n"] * len(customers) == names()


@needs_deferred
def test_a_deferred_violation_that_is_mended_commits(customers: list[Customer]) -> None:
    with transaction.atomic():
        pk = customers[1].pk + 4096 * 9999
        Order(customer_id=pk, number=1, status="early", total=1, created=START).save()
        Customer(pk=pk, name="late", email="late").save()
        rename(customers, "mended")

    assert "late" == Order.objects.get(status="early", customer_id=pk).customer.name


def test_a_commit_that_fails_first_commits_nothing(customers: list[Customer]) -> None:
    with failing_commit("shard_0"), pytest.raises(OperationalError), transaction.atomic():
        rename(customers, "lost")

    assert ["n"] * len(customers) == names()


def test_a_commit_that_fails_after_another_says_who_has_committed(customers: list[Customer]) -> None:
    with failing_commit("shard_2"), pytest.raises(PartialCommit) as raised, transaction.atomic():
        rename(customers, "half")
        Product.objects.create(name="half", price=1)

    assert ["half", "half", "n", "n"] == names()
    assert 0 == Product.objects.count()
    assert ["shard_0, shard_1", "shard_2"] == [raised.value.committed, raised.value.failed]


def test_a_commit_of_default_that_fails_after_the_shards_says_so(customers: list[Customer]) -> None:
    with failing_commit("default"), pytest.raises(PartialCommit) as raised, transaction.atomic():
        rename(customers[:1], "half")

    assert "half" == names()[0]
    assert ["shard_0", "default"] == [raised.value.committed, raised.value.failed]


@pytest.mark.parametrize("lost", ["default", "shard_0", "shard_2"])
def test_a_connection_lost_in_the_middle_rolls_back_the_others(customers: list[Customer], lost: str) -> None:
    """SQLite in memory forgets the database with its connection, so there it is rolled back and refuses to go on."""

    with pytest.raises(Error), transaction.atomic():
        rename(customers, "lost")
        lose(lost)
        Product.objects.create(name="lost", price=1)
        rename(customers, "lost again")

    assert ["n"] * len(customers) == names()


def lose(alias: str) -> None:
    """End the connection at the server, as a restart does."""
    lost = connections[alias]
    if lost.vendor == "sqlite":
        lost.connection.rollback()
        raise OperationalError(f"{alias} went away")
    admin = connections.create_connection("default")
    with admin.cursor() as cursor:
        if lost.vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(%s)", [lost.connection.info.backend_pid])
        else:
            cursor.execute(f"KILL {lost.connection.thread_id()}")
    admin.close()


def test_closing_the_connection_inside_rolls_back_all(customers: list[Customer]) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("Django does not close a connection to SQLite in memory")

    with pytest.raises((TransactionManagementError, InterfaceError)), transaction.atomic():
        rename(customers, "lost")
        connections["default"].close()
        rename(customers, "lost again")

    assert ["n"] * len(customers) == names()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL gives up a transaction after an error")
@pytest.mark.parametrize("inner", [False, True])
def test_an_error_that_was_swallowed_commits_nothing(customers: list[Customer], inner: bool) -> None:  # noqa: FBT001
    """Reading marks no block as broken, yet PostgreSQL would answer the COMMIT by a silent ROLLBACK of one shard."""

    def swallow() -> None:
        with suppress(DataError):
            list(Customer.objects.filter(pk=customers[1].pk).extra(where=["1 / (id - id) = 1"]))

    with pytest.raises(TransactionManagementError), transaction.atomic():
        rename(customers, "lost")
        if inner:
            with transaction.atomic():
                swallow()
        else:
            swallow()

    assert ["n"] * len(customers) == names()


def test_autocommit_switched_off_by_hand_is_refused(customers: list[Customer]) -> None:
    transaction.set_autocommit(False)
    try:
        with pytest.raises(TransactionManagementError, match="atomic"):
            rename(customers, "lost")
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)

    assert ["n"] * len(customers) == names()


def test_a_request_is_one_transaction(customers: list[Customer], monkeypatch: pytest.MonkeyPatch) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        rename(customers, "lost")
        raise Stop

    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    wrapped = BaseHandler().make_view_atomic(view)

    with pytest.raises(Stop):
        wrapped(HttpRequest())

    assert ["n"] * len(customers) == names()


def test_each_thread_has_its_own_transaction(customers: list[Customer]) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite in memory has one connection for all threads")
    seen: list[str] = []

    def other() -> None:
        seen.append(Customer.objects.get(pk=customers[1].pk).name)
        for alias in connections:
            connections[alias].close()

    with transaction.atomic():
        rename(customers, "mine")
        thread = Thread(target=other)
        thread.start()
        thread.join()

    assert ["n"] == seen


def test_a_cascade_over_shards_is_one_transaction(customers: list[Customer]) -> None:
    orders = [
        Order.objects.create(customer=customer, number=1, status="x", total=1, created=START) for customer in customers
    ]
    Line.objects.bulk_create([Line(order=order, sku="x", qty=1) for order in orders])

    with failing_commit("shard_0"), pytest.raises(OperationalError):
        Customer.objects.all().delete()

    assert [4, 4, 4] == [len(list(model.objects.all())) for model in (Customer, Order, Line)]


def test_bulk_create_over_shards_is_one_transaction(customers: list[Customer]) -> None:
    Profile.objects.create(customer=customers[3], bio="taken")

    with pytest.raises(IntegrityError):
        Profile.objects.bulk_create([Profile(customer=customer, bio="new") for customer in customers])

    assert ["taken"] == [profile.bio for profile in Profile.objects.all()]


def test_bulk_update_and_update_over_shards_are_one_transaction(customers: list[Customer]) -> None:
    for customer in customers:
        customer.name = "new"

    with failing_commit("shard_0"), pytest.raises(OperationalError):
        Customer.objects.bulk_update(customers, ["name"])
    with failing_commit("shard_0"), pytest.raises(OperationalError):
        Customer.objects.update(name="new")

    assert ["n"] * len(customers) == names()


def test_a_copied_row_is_on_all_databases_or_on_none(customers: list[Customer]) -> None:
    del customers
    with failing_commit("shard_0"), pytest.raises(OperationalError):
        Label.objects.create(name="nowhere")

    assert [0] * 5 == [Label.objects.using(alias).count() for alias in ("default", *owners.all_aliases())]


@pytest.mark.parametrize("_time", [1, 2])
def test_flushing_keeps_the_shard_map_and_never_gives_an_id_again(_time: int) -> None:
    """Each of these tests ends with a flush of every database."""
    store.reset_map()
    customer = Customer.objects.create(name="n", email="e")

    assert customer.pk not in GIVEN
    GIVEN.add(customer.pk)
    assert [] == [gadget.code for gadget in Gadget.objects.all()]


#: The ids of earlier runs of the test above.
GIVEN: set[int] = set()


def test_capturing_hooks_works_without_a_transaction_too(
    customers: list[Customer], django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        rename(customers, "x")

    assert [] == callbacks


LOCKS: dict[str, Callable[[Customer], Any]] = {
    "one shard": lambda customer: Customer.objects.select_for_update().get(pk=customer.pk),
    "several shards": lambda _: list(Customer.objects.select_for_update().order_by("pk")),
    "no order": lambda _: len(Customer.objects.select_for_update()),
    "the first": lambda _: Customer.objects.select_for_update().first(),
    "default": lambda _: list(Label.objects.select_for_update()),
    "a count first": lambda _: Customer.objects.select_for_update().filter(name__gt="").exists(),
}


@pytest.mark.skipif(not connection.features.has_select_for_update, reason="the vendor locks no rows")
def test_a_lock_outside_of_a_transaction_is_refused_as_by_one_database(customers: list[Customer]) -> None:
    refused = "select_for_update cannot be used outside of a transaction"
    for lock in (ask for name, ask in LOCKS.items() if name != "a count first"):
        with pytest.raises(TransactionManagementError, match=refused):
            lock(customers[0])
        with transaction.atomic():
            lock(customers[0])
        with pytest.raises(TransactionManagementError, match=refused):  # nothing of the transaction before is left
            lock(customers[0])


def test_what_locks_nothing_is_answered_as_by_one_database(customers: list[Customer]) -> None:
    def outcome(lock: Callable[[Customer], Any]) -> str:
        try:
            return str(lock(customers[0]))
        except (TransactionManagementError, Customer.DoesNotExist) as error:
            return str(error)

    with on_plain_database():
        Customer.objects.bulk_create([copy(customer) for customer in customers])
        plain = {name: outcome(lock) for name, lock in LOCKS.items()}
    assert {name: outcome(lock) for name, lock in LOCKS.items()} == plain


def copy(customer: Customer) -> Customer:
    return Customer(pk=customer.pk, name=customer.name, email=customer.email)
