"""The asynchronous twins, pickles, models' own reads, and a shard that is down."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import OperationalError, connection, connections, models
from django.db.models import Prefetch, QuerySet, Sum, aprefetch_related_objects

from shardkit.errors import CrossShardQuery, ShardUnavailable
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, cases, pks, same
from tests.shop.models import Answer, Country, Customer, Gadget, Invoice, Order, Product, Tagged

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Awaitable[Any]]


def awaited(case: Case_, *args: Any) -> Any:
    async def run() -> Any:
        return await case(*args)

    return async_to_sync(run)()


async def _all(rows: Any) -> list[Any]:
    return [row async for row in rows]


async def _sorted(rows: Any) -> list[Any]:
    return sorted(await _all(rows), key=lambda row: row.pk)


@cases(
    aget=lambda q: q.aget(number=1),
    acount=lambda q: q.acount(),
    aexists=lambda q: q.aexists(),
    acontains=lambda q: q.acontains(Order(pk=1)),
    afirst=lambda q: q.afirst(),
    alast=lambda q: q.alast(),
    aearliest=lambda q: q.aearliest("created"),
    alatest=lambda q: q.alatest("created"),
    aaggregate=lambda q: q.aaggregate(Sum("total")),
    ain_bulk=lambda q: q.ain_bulk(),
    async_for=lambda q: _all(q.order_by("-pk")),
    async_for_values=lambda q: _all(q.values_list("number", flat=True).order_by("pk")),
    aiterator=lambda q: _all(q.order_by("pk").aiterator(chunk_size=2)),
    aiterator_of_the_named_shard=lambda q: _all(q.using(q.db).order_by("pk").aiterator()),
)
def test_async_twins_on_one_shard(shop: Shop, case: Case_) -> None:
    same(lambda: awaited(case, Order.objects.filter(customer=shop.customer_on(2, 3))), plan="single")


@cases(
    aget=lambda q: q.aget(code="g4"),
    aexists=lambda q: q.aexists(),
    acontains=lambda q: q.acontains(Gadget(code="g5")),
    ain_bulk=lambda q: q.ain_bulk(["g1", "g2"]),
    async_for_unordered=_sorted,
    aiterator=lambda q: _sorted(q.aiterator()),
    acount=lambda q: q.acount(),
    afirst=lambda q: q.afirst(),
    alast=lambda q: q.alast(),
    aearliest=lambda q: q.aearliest("price", "pk"),
    alatest=lambda q: q.alatest("price", "pk"),
    aaggregate=lambda q: q.aaggregate(Sum("price")),
    async_for=lambda q: _all(q.order_by("price", "pk")),
)
def test_async_twins_on_all_shards(shop: Shop, case: Case_) -> None:
    assert shop.orders

    same(lambda: awaited(case, Gadget.objects.all()))


@cases(
    arefresh_from_db=lambda s: _refreshed(Order(pk=s.orders[8].pk)),
    aprefetch=lambda s: _prefetched(s.customer_on(2, 3).pk),
    related_aget=lambda s: s.customer_on(2, 3).orders.aget(number=1),
    related_acount=lambda s: s.customer_on(2, 3).orders.acount(),
    related_async_for=lambda s: _all(s.customer_on(2, 3).orders.order_by("pk")),
    many_to_many_async_for=lambda s: _all(s.orders[11].labels.order_by("pk")),
)
def test_async_twins_of_rows(shop: Shop, case: Case_) -> None:
    same(lambda: awaited(case, shop))


async def _refreshed(row: Any) -> Any:
    await row.arefresh_from_db()
    return row


async def _prefetched(pk: Any) -> Any:
    customer = await Customer.objects.aget(pk=pk)
    await aprefetch_related_objects([customer], "orders__lines")
    return customer


def test_async_explain(shop: Shop) -> None:
    assert awaited(Order.objects.filter(customer=shop.customers[3]).aexplain)


# Pickles.


@cases(
    one_shard=lambda s: Order.objects.filter(customer=s.customer_on(2, 3)).order_by("-pk"),
    all_shards=lambda _: Order.objects.filter(status="new").select_related("customer"),
    values=lambda _: Order.objects.filter(status="new").values("number", "customer__name"),
    named=lambda _: Order.objects.filter(status="new").values_list("number", "status", named=True),
    annotated=lambda s: Customer.objects.filter(pk=s.customer_on(2, 3).pk).annotate(n=Sum("orders__total")),
    prefetched=lambda _: Customer.objects.prefetch_related(Prefetch("orders", Order.objects.filter(number=1))),
    with_global_rows=lambda _: Order.objects.select_related("product").order_by("pk"),
    with_rows_of_others=lambda _: Tagged.objects.select_related("content_type").order_by("pk"),
)
def test_querysets_and_queries_survive_pickling(shop: Shop, case: Callable[..., Any]) -> None:
    def again() -> Any:
        queryset = case(shop)
        clone = queryset._clone()
        clone.query = pickle.loads(pickle.dumps(queryset.query))  # noqa: S301
        return clone

    same(again)
    same(lambda: pickle.loads(pickle.dumps(case(shop))))  # noqa: S301


def test_rows_and_their_global_ones_can_be_copied(shop: Shop) -> None:
    assert shop.orders
    same(
        lambda: [
            (one, one.product) for one in copy.deepcopy(list(Order.objects.select_related("product").order_by("pk")))
        ]
    )


#: What another process does with a pickled queryset, of the test databases.
ELSEWHERE = """
import json, pickle, sys
import django
django.setup()
from django.db import connections
for alias, name in json.loads(sys.argv[1]).items():
    connections[alias].settings_dict["NAME"] = name
