"""One shop in two worlds: on the shards, and with the same primary keys on one plain database.

`same(lambda: expression)` evaluates an expression in both and compares; `refused(...)` demands a named error on the
shards where the plain database answers. Nothing is written by either: what a test writes, its transaction takes back.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeVar

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, connections, models
from django.db.models.query import QuerySet, RawQuerySet
from pytest_django import DjangoDbBlocker

from shardkit.errors import CrossShardQuery, ShardkitError
from shardkit.routing import owners
from shardkit.routing.registry import Kind, placement_of
from shardkit.topology.ids import compose_id
from shardkit.topology.names import BucketId
from tests.fix_queries import Statements, queries_by_database
from tests.oracle import ORACLE, on_plain_database
from tests.shop import models as shop_models
from tests.shop.models import (
    Answer,
    Country,
    Customer,
    Document,
    Gadget,
    Invoice,
    InvoiceLine,
    Label,
    Line,
    Order,
    Parcel,
    Product,
    Profile,
    Reading,
    Room,
    Shipment,
    Tagged,
    Ticket,
)

_Filled = TypeVar("_Filled")

#: Every table of the shop, referred-to tables first.
TABLES: Final[tuple[type[models.Model], ...]] = (
    Country,
    Label,
    Product,
    Invoice,
    InvoiceLine,
    Customer,
    Profile,
    Order,
    Order.labels.through,
    Line,
    Shipment,
    Tagged,
    Reading,
    Gadget,
    Document,
    Parcel,
    Ticket,
    Answer,
    Room,
)
#: Customers on each shard.
PER_SHARD: Final = 4
#: Where the numbers of the customers begin: far beyond those that the catalog gives, so that neither meets the other.
FIRST_SEQUENCE: Final = 1_000_000
START: Final = dt.datetime(2024, 2, 27, 22, 15, 0, 123456, tzinfo=dt.UTC)
STATUSES: Final = ("new", "paid", "sent")
REGIONS: Final = ("north", "South", "east", "west", "")


@dataclass(repr=False)
class Shop:
    """The rows by which tests name things; customers stand in the order of their shards, four on each."""

    shards: tuple[str, ...]
    countries: list[Country] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    shipments: list[Shipment] = field(default_factory=list)
    tags: list[Tagged] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)

    def __repr__(self) -> str:
        return "shop"

    def customer_on(self, shard: int, number: int = 0) -> Customer:
        """Return a customer that lives on the shard of that number."""
        return self.customers[shard * PER_SHARD + number]

    def orders_of(self, customer: Customer) -> list[Order]:
        """Return the orders of *customer*, oldest first."""
        return [order for order in self.orders if order.customer_id == customer.pk]


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[Shop]:
    """Yield the shop, filled once per module."""
    yield from filled_once(request, django_db_blocker, fill, clear)


def filled_once(
    request: pytest.FixtureRequest, blocker: DjangoDbBlocker, fill: Callable[[], _Filled], clear: Callable[[], object]
) -> Iterator[_Filled]:
    """Yield what *fill* makes outside of any test's transaction, and let *clear* take it away."""
    request.getfixturevalue("django_db_setup")

    def take_away() -> None:
        with blocker.unblock():
            clear()

    with ExitStack() as stack:
        stack.callback(take_away)  # also when filling fails: other modules fill the same tables
        with blocker.unblock():
            filled = fill()
        yield filled


def fill() -> Shop:
    """Fill the shop on the shards, and copy it row by row to the plain database."""
    made = Shop(owners.all_aliases())
    _fill_copied_and_global(made)
    _fill_customers(made)
    _fill_orders(made)
    _fill_others(made)
    for model in TABLES:
        copy_to_oracle(model)
    return made


def copy_to_oracle(model: type[models.Model]) -> None:
    """Copy the rows of *model* with their primary keys, and let the plain database go on numbering after them."""
    sharded = placement_of(model).kind is Kind.SHARDED
    sources = owners.all_aliases() if sharded else (placement_of(model).alias,)
    rows = [row for alias in sources for row in model._base_manager.using(alias).order_by("pk")]
    model._base_manager.using(ORACLE).bulk_create(rows)
    connection = connections[ORACLE]
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [model]):
            cursor.execute(sql)


def clear() -> None:
    """Empty the shop in both worlds."""
    empty(TABLES)


def empty(tables: Sequence[type[models.Model]]) -> None:
    """Empty the tables of models, referred-to ones listed first, wherever they are."""
    for model in reversed(tables):
        for alias in connections:
            connection = connections[alias]
            if model._meta.db_table in connection.introspection.table_names():
                with connection.cursor() as cursor:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: S608


def _fill_copied_and_global(made: Shop) -> None:
    for code, name in (("DE", "Germany"), ("FR", "France"), ("JP", "Japan")):
        made.countries.append(Country.objects.create(code=code, name=name))
    made.labels += [Label.objects.create(name=name) for name in ("gift", "urgent", "fragile", "unused")]
    for number, price in enumerate(("1.50", "20.00", "300.25", "20.00", "7.77")):
        made.products.append(Product.objects.create(name=f"product {number}", price=Decimal(price)))
    for number in range(3):
        invoice = Invoice.objects.create(number=number, amount=Decimal(number) * 10)
        InvoiceLine.objects.create(invoice=invoice, text=f"line of {number}")


