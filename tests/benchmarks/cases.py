"""Which reads are compared, on which rows?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import F

from shardkit.orm.placing import shard_alias_of
from tests.benchmarks.measuring import Side
from tests.benchmarks.report import Goal
from tests.benchmarks.twins import one_plain_database, twin, without_routers
from tests.fix_shop import copy_to_oracle
from tests.oracle import ORACLE
from tests.shop.models import Country, Customer, Document, Line, Order, Product

KEYED: Final = Goal(1.05, 1.10)
ANALYSED: Final = Goal(1.15, 1.15)
CUSTOMERS: Final = 40
ORDERS: Final = 100
CREATED: Final = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """A read, written as plain Django would and as shardkit allows."""

    name: str
    plain: Side
    ours: Side
    goal: Goal | None = None


def fill() -> None:
    """Put a small shop on the shards, with its customers on the plain database too."""
    country = Country.objects.create(code="NL", name="Netherlands")
    Product.objects.create(name="bulb", price=Decimal("1.50"))
    customers = [
        Customer(name=f"customer {number}", email=f"{number}@example.org", country=country, score=number)
        for number in range(CUSTOMERS)
    ]
    Customer.objects.bulk_create(customers)
    Order.objects.bulk_create(new_order(customer, number) for customer in customers[:4] for number in range(ORDERS))
    for order in Order.objects.filter(customer=customers[0]):
        Line.objects.bulk_create(Line(order=order, sku=f"sku-{nth}", qty=nth) for nth in range(2))
    Document.objects.bulk_create(Document(customer=customer, title="invoice") for customer in customers)
    User.objects.create_user("ada", "ada@example.org")
    for model in (Country, Product, Customer, User):
        copy_to_oracle(model)


def new_order(customer: Any, number: int, model: Any = Order) -> Any:
    """Make an order without saving it."""
    return model(
        customer_id=customer.pk,
        number=number,
        status="new",
        total=Decimal("12.50"),
        weight=1.5,
        created=CREATED,
        note="",
    )


def keyed_reads() -> list[Case]:
    """List the reads that name one shard."""
    customer = first_customer()
    order, document = customer.orders.all()[7], customer.documents.get()
    alias = str(shard_alias_of(order))
    by_key = {"customer": customer.pk, "number": order.number}
    plain_customer = twin(Customer).objects.using(alias).get(pk=customer.pk)
    reads: list[tuple[str, Any, Callable[[Any], Any], Goal | None]] = [
        ("`get()` by shard key and a column", Order, lambda rows: rows.get(**by_key), KEYED),
        ("`get()` by a pk that carries its bucket", Order, lambda rows: rows.get(pk=order.pk), KEYED),
        ("`get()` by a UUID pk", Document, lambda rows: rows.get(pk=document.pk), KEYED),
        ("`filter(…).count()`", Order, lambda rows: rows.filter(customer=customer.pk).count(), None),
        ("`filter(…).exists()`", Order, lambda rows: rows.filter(customer=customer.pk).exists(), None),
        (
            "`values_list()` of 100 rows",
            Order,
            lambda rows: list(rows.filter(customer=customer.pk).values_list("id", "status")),
            None,
        ),
        ("100 instances", Order, lambda rows: list(rows.filter(customer=customer.pk)), None),
        (
            "a join through the colocated parent",
            Line,
            lambda rows: list(rows.filter(order__customer=customer.pk, order__number=7).values_list("id", "qty")),
            ANALYSED,
        ),
        (
            "an annotation",
            Order,
            lambda rows: list(rows.filter(customer=customer.pk, number=7).annotate(next=F("number") + 1)),
            ANALYSED,
        ),
        (
            "`select_related()` of the colocated parent",
            Order,
            lambda rows: rows.select_related("customer").get(**by_key),
            ANALYSED,
        ),
    ]
    cases = [Case(name, _plain(model, read, alias), _ours(model, read), goal) for name, model, read, goal in reads]
    related = Case(
        "`customer.orders.get(number=…)`",
        Side(lambda: plain_customer.orders.get(number=7), without_routers),
        Side(lambda: customer.orders.get(number=7)),
    )
    bare = Case(
        "`get()` by shard key, against a project with one plain database",
        Side(lambda: twin(Order).objects.get(**by_key), partial(one_plain_database, alias)),
        _ours(Order, lambda rows: rows.get(**by_key)),
    )
    return [*cases, related, bare]


def other_reads() -> list[Case]:
    """List the reads of models that are on no shard, or on all."""
    user = User.objects.get()
    reads: list[tuple[str, Any, Callable[[Any], Any]]] = [
        ("global model: `User.objects.get(pk=…)`", User, lambda rows: rows.get(pk=user.pk)),
        ("global model: `Product.objects.get(pk=…)`", Product, lambda rows: rows.get(pk=1)),
        ("reference model: `Country.objects.get(pk=…)`", Country, lambda rows: rows.get(pk="NL")),
    ]
    return [Case(name, _plain(model, read, ORACLE), _ours(model, read)) for name, model, read in reads]


def first_customer() -> Customer:
    """Return the customer who was made first: the one whose orders have lines."""
    return min(Customer.objects.all(), key=lambda row: row.pk)


def _plain(model: Any, read: Callable[[Any], Any], alias: str) -> Side:
    rows = twin(model).objects
    return Side(lambda: read(rows.using(alias)), without_routers)


def _ours(model: Any, read: Callable[[Any], Any]) -> Side:
    rows = model._default_manager
    return Side(lambda: read(rows))