rows = list(pickle.load(sys.stdin.buffer))
pickle.dump([(row.pk, row.shard, row.status, row.customer.name) for row in rows], sys.stdout.buffer)
"""


@pytest.mark.skipif(connection.vendor == "sqlite", reason="no other process sees a database in memory")
@cases(
    one_shard=lambda s: Order.objects.filter(customer=s.customer_on(2, 3)).select_related("customer"),
    all_shards=lambda _: Order.objects.filter(status="new").select_related("customer"),
    gathered=lambda _: Order.objects.filter(shipments__cost__gt=3).select_related("customer").order_by("-pk"),
)
def test_another_process_evaluates_a_queryset(shop: Shop, case: Callable[..., Any]) -> None:
    names = json.dumps({alias: connections[alias].settings_dict["NAME"] for alias in connections})
    expected = [(row.pk, row.shard, row.status, row.customer.name) for row in case(shop)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", ELSEWHERE, names]

    done = subprocess.run(command, input=pickle.dumps(case(shop)), env=environment, capture_output=True, check=False)

    assert (0, b"") == (done.returncode, done.stderr)
    assert expected
    assert sorted(expected) == sorted(pickle.loads(done.stdout))  # noqa: S301


def test_a_pickled_row_knows_its_shard(shop: Shop) -> None:
    order = Order.objects.get(pk=shop.orders[8].pk)
    again = pickle.loads(pickle.dumps(order))  # noqa: S301

    assert (order, order.shard, "default") == (again, again.shard, again._state.db)


# What Django does with querysets elsewhere.


def test_a_page_of_one_shard(shop: Shop) -> None:
    def pages() -> Any:
        paginator = Paginator(Order.objects.filter(customer=shop.customer_on(2, 3)).order_by("pk"), 2)
        return [list(page.object_list) for page in paginator]

    same(pages)


def test_pages_of_all_shards(shop: Shop) -> None:
    assert shop.orders

    same(lambda: [list(page) for page in Paginator(Order.objects.order_by("number", "-pk"), 7)])


@cases(
    number_taken=lambda s: Order(customer=s.customer_on(2, 3), number=1),
    number_free=lambda s: Order(customer=s.customer_on(2, 3), number=77),
    itself=lambda s: s.orders_of(s.customer_on(2, 3))[1],
)
def test_unique_constraints_are_validated_on_the_keys_shard(shop: Shop, case: Callable[..., Any]) -> None:
    def problems() -> Any:
        try:
            case(shop).validate_constraints()
        except ValidationError as error:
            return error.messages
        return []

    same(problems, plan="single")


@cases(
    taken_elsewhere=lambda s: Customer(name="new", email=s.customer_on(3, 1).email),
    free=lambda _: Customer(name="new", email="nobody@example.org"),
)
def test_unique_fields_are_validated_over_all_shards(shop: Shop, case: Callable[..., Any]) -> None:
    def problems() -> Any:
        try:
            case(shop).validate_unique()
        except ValidationError as error:
            return error.message_dict
        return {}

    same(problems)


@cases(
    full_clean=lambda row: row.full_clean(),
    clean_fields=lambda row: row.clean_fields(),
    clean=lambda row: row.clean(),
    get_constraints=lambda row: [found[0]._meta.label for found in row.get_constraints()],
    get_deferred_fields=lambda row: sorted(row.get_deferred_fields()),
    serializable_value=lambda row: row.serializable_value("customer"),
    pk=lambda row: row.pk,
    prepare_database_save=lambda row: row.prepare_database_save(Order._meta.get_field("customer")),
    unique_error_message=lambda row: row.unique_error_message(Order, ("number",)).messages,
    date_error_message=lambda row: row.date_error_message("date", "number", "created").code,
    check=lambda row: [found.id for found in row.check() if not found.id.startswith("shardkit.")],
)
def test_the_models_own_methods(shop: Shop, case: Callable[..., Any]) -> None:
    row = Order.objects.select_related("customer").get(pk=shop.orders[8].pk)

    same(lambda: case(row))


def test_managers_in_all_their_forms(shop: Shop) -> None:
    customer = shop.customer_on(2, 3)

    same(lambda: Order.objects.db_manager("default").filter(customer=customer), plan="single")
    same(lambda: Order.objects.get_queryset().filter(customer=customer), plan="single")
    same(lambda: type(Order.objects).from_queryset(QuerySet).__name__)
    same(Order.objects.deconstruct)
    same(lambda: type(Order.objects.get_queryset()).as_manager().deconstruct())
    assert "default" == Order.objects.db
    assert "default" == Order.objects.none().db
    assert customer.shard == Order.objects.filter(customer=customer).db
    assert not Order.objects.use_in_migrations
    assert [] == Order.objects.check()


def test_what_a_queryset_says_of_itself(shop: Shop) -> None:
    names = ["ordered", *(["totally_ordered"] if hasattr(QuerySet, "totally_ordered") else [])]
    querysets = [Order.objects.all(), Order.objects.order_by("pk"), Answer.objects.all(), Order.objects.none()]
    assert shop.orders

    same(lambda: [[getattr(queryset, name) for name in names] for queryset in querysets])


def test_a_many_to_many_manager_uses_what_was_prefetched(shop: Shop) -> None:
    order = Order.objects.prefetch_related("labels").get(pk=shop.orders[11].pk)
    with queries_by_database() as seen:
        counted = order.labels.count(), order.labels.exists(), len(order.labels.all())

    assert not seen
    assert (2, True, 2) == counted


def test_a_row_saved_as_loaddata_does(shop: Shop) -> None:
    """Django's deserializers call `Model.save_base` unbound, past every `save()`."""
    order = Order.objects.get(pk=shop.orders[8].pk)
    order.note = "loaded"
    with queries_by_database() as seen:
        models.Model.save_base(order, using="default", raw=True)

    assert {str(order.shard): 1} == dict(seen)
    assert "loaded" == Order.objects.get(pk=order.pk).note
    assert "default" == order._state.db


