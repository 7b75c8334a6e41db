"""Each query is run on one plain database too, and a difference is an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, connections, transaction
from django.db.models import Avg, Count, F, IntegerField, Max, Sum, Window
from django.db.models.functions import Cast, Lower, Rank
from django.test.utils import CaptureQueriesContext

from shardkit.errors import CrossDatabaseQuery
from shardkit.routing import owners
from shardkit.testing import AnswersDiffer, Comparison, OracleRouter, compared_with
from shardkit.testing.copying import copy_tables
from tests.oracle import ORACLE, on_plain_database
from tests.shop.models import Answer, Country, Customer, Invoice, Order, Product, Shipment, Ticket

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def compared() -> Iterator[Comparison]:
    with compared_with() as comparison:
        yield comparison


@pytest.fixture
def orders() -> list[Order]:
    country = Country.objects.create(code="DE", name="Germany")
    customers = [
        Customer.objects.create(name=name, email=f"{n}@example.org", country=country)
        for n, name in enumerate(("Ada", "Bob", "ada", "Émile", "Zoe", "Ada", "Bob", "Zoe"))
    ]
    return [
        Order.objects.create(
            customer=customer,
            number=number,
            status=("new", "paid")[number % 2],
            total=Decimal(number),
            weight=0.1 * number,
            created="2024-02-27T22:15:00Z",
        )
        for number, customer in enumerate(customers)
    ]


ANSWERED = {
    "all": lambda: list(Order.objects.all()),
    "ordered": lambda: list(Order.objects.order_by("-total")),
    "ties": lambda: list(Order.objects.order_by("status")),
    "ties cut by a limit": lambda: list(Order.objects.order_by("status")[1:3]),
    "any rows": lambda: list(Order.objects.all()[:3]),
    "any groups": lambda: list(Order.objects.annotate(n=Count("lines"))[2:5]),
    "any groups, whose default order Django leaves out": lambda: list(
        Answer.objects.annotate(n=Count("ticket__title"))[3:6]
    ),
    "ties of text": lambda: list(Customer.objects.order_by(Lower("name"))[:2]),
    "in any order": lambda: list(Order.objects.order_by("?")),
    "values": lambda: list(Order.objects.values_list("status", flat=True).distinct()),
    "one shard": lambda: list(Order.objects.filter(customer=Customer.objects.order_by("id")[0])),
    "count": Order.objects.count,
    "exists": lambda: Order.objects.filter(total__gt=100).exists(),
    "aggregate": lambda: Order.objects.aggregate(Sum("weight"), Avg("total"), Max("created")),
    "over a slice": lambda: Order.objects.order_by("pk")[:3].aggregate(Sum("total")),
    "groups": lambda: list(Order.objects.values("status").annotate(n=Count("pk"), a=Avg("weight")).order_by("-n")),
    "joined": lambda: list(Shipment.objects.select_related("order").order_by("order__total")),
    "prefetched": lambda: list(Customer.objects.prefetch_related("orders")),
    "streamed": lambda: list(Order.objects.order_by("pk").iterator(chunk_size=2)),
    "union": lambda: list(Order.objects.filter(number=1).union(Order.objects.filter(number=2)).order_by("number")),
    "global": lambda: list(Product.objects.filter(orders__isnull=True)),
    "placed": lambda: list(Invoice.objects.all()),
    "nothing": lambda: list(Order.objects.filter(pk__in=[])),
    "get": lambda: Order.objects.get(number=3),
}


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("make", ANSWERED.values(), ids=ANSWERED)
def test_what_is_the_same_passes(compared: Comparison, make: Any) -> None:
    for number in range(8):
        ticket = Ticket.everything.create(queue=("support", "sales", "other")[number % 3], title="t")
        Answer.objects.create(ticket=ticket, text=str(8 - number))
    assert compared.compared == 0

    make()

    assert compared.compared or make is ANSWERED["nothing"]


def test_a_row_that_one_shard_lost_is_found(orders: list[Order]) -> None:
    with compared_with() as comparison:
        Order.objects.count()
        _lose(orders[0], comparison)

        with pytest.raises(AnswersDiffer) as caught:
            list(Order.objects.order_by("number"))

    assert "only here" in str(caught.value)
    assert "shop_order" in caught.value.sql
    assert "Merge" in caught.value.plan


def _lose(order: Order, comparison: Comparison) -> None:
    """Delete *order* from its shard, and let nobody notice."""
    Order.objects.filter(pk=order.pk)._raw_delete(using=str(order.shard))
    comparison.written.take()


def test_a_query_that_names_its_shard_at_a_glance_is_compared_too(orders: list[Order]) -> None:
    order = orders[0]
    with compared_with() as comparison:
        list(order.customer.orders.all())
        assert comparison.compared
        _lose(order, comparison)

        with pytest.raises(AnswersDiffer, match="Single"):
            list(order.customer.orders.all())


def test_a_named_database_answers_for_itself(orders: list[Order], compared: Comparison) -> None:
    found = [row for alias in owners.all_aliases() for row in Order.objects.using(alias)]

    assert len(found) == len(orders)
    assert compared.compared == 0


def test_what_is_written_is_copied_before_it_is_compared(orders: list[Order], compared: Comparison) -> None:
    assert Order.objects.filter(status="sent").count() == 0
    Order.objects.filter(number__lt=3).update(status="sent")
    assert Order.objects.filter(status="sent").count() == 3
    orders[0].delete()
    assert Order.objects.filter(status="sent").count() == 2
    assert compared.compared >= 3


@pytest.mark.usefixtures("orders")
def test_what_is_rolled_back_is_taken_back(compared: Comparison) -> None:
    with transaction.atomic():
        Order.objects.update(total=F("total") + 1)
        assert Order.objects.aggregate(n=Sum("total"))["n"] == 36
        transaction.set_rollback(True)

    assert Order.objects.aggregate(n=Sum("total"))["n"] == 28
    assert compared.compared == 2


def test_a_refusal_passes(compared: Comparison) -> None:
    with pytest.raises(CrossDatabaseQuery):
        list(Invoice.objects.filter(pk__in=Order.objects.values("pk")))
    assert compared.compared == 0


def test_an_error_of_both_passes(compared: Comparison) -> None:
    with pytest.raises(Order.DoesNotExist):
        Order.objects.get(number=3)
    assert compared.compared == 1


@pytest.mark.usefixtures("orders")
def test_an_error_of_the_plain_database_leaves_its_transaction_as_it_was(compared: Comparison) -> None:
    with suppress(DataError), transaction.atomic():  # PostgreSQL takes no such text for a number
        list(Order.objects.annotate(number_of=Cast("status", IntegerField())))

    assert Order.objects.count() == 8
    assert compared.compared


@pytest.mark.usefixtures("orders")
def test_blocks_may_stand_inside_each_other(compared: Comparison) -> None:
    with compared_with() as inner:
        Order.objects.count()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError

    assert inner.compared == 1
    assert compared.compared == 1
    assert Order.objects.count() == 8
    assert (inner.compared, compared.compared) == (1, 2)


@pytest.mark.parametrize(
    ("alias", "why"),
    [
        ("orakel", "is not in DATABASES"),
        ("default", "is a database of the cluster, whose rows would be replaced"),
        ("shard_1", "is a database of the cluster, whose rows would be replaced"),
        ("audit", "is a database of the cluster, whose rows would be replaced"),
    ],
)
def test_what_cannot_be_compared_with_is_refused_at_once(alias: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"'{alias}' {why}"), compared_with(alias):
        pass


@pytest.mark.any_vendor  # others commit when a table is dropped
@pytest.mark.usefixtures("orders")
def test_a_plain_database_without_tables_is_not_taken_for_one_that_differs(compared: Comparison) -> None:
    with connections[ORACLE].cursor() as cursor:
        cursor.execute("DROP TABLE shop_shipment")

    with pytest.raises(ImproperlyConfigured, match="OracleRouter"):
        Order.objects.count()
    assert compared.compared == 0


def test_what_comparing_asks_is_seen_by_nobody(orders: list[Order], compared: Comparison) -> None:
    order, seen = orders[0], list[str]()

    def note(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    home, default = connections[str(order.shard)], connections["default"]
    with CaptureQueriesContext(home) as there, CaptureQueriesContext(default) as here, home.execute_wrapper(note):
        list(order.customer.orders.order_by("number")[:1])

    assert compared.compared == 1
    assert (1, 0, 1) == (len(there), len(here), len(seen))


@pytest.mark.usefixtures("orders")
def test_what_gathers_rows_writes_none(compared: Comparison) -> None:
    ranked = Order.objects.annotate(rank=Window(Rank(), order_by=F("total").desc())).order_by("rank")
    list(ranked)

    list(ranked.all())

    assert compared.compared == 2
    assert not compared.written.models


def test_only_rows_that_changed_are_copied_again(orders: list[Order]) -> None:
    tables = [Country, Customer, Order]
    copy_tables(tables, ORACLE)
    Order.objects.filter(pk=orders[0].pk).update(status="sent")
    orders[1].delete()
    written: list[tuple[str, int]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if many:
            written.append((sql.split(maxsplit=1)[0], len(params)))
        return execute(sql, params, many, context)

    with connections[ORACLE].execute_wrapper(note):
        copy_tables(tables, ORACLE)

    assert [("DELETE", 2), ("INSERT", 1)] == written


def test_without_shards_there_is_nothing_to_compare() -> None:
    with on_plain_database(), compared_with() as comparison:
        list(Order.objects.all())

    assert comparison.compared == 0


def test_the_router_makes_every_table_on_the_plain_database() -> None:
    router = OracleRouter()

    assert router.allow_migrate("oracle", "shop") is True
    assert router.allow_migrate("shard_1", "shop") is None
