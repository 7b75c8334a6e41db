"""Reading rows that are put in order: how, how far, and what happens when that cannot be."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction
from django.db.models import (
    CharField,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    TextField,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat, TruncDay

from shardkit.errors import CrossShardQuery
from shardkit.fanout import Job, run
from shardkit.merge.sqlite import SQLiteOrdering
from shardkit.orm.merging import rows as merge_rows
from shardkit.orm.parts import Part
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, cases, outcome, pks, same
from tests.shop.models import Answer, Country, Customer, Document, Gadget, Line, Order, Product, Tagged, Ticket

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


def refreshed(row: Order) -> Order:
    row.refresh_from_db()
    return row


@pytest.fixture
def fetched() -> Iterator[list[int]]:
    """Note how many rows each fetch brings."""
    sizes: list[int] = []
    fetch = Part._fetched

    def noting(self: Part) -> list[Any]:
        rows = fetch(self)
        sizes.append(len(rows))
        return rows

    with patch.object(Part, "_fetched", noting):
        yield sizes


@cases(
    next_by=lambda s: s.orders[9].get_next_by_created(),
    previous_by=lambda s: s.orders[9].get_previous_by_created(status="new"),
    no_next=lambda s: max(s.orders, key=lambda order: order.created).get_next_by_created(),
    first_of_a_text=lambda _: Customer.objects.order_by("name", "-id").first(),
    last_of_a_text=lambda _: Customer.objects.order_by("name", "-id").last(),
    first_of_nothing=lambda _: Order.objects.filter(number=-1).order_by("-created").first(),
    latest_of_nothing=lambda _: Order.objects.filter(number=-1).latest("created"),
    earliest_of_a_text=lambda _: Customer.objects.earliest("name", "-id"),
    in_bulk=lambda s: Order.objects.in_bulk([order.pk for order in s.orders[::5]]),
    in_bulk_in_order=lambda _: list(Gadget.objects.order_by("price", "code").in_bulk()),
    contains=lambda s: Order.objects.order_by("-created").contains(s.orders[3]),
    exists=lambda _: Order.objects.order_by("-created")[40:].exists(),
    exists_beyond=lambda _: Order.objects.order_by("-created")[4000:].exists(),
    days_of_each_customer=lambda _: (
        Order.objects.annotate(day=TruncDay("created"))
        .values_list("customer_id", "day")
        .distinct()
        .order_by("-day", "customer_id")
    ),
    dates_of_one_customer=lambda s: Order.objects.filter(customer=s.customer_on(2, 3)).dates("created", "day", "DESC"),
    related_rows_of_what_is_elsewhere=lambda s: s.countries[0].customer_set.order_by("-name", "id"),
    many_to_many_in_order=lambda s: s.labels[0].order_set.order_by("-total", "id")[2:9],
    prefetched_in_order=lambda _: Customer.objects.order_by("-id").prefetch_related(
        Prefetch("orders", Order.objects.order_by("-total", "id").prefetch_related("lines"))
    ),
    prefetched_while_iterating=lambda _: (
        Customer.objects.order_by("name", "id").prefetch_related("orders__labels").iterator(chunk_size=3)
    ),
    prefetched_of_a_global_model=lambda _: Product.objects.order_by("id").prefetch_related(
        Prefetch("orders", Order.objects.order_by("created"))
    ),
    prefetched_of_a_reference_model=lambda _: Country.objects.order_by("code").prefetch_related(
        Prefetch("customer_set", Customer.objects.order_by("email"), to_attr="people")
    ),
    generic_in_order=lambda _: [tagged.target for tagged in Tagged.objects.order_by("id")],
    default_order_prefetched=lambda _: Ticket.objects.order_by("title").prefetch_related("answers"),
    deferred=lambda _: [order.status for order in Order.objects.only("id").order_by("-created")[:3]],
    refreshed=lambda _: list(map(refreshed, Order.objects.order_by("-created")[:3])),
    narrowed=lambda s: Order.objects.filter(customer__in=s.customers[3:14:3]).order_by("-created"),
    narrowed_to_pks=lambda s: Order.objects.filter(pk__in=pks(s.orders[::4])).order_by("-total", "id"),
    nowhere=lambda _: Order.objects.filter(pk__in=[]).order_by("created"),
    none=lambda _: Order.objects.none().order_by("created"),
    or_of_keys=lambda s: Order.objects.filter(Q(customer=s.customers[3]) | Q(status="new")).order_by("-id"),
    shared_column_names=lambda _: (
        Order.objects.annotate(name=F("customer__name")).order_by("-number", "id").values("name", "number")
    ),
    computed_text=lambda _: Customer.objects.order_by(Concat("name", "email"), "id"),
    cast_to_text=lambda _: Order.objects.order_by(Cast("number", CharField(max_length=9)), "-id"),
    cast_to_long_text=lambda _: Order.objects.order_by(Cast("total", TextField()), "-id"),
    groups_named_by_text=lambda _: (
        Customer.objects.values("id", "name").annotate(n=Count("orders"), m=Max("orders__status")).order_by("m", "id")
    ),
    latest_child=lambda _: Customer.objects.annotate(
        status=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-number").values("status")[:1])
    ).order_by(F("status").desc(nulls_first=True), "id"),
    distinct_rows_with_nulls_last=lambda _: (
        Order.objects.values("pk", "status").distinct().order_by(F("weight").asc(nulls_last=True), "-pk")
    ),
    distinct_rows_with_nulls_first=lambda _: (
        Order.objects.values("pk").distinct().order_by(F("note").desc(nulls_first=True), "number", "-pk")[2:20]
    ),
    documents=lambda _: Document.objects.order_by("-customer__email").values_list("pk", "title"),
    lines=lambda _: Line.objects.select_related("order__customer").order_by("qty", "-order__created", "sku")[4:30],
)
def test_reads_in_order(shop: Shop, case: Case_) -> None:
    here = outcome(lambda: case(shop))

    same(lambda: case(shop), error=type(here.error) if here.error else None)


def test_async_reads_in_order(shop: Shop) -> None:
    assert shop.orders

    async def read() -> list[Any]:
        rows = Order.objects.order_by("-weight", "id")
        first, last = await rows.afirst(), await rows.alast()
        return [first, last, *[row async for row in rows.all()], *[row async for row in rows[2:9].aiterator()]]

    same(async_to_sync(read))


def test_pickled_reads_go_on_in_order(shop: Shop) -> None:
    del shop
    rows = Order.objects.order_by("-weight", "id")[3:20]

    def revived() -> Any:
        again = Order.objects.all()
        again.query = pickle.loads(pickle.dumps(rows.query))  # noqa: S301
        return [*pickle.loads(pickle.dumps(rows.all())), *again]  # noqa: S301

    same(revived)


def test_a_page_fetches_no_more_than_it_could_need(shop: Shop) -> None:
    with queries_by_database() as seen:
        assert 7 == len(Order.objects.order_by("-created")[3:10])

    assert dict.fromkeys(shop.shards, 1) == dict(seen)
    assert all("LIMIT 10" in sql and "OFFSET" not in sql for _, sql in seen.texts)


def test_a_stream_holds_a_few_chunks_of_each_shard(shop: Shop, fetched: list[int]) -> None:
    rows = Order.objects.order_by("created").iterator(chunk_size=2)
    assert len(shop.orders) > 20
    next(rows)

    assert max(fetched) <= 2
    assert sum(fetched) <= 2 * len(shop.shards)
    assert len(shop.orders) - 1 == len(list(rows))


def test_a_stream_may_be_left(shop: Shop) -> None:
    rows: Any = Order.objects.order_by("created").iterator(chunk_size=2)
    first = next(rows)
    rows.close()

    assert first.pk == min(shop.orders, key=lambda order: order.created).pk
    assert 1 == len(Order.objects.order_by("-created")[:1])


def test_what_is_skipped_is_not_held(shop: Shop, fetched: list[int]) -> None:
    with patch.object(merge_rows, "_DEEP", 5):
        same(lambda: Order.objects.order_by("-created")[15:20], ordered=True)

    assert shop.orders
    assert max(fetched) <= 100


@pytest.mark.parametrize(
    "read", [lambda rows: list(rows[15:20]), lambda rows: list(rows.iterator(chunk_size=2))], ids=["page", "all"]
)
def test_no_cursor_of_the_server_is_opened_where_that_is_disabled(shop: Shop, read: Any) -> None:
    """Behind a pooler of transactions such a cursor ends with the statement."""
    shards = [connections[alias] for alias in shop.shards]
    with ExitStack() as stack:
        stack.enter_context(patch.object(merge_rows, "_DEEP", 5))
        for shard in shards:
            stack.enter_context(patch.dict(shard.settings_dict, DISABLE_SERVER_SIDE_CURSORS=True))
            stack.enter_context(patch.object(shard, "chunked_cursor", side_effect=AssertionError("of the server")))
        assert read(Order.objects.order_by("-created"))


def test_limits_without_an_order(shop: Shop) -> None:
    everything = {order.pk for order in shop.orders}

    assert everything == {order.pk for low in range(0, 60, 7) for order in Order.objects.all()[low : low + 7]}
    assert [] == list(Order.objects.all()[len(everything) :])


def test_rows_are_locked_one_shard_after_another(shop: Shop) -> None:
    together: list[int] = []

    def noting(jobs: Sequence[Job]) -> None:
        together.append(len(jobs))
        run(jobs)

    with patch("shardkit.orm.parts.run", noting):
        with transaction.atomic():
            assert len(shop.orders) == len(Order.objects.select_for_update().order_by("-id"))
        assert len(shop.orders) == len(Order.objects.order_by("-id"))

    assert [1] * len(shop.shards) + [len(shop.shards)] == together


def test_rows_of_a_subquery_are_locked_where_they_are(shop: Shop) -> None:
    locked = Order.objects.select_for_update().filter(customer=OuterRef("pk"), number=0)

    with queries_by_database() as seen, transaction.atomic():
        assert shop.customers
        list(Customer.objects.filter(Exists(locked)))

    locking = {alias for alias, sql in seen.texts if "FOR UPDATE" in sql}
    assert locking == (set(shop.shards) if connection.features.has_select_for_update else set())


# What a model does not say.


@cases(
    text_called_a_number=lambda _: Customer.objects.alias(x=RawSQL("email", [], IntegerField())).order_by("x", "id"),
    number_called_text=lambda _: Order.objects.alias(x=RawSQL("number", [], CharField())).order_by("x", "id"),
    raw_text=lambda _: Customer.objects.order_by(RawSQL("name", []), "id"),
    raw_text_backwards=lambda _: Customer.objects.order_by(RawSQL("coalesce(name, 'x')", []).desc(), "id"),
    raw_time=lambda _: Order.objects.order_by(RawSQL("created", []).desc(), "id"),
    raw_decimal=lambda _: Order.objects.order_by(RawSQL("total", []), "id"),
    raw_among_others=lambda _: Order.objects.order_by("status", RawSQL("weight", []), "created", "id"),
    extra=lambda _: Customer.objects.extra(select={"x": "lower(name)"}, order_by=["-x", "id"]),
)
def test_what_the_database_gives_decides(shop: Shop, case: Case_) -> None:
    def rows() -> Any:
        return list(case(shop).values_list("pk", flat=True))

    assert len(rows()) == len(same(rows)[1])


@cases(
    arrays=lambda: Func("number", F("number") % 2, template="ARRAY[%(expressions)s]", output_field=CharField()),
    arrays_of_text=lambda: Func("status", "note", template="ARRAY[%(expressions)s]", output_field=CharField()),
    ranges=lambda: RawSQL("int4range(number, number + 3)", []),
    intervals=lambda: RawSQL("(number || ' months')::interval + '20 days'::interval", []),
    documents=lambda: RawSQL("jsonb_build_object('a', number, 'b', status)", []),
    addresses=lambda: RawSQL("('10.0.0.' || number)::inet", []),
    bits=lambda: RawSQL("number::bit(4)", []),
    padded=lambda: RawSQL("status::char(12)", []),
    names=lambda: RawSQL("status::name", []),
    single_precision=lambda: RawSQL("weight::real", []),
    not_a_number=lambda: RawSQL("CASE WHEN number = 1 THEN 'NaN'::numeric ELSE total END", []),
    infinite=lambda: RawSQL("CASE WHEN number = 1 THEN 'infinity'::timestamptz ELSE created END", []),
    long_ago=lambda: RawSQL("CASE WHEN number = 1 THEN '4000-01-01 BC'::date ELSE created::date END", []),
    rows=lambda: RawSQL("ROW(number, status)", []),
    collated=lambda: RawSQL('status COLLATE "C"', []),
)
def test_types_that_only_postgresql_has(shop: Shop, case: Case_) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("these are types of PostgreSQL")
    assert shop.orders

    same(lambda: list(Order.objects.order_by(case(), "id").values_list("pk", flat=True)))
    same(lambda: list(Order.objects.order_by(case().desc(), "id").values_list("pk", flat=True)[3:20]))


# When the rows cannot be put in order here.


def test_rows_in_an_unexpected_order_are_gathered(shop: Shop) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("one way to make an order unexpected is enough")
    keys: Any = lambda _self, _what, columns: [-number for number in range(len(columns[0]))]  # noqa: E731
    assert len(shop.orders) > 20

    with patch.object(SQLiteOrdering, "keys", keys):
        same(lambda: list(Order.objects.order_by("created").values_list("pk", flat=True)))


def test_a_stream_that_turns_out_to_be_in_an_unexpected_order_is_refused(shop: Shop) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("one way to make an order unexpected is enough")
    with connections["shard_0"].cursor() as cursor:
        newest = max(order.number for order in shop.orders)
        cursor.execute("UPDATE shop_order SET number = 'text' WHERE number = %s", [newest])
    rows = Order.objects.order_by(RawSQL("number", []), "id").values_list("pk", flat=True).iterator(chunk_size=1)

    with pytest.raises(CrossShardQuery, match="raw SQL"):
        list(rows)


def test_an_unordered_read_compares_nothing(shop: Shop) -> None:
    with patch.object(merge_rows, "positions_in_order", side_effect=AssertionError):
        assert len(shop.orders) == len(Order.objects.all())
        assert 12 == Answer.objects.order_by().count()


def test_a_statement_is_compiled_once_for_all_shards(shop: Shop) -> None:
    compiled: list[Any] = []
    compiler: Any = connections["shard_0"].ops.compiler("SQLCompiler")
    compile_from = compiler.get_from_clause

    def noting(self: Any) -> Any:
        compiled.append(self.connection.alias)
        return compile_from(self)

    with patch.object(compiler, "get_from_clause", noting):
        assert len(shop.orders) > len(Order.objects.order_by("-created")[:5])
    assert 1 == len([alias for alias in compiled if alias != "default"])