def _fill_customers(made: Shop) -> None:
    buckets = len(owners.owners())
    first_of = {alias: owners.owners().index(alias) for alias in made.shards}
    for number in range(PER_SHARD * len(made.shards)):
        bucket = first_of[made.shards[number // PER_SHARD]] + number % PER_SHARD
        assert bucket < buckets
        made.customers.append(
            Customer(
                id=compose_id(FIRST_SEQUENCE + number, BucketId(bucket)),
                name=("Ada", "Bob", "ada", "Émile", "Zoe")[number % 5],
                email=f"c{number}@example.org",
                country=None if number % 4 == 3 else made.countries[number % 3],
                score=None if number % 5 == 2 else number % 7 - 2,
            )
        )
    for number, customer in enumerate(made.customers):
        if number % 3:  # referred by the next one, who is on another shard for every fourth
            customer.referrer = made.customers[(number + 1) % len(made.customers)]
    Customer.objects.bulk_create(made.customers)
    Profile.objects.bulk_create(
        Profile(customer=customer, bio=f"bio of {customer.email}")
        for number, customer in enumerate(made.customers)
        if number % 4 != 1
    )


def _fill_orders(made: Shop) -> None:
    for number, customer in enumerate(made.customers):
        made.orders += [_order(made, customer, number * 5 + nth, nth) for nth in range(number % 4)]
    Order.objects.bulk_create(made.orders)
    for position, order in enumerate(made.orders):
        order.labels.set(made.labels[: position % 4 - 1] if position % 4 else [])
        made.lines += [Line(order=order, sku=f"sku-{nth}", qty=(position + nth) % 4) for nth in range(position % 3)]
    Line.objects.bulk_create(made.lines)


def _order(made: Shop, customer: Customer, number: int, nth: int) -> Order:
    return Order(
        customer=customer,
        product=None if number % 6 == 5 else made.products[number % 4],
        number=nth,
        status=STATUSES[number % 3],
        total=Decimal(number * 37 % 100) / 4,
        weight=None if number % 4 == 1 else number / 8,
        created=START + dt.timedelta(days=number % 11, seconds=number),
        note=None if number % 3 == 0 else ("", "note")[number % 2],
    )


def _fill_others(made: Shop) -> None:
    for position, order in enumerate(made.orders):
        for nth in range(position % 3):
            made.shipments.append(Shipment(region=REGIONS[(position + nth) % 5], order=order, cost=position + nth))
    Shipment.objects.bulk_create(made.shipments)
    order_type, label_type = (ContentType.objects.get_for_model(model) for model in (Order, Label))
    for position, order in enumerate(made.orders[:10]):
        made.tags.append(Tagged(content_type=order_type, object_id=order.pk, tag=f"tag-{position % 3}"))
    made.tags.append(Tagged(content_type=label_type, object_id=made.labels[0].pk, tag="label"))
    Tagged.objects.bulk_create(made.tags)
    Reading.objects.bulk_create(
        Reading(station=station, year=year, value=value + (year or 0) / 2)
        for value, station in enumerate(("oslo", "Oslo", "rome", ""))
        for year in (2000, 2001, 2002, None)
    )
    Gadget.objects.bulk_create(Gadget(code=f"g{n}", maker=n % 8 - 2, price=n * 3 % 10) for n in range(20))
    made.documents += [Document(customer=customer, title=customer.email) for customer in made.customers[::2]]
    Document.objects.bulk_create(made.documents)
    Parcel.objects.bulk_create(Parcel(zone=zone, weight=zone % 7) for zone in range(0, 400, 25))
    Parcel.objects.bulk_create(Parcel(zone=None, weight=weight) for weight in range(3))
    made.tickets += [Ticket(queue=queue, title=f"{queue} 1") for queue in ("support", "sales", "other", "Sales")]
    Ticket.objects.bulk_create(made.tickets)
    Room.objects.bulk_create(Room(tenant=n % 8, number=n // 8, name=f"room {n % 5}") for n in range(20))
    Answer.objects.bulk_create(Answer(ticket=ticket, text=text) for ticket in made.tickets for text in "cab")


# Comparing.


@dataclass(frozen=True)
class Outcome:
    """What an expression came to: a value, or an error."""

    value: Any
    error: Exception | None
    seen: Statements


def cases(**found: Callable[..., Any]) -> pytest.MarkDecorator:
    """Parametrize a test with *found*, each by its name, as ``case``."""
    return pytest.mark.parametrize("case", list(found.values()), ids=list(found))


def outcome(make: Callable[[], Any], *, ordered: bool | None = None) -> Outcome:
    """Evaluate *make* here and now, to its end, and note which databases it asked."""
    with queries_by_database() as seen:
        try:
            return Outcome(plain(make(), ordered=ordered), None, seen)
        except Exception as error:  # noqa: BLE001 - whatever Django raises is an answer to compare
            return Outcome(None, error, seen)


def same(
    make: Callable[[], Any],
    *,
    plan: str | None = None,
    on: dict[str, int] | None = None,
    ordered: bool | None = None,
    error: type[Exception] | None = None,
) -> Any:
    """Demand that *make* comes to the same on the shards as on one plain database, and return that.

    *plan* is what it may ask: ``single`` is one statement on one shard, ``local`` none on any shard, ``merge`` at most
    one on each shard; *on* says the number of statements for each alias. Querysets compare in their order if they have
    one, else as multisets; *ordered* overrules that. With *error*, both worlds have to raise that.
    """
    here = outcome(make, ordered=ordered)
    with on_plain_database():
        there = outcome(make, ordered=ordered)
    if type(here.error) is not type(there.error) or (here.error is not None and error is None):
        raise AssertionError(f"shards: {here.error!r}; plain: {there.error!r}") from (here.error or there.error)
    assert error is None or isinstance(here.error, error), here
    assert there.value == here.value
    _check_plan(here.seen, plan, on)
    return here.value if here.error is None else here.error


def _check_plan(seen: Statements, plan: str | None, on: dict[str, int] | None) -> None:
    if on is not None:
        assert on == dict(seen), seen.texts
    match plan:
        case "single":
            assert list(seen.values()) == [1], seen.texts
            assert DEFAULT_DB_ALIAS not in seen, seen.texts
        case "local":
            assert set(seen) <= {DEFAULT_DB_ALIAS}, seen.texts
        case "merge":
            assert set(seen) <= set(owners.all_aliases()), seen.texts
            assert set(seen.values()) <= {1}, seen.texts


def refused(
    make: Callable[[], Any],
    *names: str,
    error: type[ShardkitError] = CrossShardQuery,
) -> ShardkitError:
    """Demand that *make* raises *error* on the shards with each of *names* in its message, and that one plain
    database has an answer: what no database can do needs no refusal of ours.
    """
    here = outcome(make)
    with on_plain_database():
        there = outcome(make)
    if isinstance(there.error, NotSupportedError):
        pytest.skip(f"this vendor cannot do that at all: {there.error}")
    if there.error is not None:
        raise AssertionError("one plain database has no answer either") from there.error
    if isinstance(here.error, error):
        for name in names:
            assert name in str(here.error)
        return here.error
    raise AssertionError(f"expected {error.__name__}, got {here.error or here.value!r}") from here.error


def plain(value: Any, *, ordered: bool | None = None) -> Any:
    """Turn *value* into something that compares by content: rows by their columns, unordered rows as a multiset."""
    match value:
        case QuerySet():
            return _plain_rows(value, in_order=value.ordered if ordered is None else ordered)
        case models.Model():
            return _plain_row(value)
        case dict():
            return {key: plain(inside) for key, inside in value.items()}
        case list() | tuple() | Iterator() | RawQuerySet():
            fields = getattr(value, "_fields", ())  # of a named tuple
            return fields, _plain_rows(value, in_order=ordered is not False)
    return value


def _plain_rows(rows: Iterable[Any], *, in_order: bool) -> Any:
    found = [plain(row) for row in rows]
    return found if in_order else Counter(map(_hashable, found))


def _plain_row(row: models.Model, depth: int = 3) -> Any:
    """Return the columns that are loaded, annotations, and the related rows that are cached."""
    columns = {name: value for name, value in vars(row).items() if not name.startswith("_")}
    for name, value in columns.items():
        if isinstance(value, list):  # what a prefetch was told to put there
            columns[name] = [_plain_row(one, depth - 1) for one in value] if depth else len(value)
    if depth:
        for name, related in row._state.fields_cache.items():
            columns[f"->{name}"] = _plain_row(related, depth - 1) if isinstance(related, models.Model) else related
        for name, rows in getattr(row, "_prefetched_objects_cache", {}).items():
            found = [_plain_row(one, depth - 1) for one in rows]
            columns[f"=>{name}"] = found if rows.ordered else Counter(map(_hashable, found))
    return (row._meta.label, columns, tuple(sorted(row.get_deferred_fields())))


def _hashable(value: Any) -> Any:
    return repr(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, Counter):
        return sorted(value.items())
    if isinstance(value, dict):
        return sorted((key, _sorted(inside)) for key, inside in value.items())
    if isinstance(value, (list, tuple)):
        return [_sorted(inside) for inside in value]
    return value


def pks(rows: Iterable[models.Model]) -> list[Any]:
    """Return the primary keys of *rows* in their order."""
    return [row.pk for row in rows]


__all__ = [
    "ORACLE",
    "Outcome",
    "Shop",
    "cases",
    "clear",
    "empty",
    "fill",
    "filled_once",
    "outcome",
    "pks",
    "plain",
    "refused",
    "same",
    "shop_models",
]
