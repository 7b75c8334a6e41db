"""What does it cost to bring rows of four shards together?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import connections
from django.db.models import Count, Sum
from django.test import override_settings

from shardkit.routing import owners
from tests.benchmarks.measuring import WALL, Side, compare
from tests.benchmarks.report import Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.fix_shop import copy_to_oracle
from tests.oracle import ORACLE
from tests.shop.models import Order, Shipment

SHIPMENTS: Final = 100_000
SECTION: Final = f"Gathering over four shards: {SHIPMENTS:,} rows of a table, and the same statement on one database"
COPIED: Final = "Gathering against `COPY` of the same rows to the same place"
ROUNDS: Final = 7
#: The rows travel whole, and nothing else is measured.
COPY_OUT: Final = "COPY (SELECT id, order_id, cost FROM shop_shipment) TO STDOUT (FORMAT BINARY)"
COPY_IN: Final = "COPY copied (id, order_id, cost) FROM STDIN (FORMAT BINARY)"


@pytest.fixture(scope="module", autouse=True)
def shipments() -> Iterator[None]:
    """Fill one table on the shards and on the plain database, and let that many rows travel."""
    orders = list(Order.objects.all())
    for begin in range(0, SHIPMENTS, 10_000):
        Shipment.objects.bulk_create(
            Shipment(region=f"r{number % 97}", order=orders[number % len(orders)], cost=number % 1000)
            for number in range(begin, begin + 10_000)
        )
    for model in (Order, Shipment):
        copy_to_oracle(model)
    with override_settings(SHARDKIT={**settings.SHARDKIT, "GATHER_ROWS": 2 * SHIPMENTS}):
        yield
    for alias in (*owners.all_aliases(), ORACLE):
        with connections[alias].cursor() as cursor:
            cursor.execute("DELETE FROM shop_shipment")
    with connections[ORACLE].cursor() as cursor:
        cursor.execute("DELETE FROM shop_order")


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


QUESTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "grouped by a column of another table: all rows travel": grouped,
    "summed for some rows of another table: 1,000 rows travel": narrowed,
    "a page of 100 with related rows: 100 of each shard travel": first,
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_statement_over_gathered_rows(name: str, report: Report) -> None:
    ask = QUESTIONS[name]
    plain, ours = Side(partial(ask, twin(Shipment)), one_plain_database), Side(partial(ask, Shipment))
    with queries_by_database() as seen:
        mine = ours.call()
    with one_plain_database():
        assert plain.call() == mine
    line = Line(name, statements=(1, seen.total()))
    line.timing = compare(plain, ours, clock=WALL, calls=1, rounds=ROUNDS)
    report.add(SECTION, line)


def test_gathering_against_copying(report: Report) -> None:
    """The rows come to a temporary table either way; ours are counted too, and asked about."""
    if connections[ORACLE].vendor != "postgresql":
        pytest.skip("COPY is PostgreSQL's: no other vendor has a limit of this kind to compare with")
    counted: Any = Shipment.objects.values("order__number").annotate(s=Sum("cost"))
    line = Line(f"{SHIPMENTS:,} rows of three columns")
    line.timing = compare(Side(copied), Side(lambda: list(counted.all())), clock=WALL, calls=1, rounds=ROUNDS)
    report.add(COPIED, line)


def copied() -> int:
    """Copy the rows of every shard, by the driver alone."""
    with connections["default"].cursor() as target:
        target.execute("CREATE TEMPORARY TABLE copied (id bigint PRIMARY KEY, order_id bigint, cost integer)")
        with target.copy(COPY_IN) as into:
            for alias in owners.all_aliases():
                with connections[alias].cursor() as source:
                    _pipe(source, into, is_first=alias == owners.all_aliases()[0])
            into.write(b"\xff\xff")
        target.execute("SELECT COUNT(*), SUM(cost) FROM copied")
        (rows, _) = target.fetchone()
        target.execute("DROP TABLE pg_temp.copied")
    assert rows == SHIPMENTS
    return int(rows)


#: What a binary copy begins with, and the two bytes that it ends with.
HEADER_BYTES: Final = 19


def _pipe(source: Any, into: Any, *, is_first: bool) -> None:
    """Write what *source* copies out, with one header and one end for all of them."""
    held, skip = b"", 0 if is_first else HEADER_BYTES
    with source.copy(COPY_OUT) as out:
        for data in out:
            block = bytes(data)
            dropped, skip = block[skip:], max(0, skip - len(block))
            held += dropped
            into.write(held[:-2])
            held = held[-2:]
