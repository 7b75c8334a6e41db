"""Does a PostgreSQL coordinator answer what a gather answers, and only when it sees the same rows?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import Error, connections, transaction
from django.db.models import Count, F, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from shardkit.consistency.session import Session, session_scope
from shardkit.errors import CoordinatorOutOfDate
from shardkit.management.coordinating import MARK
from shardkit.orm.gathering.coordinator import _checked
from shardkit.testing import assert_reads, routed_reads, simulated_replicas
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, same
from tests.oracle import ORACLE
from tests.shop.models import Country, Customer, Order, Product, Shipment

ALIAS = "coordinator"
WHY = f"the coordinator {ALIAS} reads primaries"
SHARDS = ("shard_0", "shard_1", "shard_2", "shard_3")
pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif("connections['default'].vendor != 'postgresql'", reason="postgres_fdw is PostgreSQL's"),
]

QUESTIONS: dict[str, Callable[[], QuerySet[Any, Any]]] = {
    "a join across shards": lambda: Shipment.objects.filter(order__status="paid").order_by("pk"),
    "related rows of another shard": lambda: Shipment.objects.select_related("order__customer").order_by("pk"),
    "nothing across": lambda: Order.objects.filter(shipments__isnull=True).order_by("pk"),
    "a count across": lambda: Order.objects.annotate(n=Count("shipments"), c=Sum("shipments__cost")).order_by("pk"),
    "a global table": lambda: Product.objects.annotate(n=Count("orders")).order_by("pk"),
    "a reference table": lambda: Country.objects.filter(customer__isnull=True).order_by("pk"),
    "a window": lambda: (
        Order.objects.annotate(r=Window(RowNumber(), partition_by="status", order_by=[F("total").desc(), "pk"]))
        .filter(r__lte=2)
        .order_by("status", "r")
    ),
    "a union": lambda: Order.objects.values("pk").union(Customer.objects.values("pk")).order_by("pk"),
    "distinct on": lambda: Order.objects.order_by("status", "-total", "pk").distinct("status"),
    "text by its collation": lambda: Customer.objects.annotate(n=Count("referred__orders")).order_by("name", "pk"),
}


@pytest.fixture(scope="module", autouse=True)
def database(shop: Shop, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:  # noqa: ARG001 - emptied after it
    """Make one empty database more."""
    config = connections[ORACLE].settings_dict
    name = f"{config['NAME']}_{ALIAS}"
    with django_db_blocker.unblock():
        with connections[ORACLE].cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
            cursor.execute(f'CREATE DATABASE "{name}"')
        connections.databases[ALIAS] = {**config, "NAME": name}
        with override_settings(SHARDKIT={**settings.SHARDKIT, "GATHER_COORDINATOR": ALIAS}):
            yield
        connections[ALIAS].close()
        del connections[ALIAS], connections.databases[ALIAS]
        with connections[ORACLE].cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}"')


@pytest.fixture
def coordinator(shop: Shop) -> str:  # noqa: ARG001 - it reads the shop
    """Make that database the coordinator."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'")
        if not cursor.fetchone()[0]:
            pytest.skip("this build of PostgreSQL has no postgres_fdw")
    call_command("shards", "coordinator", stdout=StringIO())
    return ALIAS


def test_its_answers_are_those_of_one_database(coordinator: str) -> None:
    list(QUESTIONS["a join across shards"]())  # the first one also reads the shard map, and whether it is up to date
    for question in QUESTIONS.values():
        with queries_by_database() as seen:
            list(question())
        assert dict(seen) == {coordinator: 1}, seen.texts
        same(question)

    # Conditions travel to the shards, which are asked at the same time.
    narrow = Shipment.objects.filter(order__status="paid", cost__gt=3)
    sql, params = narrow.query.get_compiler("oracle").as_sql()

    with connections[coordinator].cursor() as cursor:
        cursor.execute(f"EXPLAIN (VERBOSE) {sql}", params)
        text = "\n".join(line for (line,) in cursor.fetchall())

    assert text.count("Remote SQL") >= 8
    assert "WHERE ((cost >" in text
    assert "Async Foreign Scan" in text