def test_a_row_is_read_as_a_row_of_default(shop: Shop) -> None:
    """`from_db` takes the alias of a shard as well as that of the logical database."""
    order = shop.orders[8]
    row = Order.from_db(order.shard, ["id", "customer_id"], [order.pk, order.customer_id])

    assert ("default", order.shard) == (row._state.db, row.shard)


# A shard that is down.


def test_a_shard_that_is_down_is_named_and_the_others_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    down = shop.shards[2]
    connection = connections[down]

    def refuse_connection() -> None:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "connection", None)
        patch.setattr(connection, "connect", refuse_connection)
        with pytest.raises(ShardUnavailable, match=down):
            list(Order.objects.all())
        with pytest.raises(ShardUnavailable, match=down):
            Order.objects.get(pk=shop.orders_of(shop.customer_on(2, 3))[0].pk)
        with pytest.raises(ShardUnavailable, match=down):
            list(Order.objects.using(down))
        with queries_by_database() as seen:
            order = Order.objects.get(pk=shop.orders_of(shop.customer_on(1, 3))[0].pk)

        assert {order.shard: 1} == dict(seen)
        assert Product.objects.count()
        assert Country.objects.count()
        assert Invoice.objects.count()

    assert sorted(pks(shop.orders)) == sorted(pks(Order.objects.all()))


def test_nothing_half_read_leaves_an_iterator(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connections[shop.shards[3]]
    with monkeypatch.context() as patch:
        patch.setattr(connection, "connection", None)
        patch.setattr(connection, "connect", _raise)
        queryset = Order.objects.all()
        with pytest.raises(ShardUnavailable):
            len(queryset)

        assert queryset._result_cache is None


def _raise() -> None:
    raise OperationalError("connection refused")


def test_a_refusal_is_pickled_and_keeps_its_message(shop: Shop) -> None:
    """Parallel test runners and process pools carry errors."""
    assert shop.orders
    with pytest.raises(CrossShardQuery) as caught:
        list(Order.objects.raw("SELECT * FROM shop_order"))

    assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))  # noqa: S301
