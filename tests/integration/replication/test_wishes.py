"""Does what any part of a query asks of its database hold for the whole, and for what is fetched with its rows?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Subquery

from shardkit import use_primary
from shardkit.consistency.session import Session, session_scope
from shardkit.testing import RoutedReads, SimulatedReplicas, assert_reads, routed_reads, simulated_replicas
from tests.shop.models import Customer, Order, Product

SHARDS = ("shard_0", "shard_1", "shard_2", "shard_3")

pytestmark = pytest.mark.django_db(databases="__all__")

#: How a queryset of customers that wishes something is asked.
Ask = Callable[[Any], object]

NOBODY = "nobody@example.org"
ASKED: dict[str, Ask] = {
    "all rows": list,
    "count": lambda rows: rows.count(),
    "exists": lambda rows: rows.exists(),
    "count of distinct rows": lambda rows: rows.distinct().count(),
    "count of a slice": lambda rows: rows[:5].count(),
    "sum over groups": lambda rows: rows.annotate(n=Count("orders")).aggregate(Count("n")),
    "left of a union": lambda rows: list(rows.union(Customer.objects.all())),
    "right of a union": lambda rows: list(Customer.objects.all().union(rows)),
    "count of a union": lambda rows: Customer.objects.all().union(rows).count(),
    "there is one in a union": lambda rows: Customer.objects.all().union(rows).exists(),
    "left of or": lambda rows: list(rows | Customer.objects.filter(email=NOBODY)),
    "right of or": lambda rows: list(Customer.objects.filter(email=NOBODY) | rows),
    "right of and": lambda rows: list(Customer.objects.all() & rows),
    "right of xor": lambda rows: list(Customer.objects.filter(email=NOBODY) ^ rows),
    "right of or, beside none": lambda rows: list(Customer.objects.none() | rows),
    "inside of a condition": lambda rows: list(Order.objects.filter(customer__in=rows)),
    "inside of exists": lambda rows: list(Order.objects.filter(Exists(rows.filter(pk=OuterRef("customer"))))),
    "inside of what is selected": lambda rows: list(
        Order.objects.annotate(name=Subquery(rows.filter(pk=OuterRef("customer")).values("name"))).order_by("name")
    ),
    "inside of the order": lambda rows: list(
        Order.objects.order_by(Subquery(rows.filter(pk=OuterRef("customer")).values("name")))
    ),
    "deep inside": lambda rows: (
        Order.objects.filter(customer__in=rows.filter(score=F("score")).values("pk")).distinct().count()
    ),
}


if connection.features.allow_sliced_subqueries_with_in:
    ASKED["a slice, right of or"] = lambda rows: list(Customer.objects.filter(email=NOBODY) | rows[:1])


@pytest.fixture
def replicas() -> Iterator[SimulatedReplicas]:
    with simulated_replicas({"default": 1, **dict.fromkeys(SHARDS, 2)}) as replicas:
        yield replicas


@pytest.fixture
def customer(replicas: SimulatedReplicas) -> Customer:  # noqa: ARG001 - they are there first
    with session_scope(Session()):
        customer = Customer.objects.create(name="Ada", email="ada@example.org")
        product = Product.objects.create(name="Tea", price=1)
        Order.objects.create(
            customer=customer,
            product=product,
            number=1,
            total=1,
            created=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        )
        return customer


@pytest.fixture
def shard(customer: Customer) -> str:
    return str(customer.shard)


def whys(found: RoutedReads) -> set[str]:
    return {why for _, _, why in found.reads}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_primary_is_the_primary_in_whatever_it_is_wrapped(customer: Customer, ask: Ask) -> None:
    with session_scope(Session()), routed_reads() as found:
        ask(Customer.objects.filter(pk=customer.pk).primary())

    assert {"primary() asks for it"} == whys(found)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_max_lag_bounds_the_whole_of_what_it_is_wrapped_in(
    replicas: SimulatedReplicas, customer: Customer, ask: Ask
) -> None:
    for name in SHARDS:
        replicas.set_lag(name, 4)
    with session_scope(Session()), routed_reads() as found:
        ask(Customer.objects.filter(pk=customer.pk).replica(max_lag=1))
    assert {"lag 4.0 s > 1 s"} == {why for primary, _, why in found.reads if primary != "default"}


def test_of_two_parts_the_one_that_asks_for_more_counts(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(shard, 4)
    rows = Customer.objects.filter(pk=customer.pk)
    late, fresh = rows.replica(max_lag=10), rows.replica(max_lag=1, when_stale="primary")

    with session_scope(Session()), assert_reads(**{shard: "replica"}):
        list(late | rows)
    for both in (late | fresh, fresh & late, late.union(fresh)):
        with session_scope(Session()), assert_reads(**{shard: "primary"}):
            list(both)
    with session_scope(Session()), routed_reads() as found:
        list(fresh | rows.primary())
    assert {"primary() asks for it"} == whys(found)
    with session_scope(Session()), pytest.raises(Exception, match=r"lag 4\.0 s > 1 s"):
        list(fresh | rows.replica(when_stale="raise"))


def test_combining_changes_the_wishes_of_neither_side(customer: Customer, shard: str) -> None:
    rows, primary = Customer.objects.filter(pk=customer.pk), Customer.objects.filter(pk=customer.pk).primary()
    list(rows | primary)
    list(primary | rows)

    with session_scope(Session()), assert_reads(**{shard: "replica"}):
        list(rows)
    with session_scope(Session()), assert_reads(**{shard: "primary"}):
        list(primary)


def test_the_route_knows_what_is_wished_inside(customer: Customer, shard: str) -> None:
    inside = Customer.objects.filter(pk=customer.pk).primary()

    route = str(Order.objects.filter(customer=customer, customer__in=inside).route())
    assert f"{shard} is read from {shard}: primary() asks for it" in route


# What is fetched with the rows.


async def _arows(rows: Any) -> list[Any]:
    return [row async for row in rows]


FETCHED: dict[str, Ask] = {
    "all": list,
    "iterator": lambda rows: list(rows.iterator(chunk_size=1)),
    "async for": async_to_sync(_arows),
    "aiterator": lambda rows: async_to_sync(_arows)(rows.aiterator(chunk_size=1)),
}
LOOKUPS = ("orders__labels", "orders__product", "country")


@pytest.mark.parametrize("fetch", FETCHED.values(), ids=FETCHED)
def test_what_is_prefetched_is_read_from_the_primary_too(customer: Customer, fetch: Ask) -> None:
    rows = Customer.objects.filter(pk=customer.pk)
    with session_scope(Session()), routed_reads() as found:
        fetch(rows.primary().prefetch_related(*LOOKUPS))
    assert {"primary() asks for it"} == whys(found)
    assert {"default", customer.shard} == {primary for primary, _, _ in found.reads}
    with session_scope(Session()), routed_reads() as found:
        fetch(rows.prefetch_related(*LOOKUPS))
    assert {alias for _, alias, _ in found.reads} == {"default_replica_1", f"{customer.shard}_replica_1"}


@pytest.mark.parametrize("fetch", FETCHED.values(), ids=FETCHED)
def test_what_is_prefetched_is_as_fresh_as_the_rows(
    replicas: SimulatedReplicas, customer: Customer, shard: str, fetch: Ask
) -> None:
    replicas.set_lag("default", 4)
    rows = Customer.objects.filter(pk=customer.pk).prefetch_related("orders__product")

    with session_scope(Session()), assert_reads(default="primary", **{shard: "replica"}):
        fetch(rows.replica(max_lag=1))
    with session_scope(Session()), assert_reads(default="replica", **{shard: "replica"}):
        fetch(rows.replica(max_lag=10))


def test_a_prefetch_that_wishes_something_itself_gets_that(customer: Customer) -> None:
    def fetched(rows: Any, orders: Any) -> list[str]:
        with session_scope(Session()), routed_reads() as found:
            list(rows.filter(pk=customer.pk).prefetch_related(Prefetch("orders", orders)))
        return [why.partition(" (")[0] for _, _, why in found.reads]

    orders = Order.objects.all()
    asked = "primary() asks for it"
    assert [asked, asked] == fetched(Customer.objects.primary(), orders.order_by("number"))
    assert ["fresh", asked] == fetched(Customer.objects.all(), orders.primary())
    assert asked == fetched(Customer.objects.primary(), orders.replica(max_lag=10))[0]
    assert asked != fetched(Customer.objects.primary(), orders.replica(max_lag=10))[1]


def test_what_is_prefetched_in_a_block_is_read_as_the_block_says(customer: Customer) -> None:
    rows = Customer.objects.filter(pk=customer.pk).replica(max_lag=10).prefetch_related("orders")
    with use_primary(), routed_reads() as found:
        list(rows)

    assert {"use_primary() asks for it"} == whys(found)


def test_a_wish_ends_with_the_rows_it_is_about(customer: Customer, shard: str) -> None:
    rows = Customer.objects.filter(pk=customer.pk).primary().prefetch_related("orders").iterator(chunk_size=1)

    assert customer == next(iter(rows))
    with session_scope(Session()), assert_reads(**{shard: "replica"}):
        list(Order.objects.filter(customer=customer))