def test_in_a_transaction_rows_are_gathered_because_only_we_see_them(coordinator: str, shop: Shop) -> None:
    with transaction.atomic(), queries_by_database() as seen:
        Order.objects.filter(pk=shop.orders[0].pk).update(status="paid")
        paid = Order.objects.filter(shipments__isnull=False, status="paid").distinct()
        found = shop.orders[0] in list(paid)
        transaction.set_rollback(True)

    assert found == bool(shop.orders[0].shipments.all())
    assert coordinator not in dict(seen)
    with transaction.atomic(using=str(shop.orders[0].shard)), queries_by_database() as seen:
        list(QUESTIONS["a join across shards"]())
    assert coordinator not in dict(seen)


READS: dict[str, Callable[[Any], object]] = {
    "all": list,
    "iterator": lambda rows: list(rows.iterator(chunk_size=1)),
    "count": lambda rows: rows.count(),
    "named": lambda rows: list(rows.using("default")),
}


@pytest.mark.usefixtures("coordinator")
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_it_shows_is_what_primaries_have_and_is_not_gone_again(
    shop: Shop, read: Callable[[Any], object], request: pytest.FixtureRequest
) -> None:
    shipment = shop.shipments[0]
    with simulated_replicas({"default": 1, **dict.fromkeys(SHARDS, 1)}) as replicas:
        for name in ("default", *SHARDS):
            replicas.set_lag(name, 10)
        with routed_reads() as found:
            read(QUESTIONS["a join across shards"]())
        expected = {(name, name, WHY) for name in ("default", *SHARDS)}
        assert set(found.reads) == (set() if "named" in request.node.name else expected)

        with assert_reads(default="primary", **{str(shipment.shard): "primary"}):
            list(Shipment.objects.filter(pk=shipment.pk))
            list(Product.objects.all())
        with session_scope(Session()), assert_reads(**{str(shipment.shard): "replica"}):
            list(Shipment.objects.filter(pk=shipment.pk))


def test_the_route_says_that_it_reads_primaries_and_asks_it_nothing(coordinator: str) -> None:
    with simulated_replicas(dict.fromkeys(SHARDS, 1)), queries_by_database() as seen:
        question: Any = QUESTIONS["a join across shards"]()
        route = str(question.route())
        with transaction.atomic():
            gathered = str(question.route())

    for name in SHARDS:
        assert f"{name} is read from {name}: {WHY}" in route
        assert f"{name} is read from {name}: it is inside a transaction" in gathered
    assert coordinator not in dict(seen)


def test_setting_it_up_again_makes_its_tables_anew_and_touches_no_others(coordinator: str) -> None:
    for statement in ("DELETE FROM shop_product", "TRUNCATE shop_product", "UPDATE shop_order SET number = 1"):
        with pytest.raises(Error, match="does not allow"), connections[coordinator].cursor() as cursor:
            cursor.execute(statement)
    with connections[coordinator].cursor() as cursor:
        cursor.execute("ALTER TABLE shop_shipment DROP COLUMN cost CASCADE")
        cursor.execute("CREATE TABLE mine (id integer)")
    out = StringIO()

    call_command("shards", "coordinator", stdout=out)

    assert "coordinator reads" in out.getvalue()
    same(QUESTIONS["a join across shards"])
    for statement in ("UPDATE shardkit_coordinator SET fingerprint = ''", "DROP TABLE shardkit_coordinator"):
        _checked.clear()
        with connections[coordinator].cursor() as cursor:
            cursor.execute(statement)
        with pytest.raises(CoordinatorOutOfDate, match=coordinator):
            list(QUESTIONS["a join across shards"]())
    with connections[coordinator].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM mine")
        cursor.execute("DROP TABLE mine")
        cursor.execute("COMMENT ON TABLE shop_shipment IS 'mine'")
    with pytest.raises(CommandError, match=r"has tables of its own: shop_shipment"):
        call_command("shards", "coordinator", stdout=StringIO())
    with connections[coordinator].cursor() as cursor:
        cursor.execute(f"COMMENT ON TABLE shop_shipment IS '{MARK}'")


def test_without_a_name_there_is_nothing_to_do() -> None:
    off = {**settings.SHARDKIT, "GATHER_COORDINATOR": None}
    with override_settings(SHARDKIT=off), pytest.raises(CommandError, match="GATHER_COORDINATOR"):
        call_command("shards", "coordinator")
