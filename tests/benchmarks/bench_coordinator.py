"""What does a PostgreSQL coordinator cost, where the rows of a gather are many?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from io import StringIO
from typing import Any, Final
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.models import Count, F, Sum, Window
from django.db.models.functions import RowNumber
from django.test import override_settings

from shardkit.orm.gathering import coordinator as gathering
from shardkit.orm.placing import bucket_of_instance
from shardkit.routing import owners
from shardkit.routing.registry import placement_of
from shardkit.topology.names import MAX_BUCKETS
from tests.benchmarks.measuring import WALL, Side, compare, measured_memory
from tests.benchmarks.report import Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.fix_shop import copy_to_oracle
from tests.oracle import ORACLE
from tests.shop.models import Order, Shipment

SHIPMENTS: Final = 1_000_000
GATHERED: Final = f"Gathering over four shards: {SHIPMENTS:,} rows of a table, and the same statement on one database"
COORDINATED: Final = f"The coordinator (ours) against the gather (plain): {SHIPMENTS:,} rows of a table on four shards"
ALIAS: Final = "coordinator"
ROUNDS: Final = 5
#: Each region is one that the shard owns, and each id carries the bucket of its row.
FILL: Final = f"""
INSERT INTO shop_shipment (id, region, order_id, cost)
SELECT n * {MAX_BUCKETS} + (%(buckets)s::int[])[n %% %(count)s + 1], (%(regions)s::text[])[n %% %(count)s + 1],
       (%(orders)s::bigint[])[n %% 400 + 1], n %% 1000
FROM generate_series(%(first)s::bigint, {SHIPMENTS}, %(step)s::bigint) AS n
"""  # noqa: S608 - our own numbers


def fill() -> None:
    """Put the shipments on the shards, each where its region belongs, and all of them on the plain database."""
    aliases = owners.all_aliases()
    orders = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    assert len(orders) == 400
    placement = placement_of(Shipment)
    buckets = {name: bucket_of_instance(Shipment(region=name), placement, "fill()") for name in map(str, range(97))}
    for first, alias in enumerate(aliases, 1):
        owned = {region: bucket for region, bucket in buckets.items() if owners.alias_of(bucket) == alias}
        values: dict[str, Any] = {"regions": list(owned), "buckets": list(owned.values()), "count": len(owned)}
        for database in (alias, ORACLE):
            with connections[database].cursor() as cursor:
                cursor.execute(FILL, {**values, "orders": orders, "first": first, "step": len(aliases)})
                cursor.execute("ANALYZE shop_shipment")
    copy_to_oracle(Order)


@pytest.fixture(scope="module", autouse=True)
def coordinator() -> Iterator[None]:
    """Make an empty database the coordinator of shards that hold many rows."""
    if connections[ORACLE].vendor != "postgresql":
        pytest.skip("A coordinator reads by postgres_fdw, which is PostgreSQL's")
    config = connections[ORACLE].settings_dict
    connections.databases[ALIAS] = {**config, "NAME": f"{config['NAME']}_{ALIAS}"}
    name = connections[ORACLE].ops.quote_name(connections.databases[ALIAS]["NAME"])
    fill()
    with connections[ORACLE].cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    limits = {"GATHER_ROWS": 2 * SHIPMENTS, "GATHER_BYTES": 1 << 30, "GATHER_COORDINATOR": ALIAS}
    with override_settings(SHARDKIT={**settings.SHARDKIT, **limits}):
        call_command("shards", "coordinator", stdout=StringIO())
        yield
    connections[ALIAS].close()
    del connections[ALIAS], connections.databases[ALIAS]
    with connections[ORACLE].cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")
        cursor.execute("DELETE FROM shop_order")
    for alias in (*owners.all_aliases(), ORACLE):
        with connections[alias].cursor() as cursor:
            cursor.execute("TRUNCATE shop_shipment")


def gathered() -> AbstractContextManager[object]:
    """Let the rows travel as if there were no coordinator, and no setting be read anew."""
    return patch.object(gathering, "coordinator_for", lambda _compiler: None)


def grouped(model: Any) -> Any:
    """Group all rows by a column of another table, whose rows are on other shards."""
    found = model.objects.values("order__number").annotate(n=Count("pk"), s=Sum("cost")).order_by("order__number")
    return list(found.values_list("order__number", "n", "s"))


def narrowed(model: Any) -> Any:
    """Sum the rows of one order in a hundred."""
    return model.objects.filter(order__number=7).aggregate(Sum("cost"))


def first(model: Any) -> Any:
    """List a page, as an admin does."""
    page = model.objects.select_related("order").order_by("-cost", "pk")[:100]
    return [(row.pk, row.order.number) for row in page]


def ranked(model: Any) -> Any:
    """Find the dearest row of each order, among a tenth of all."""
    rank = Window(RowNumber(), partition_by="order_id", order_by=[F("cost").desc(), F("pk").asc()])
    rows = model.objects.filter(cost__lt=100).annotate(rank=rank).filter(rank=1)
    return list(rows.order_by("pk").values_list("pk", "order_id", "cost"))


QUESTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "grouped by a column of another table: all rows travel": grouped,
    "summed for some rows of another table: 10,000 rows travel": narrowed,
    "a page of 100 with related rows: 100 of each shard travel": first,
    "the first of each group, by a window: 100,000 rows travel": ranked,
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_coordinator_against_the_gather(name: str, report: Report) -> None:
    ask = QUESTIONS[name]
    plain, gather = Side(partial(ask, twin(Shipment)), one_plain_database), Side(partial(ask, Shipment), gathered)
    asked = Side(partial(ask, Shipment))
    statements: dict[Side, float] = {}
    answers = []
    for side in (plain, gather, asked):
        with side.world(), queries_by_database() as seen:
            answers.append(side.call())
        statements[side] = 1 if side is plain else seen.total()
    assert answers[0] == answers[1] == answers[2]
    for section, one, other in ((GATHERED, plain, gather), (COORDINATED, gather, asked)):
        timing = compare(one, other, clock=WALL, calls=1, rounds=ROUNDS)
        report.add(section, Line(name, timing, statements=(statements[one], statements[other])))


def test_memory_of_the_process(report: Report) -> None:
    peaks = []
    for world in (gathered, nullcontext):
        with world():
            _, peak = measured_memory(partial(grouped, Shipment))
            peaks.append(f"{peak / 1e6:.1f} MB")
    line = Line("peak memory of the process, when all rows travel", plain=peaks[0], ours=peaks[1])
    report.add(COORDINATED, line)
