"""What does it cost to write many rows?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections

from shardkit.routing import owners
from tests.benchmarks.cases import new_order
from tests.benchmarks.files import on_files
from tests.benchmarks.measuring import WALL, Side, compare
from tests.benchmarks.report import Goal, Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.oracle import ORACLE
from tests.shop.models import Customer, Order

SECTION: Final = "`bulk_create()` over four shards, against one plain database"
GOAL: Final = Goal(1.15, 1.15)
#: Where the numbers of the orders begin that are written and deleted again.
FIRST: Final = 2_000_000


@pytest.fixture(autouse=True)
def on_disk(tmp_path: Path) -> Iterator[None]:
    """Let SQLite write files, as every other database does."""
    memory = connections[ORACLE].vendor == "sqlite"
    where: AbstractContextManager[None] = on_files(tmp_path) if memory else nullcontext()
    with where:
        yield


@pytest.mark.parametrize(("rows", "rounds", "goal"), [(10_000, 25, GOAL), (1_000, 100, None), (100, 200, None)])
def test_bulk_create(rows: int, rounds: int, goal: Goal | None, report: Report) -> None:
    customers = list(Customer.objects.all())
    assert len({customer.shard for customer in customers}) == len(owners.all_aliases())
    plain, ours = Writer(twin(Order), customers, rows, one_plain_database), Writer(Order, customers, rows, nullcontext)
    sides = Side(plain.write, plain.prepared), Side(ours.write, ours.prepared)
    line = Line(f"{rows:,} rows", goal=goal, statements=(statements(sides[0]), statements(sides[1])))
    line.timing = compare(*sides, clock=WALL, calls=1, rounds=rounds)
    report.add(SECTION, line)


class Writer:
    """Write so many orders, by their own model or by its twin."""

    def __init__(self, model: Any, customers: list[Customer], rows: int, world: Any) -> None:
        self.model, self.customers, self.rows, self.world = model, customers, rows, world
        self.orders: list[Any] = []

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Make the orders before the block, and delete them after it."""
        places = zip(range(self.rows), count(FIRST))
        self.orders = [new_order(self.customers[at % len(self.customers)], number, self.model) for at, number in places]
        with self.world():
            yield
        for alias in (*owners.all_aliases(), ORACLE):
            with connections[alias].cursor() as cursor:
                cursor.execute("DELETE FROM shop_order WHERE number >= %s", [FIRST])

    def write(self) -> None:
        self.model.objects.bulk_create(self.orders)


def statements(side: Side) -> int:
    with queries_by_database() as seen, side.world():
        side.call()
        return seen.total()
