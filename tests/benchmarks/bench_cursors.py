"""Does the thousandth page by cursor cost what the first one costs?"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from tests.benchmarks.bench_merge import fill
from tests.benchmarks.measuring import Clock, Side, compare
from tests.benchmarks.report import Goal, Line, Report
from tests.fix_queries import queries_by_database
from tests.shop.models import Sample

CURSORS: Final = "Page 1,000 by cursor, against page 1: 20 rows of four shards and the cursor of the next page"
GOAL: Final = Goal(1.1, 1.1)
ROWS: Final = 40_000
SIZE: Final = 20


@pytest.fixture(scope="module")
def samples() -> None:
    fill(ROWS)


def turn(rows: Any, cursor: str | None) -> tuple[str | None, list[int]]:
    """Return what a reader gets of a page: the cursor of the next one, and the rows."""
    page = rows.cursor_page(size=SIZE, cursor=cursor)
    return page.next_cursor, [row.pk for row in page]


def test_cursors(samples: None, report: Report, clock: Clock) -> None:
    del samples
    orders: dict[str, Any] = {
        "by the primary key": Sample.objects.order_by("pk"),
        "by the primary key, backwards": Sample.objects.order_by("-pk"),
    }
    for name, rows in orders.items():
        around = list(rows[999 * SIZE - 1 : 999 * SIZE + 1])
        cursor = rows.cursor_page(size=1, before=around[1]).cursor_at(0)

        with queries_by_database() as statements:
            _, found = turn(rows, cursor)
        assert found == [row.pk for row in rows[999 * SIZE : 1000 * SIZE]]
        first, thousandth = Side(partial(turn, rows, None)), Side(partial(turn, rows, cursor))
        timing = compare(first, thousandth, clock=clock, rounds=40)
        report.add(CURSORS, Line(name, timing, statements=(4, statements.total()), goal=GOAL))
