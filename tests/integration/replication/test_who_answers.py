"""Is the database that answered the one that was announced, whatever the plan, and does the session know no more?

Here each replica is a connection of its own to the rows of its primary, so that it shows which of them a statement ran
on. The rows are there before the test begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import Avg, Count, Exists, F, Max, OuterRef, Prefetch, Q, StdDev, Sum, Window
from django.db.models.functions import RowNumber

from shardkit.consistency.pool import pooled_by
from shardkit.consistency.reading import Reading
from shardkit.consistency.session import Session, session_scope
from shardkit.replication.selection import Choice
from shardkit.routing import owners
from shardkit.testing import SimulatedReplicas, assert_reads, routed_reads, simulated_replicas
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role
from tests.fix_shop import Shop
from tests.shop.models import Country, Customer, Order, Product, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

SHARDS = ("shard_0", "shard_1", "shard_2", "shard_3")
Case = Callable[[Shop], Any]


@dataclass
class Apart(SimulatedReplicas):
    """Simulated replicas to which other connections lead than to their primaries."""

    def opened(self, primary: Alias, choice: Choice) -> Any:
        del primary
        return connections[choice.alias]


@pytest.fixture(autouse=True)
def replicas(shop: Shop) -> Iterator[Apart]:
    with ExitStack() as stack:
        simulated = stack.enter_context(simulated_replicas(dict.fromkeys(("default", *shop.shards), 1)))
        for primary in ("default", *shop.shards):
            stack.callback(_close, name := f"{primary}_replica_1")
            original: Any = connections[primary]
            plain = getattr(type(original), "plain_class", type(original))
            connections[name] = plain(original.copy().settings_dict, name)
        apart = Apart(simulated.replicas, watched=simulated.watched, logical=simulated.logical)
        stack.enter_context(pooled_by(apart))
        yield apart


def _close(name: str) -> None:
    connections[name].close()
    del connections[name]


#: What is read, by its plan.
READS: dict[str, Case] = {
    "one shard": lambda s: list(Order.objects.filter(customer=s.customers[3])),
    "one shard counted": lambda s: Order.objects.filter(customer=s.customers[3]).count(),
    "one shard explained": lambda s: Order.objects.filter(customer=s.customers[3]).explain(),
    "default": lambda _: list(Product.objects.order_by("name")),
    "default counted": lambda _: Country.objects.count(),
    "rows": lambda _: list(Order.objects.all()),
    "sorted rows": lambda _: list(Order.objects.order_by("note", "-total")[1:5]),
    "rows explained": lambda _: Order.objects.order_by("total").explain(),
    "a stream": lambda _: list(Order.objects.order_by("total").iterator(chunk_size=3)),
    "a page": lambda _: list(Order.objects.order_by("note", "total").cursor_page(size=3)),
    "the first": lambda _: Order.objects.first(),
    "whether there are any": lambda _: Order.objects.filter(total__gt=1).exists(),
    "by their keys": lambda s: Order.objects.in_bulk([order.pk for order in s.orders]),
    "related rows": lambda _: list(Customer.objects.prefetch_related("orders", Prefetch("country"))),
    "a count": lambda _: Order.objects.count(),
    "a count of some": lambda s: Customer.objects.filter(pk__in=[one.pk for one in s.customers[::3]]).count(),
    "sums": lambda _: Order.objects.aggregate(Sum("number"), Max("created"), n=Count("pk")),
    "means": lambda _: Order.objects.aggregate(Avg("total"), StdDev("number"), d=Count("status", distinct=True)),
    "an aggregate of distinct rows": lambda _: Order.objects.values("status").distinct().count(),
    "an aggregate of whole groups": lambda _: (
        Order.objects.values("customer").annotate(n=Count("pk")).aggregate(Max("n"))
    ),
    "groups": lambda _: list(Order.objects.values("status").annotate(n=Count("pk"), t=Sum("total")).order_by("-n")),
    "groups explained": lambda _: Order.objects.values("status").annotate(n=Count("pk")).explain(),
    "distinct rows": lambda _: list(Order.objects.values("note").distinct()),
    "a join of shards": lambda _: list(Shipment.objects.filter(order__status="paid")),
    "a join of shards explained": lambda _: Shipment.objects.filter(order__status="paid").explain(),
    "a join with default": lambda _: list(Order.objects.select_related("product")),
    "a condition on default": lambda _: Order.objects.filter(product__name="product 1").count(),
    "a window": lambda _: list(Order.objects.annotate(r=Window(RowNumber(), order_by="total"))),
    "the first joined": lambda _: list(Shipment.objects.select_related("order").order_by("-cost")[:2]),
    "a union": lambda _: list(Order.objects.filter(number=1).union(Order.objects.filter(number=2))),
    "a subquery": lambda _: list(Order.objects.filter(~Exists(Shipment.objects.filter(order=OuterRef("pk"))))),
    "whether any joined": lambda _: Shipment.objects.filter(Q(order__number=1) | Q(cost=F("order__number"))).exists(),
}


@contextmanager
def executed() -> Iterator[list[tuple[str, str]]]:
    """Collect what each connection runs inside the block, those to replicas too."""
    found: list[tuple[str, str]] = []

    def noting(alias: str) -> Any:
        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
            found.append((alias, str(sql)))
            return execute(sql, params, many, context)

        return note

    with ExitStack() as stack:
        for primary in ("default", *SHARDS):
            for alias in (primary, f"{primary}_replica_1"):
                stack.enter_context(connections[alias].execute_wrapper(noting(alias)))
        yield found


def reads_of_shop(sql: str) -> bool:
    """Say whether a statement asks for rows of the shop."""
    return " shop_" in sql.replace(connection.ops.quote_name("x")[0], "") and not sql.startswith("CREATE")


def reads_of_default(sql: str) -> bool:
    """Say whether a statement on `default` asks for rows of a table that is there."""
    tables = [connection.ops.quote_name(f"shop_{name}") for name in ("product", "country")]
    return any(f"{word} {table}" in sql for word in ("FROM", "JOIN") for table in tables)


@pytest.mark.parametrize("rows", [1000, 0], ids=["expressions", "tables"])
@pytest.mark.parametrize("name", READS)
def test_who_is_announced_has_answered(shop: Shop, settings: Any, name: str, rows: int) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": rows}

    with routed_reads() as told, executed() as ran:
        READS[name](shop)

    for shard in SHARDS:
        answered = {alias for alias, sql in ran if alias.startswith(shard) and reads_of_shop(sql)}
        assert answered == set(told.of(shard)) <= {f"{shard}_replica_1"}, ran
    answered = {alias for alias, sql in ran if alias.startswith("default") and reads_of_default(sql)}
    assert answered == set(told.of("default")), ran


@contextmanager
def behind(replicas: Apart) -> Iterator[None]:
    """Let all replicas be behind, and begin a session in a process that has read the shard map, which is on `default`.

    What such a session has seen of a primary, no replica has.
    """
    owners.owners()
    for primary in ("default", *SHARDS):
        replicas.set_lag(primary, 3)
    with session_scope(Session()):
        yield


@pytest.mark.parametrize("rows", [1000, 0], ids=["expressions", "tables"])
@pytest.mark.parametrize("name", READS)
def test_what_replicas_have_answered_ties_nobody_to_a_primary(
    shop: Shop, replicas: Apart, settings: Any, name: str, rows: int
) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": rows}

    with behind(replicas), routed_reads() as told:
        READS[name](shop)
        tied = {alias for alias in ("default", *SHARDS) if Reading().looked_up(Alias(alias)).role is Role.PRIMARY}

    assert tied == {alias for _, alias, _ in told.reads if alias == "default"}


def test_a_gather_writes_nothing_that_its_caller_has_to_see(settings: Any, replicas: Apart) -> None:
    """Its temporary tables are on `default`, whose replica goes on answering."""
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": 0}

    with behind(replicas):
        list(Shipment.objects.filter(order__status="paid"))
        list(Order.objects.values("status").annotate(n=Count("pk")))

        with assert_reads(default="replica", **dict.fromkeys(SHARDS, "replica")):
            assert Product.objects.exists()
            assert Order.objects.exists()


def test_a_gather_that_reads_rows_of_default_has_seen_its_primary(replicas: Apart) -> None:
    with behind(replicas):
        with assert_reads(default="primary") as found:
            list(Order.objects.select_related("product"))

        assert ("default", "default", "it is finished there") in found.reads
        with assert_reads(default="primary"):
            assert Product.objects.exists()
