"""Does the thousandth page by cursor cost what the first one costs?"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from tests.benchmarks.bench_merge import fill
from tests.benchmarks.measuring import WALL, Clock, Side, compare, medians
from tests.benchmarks.report import Goal, Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.shop.models import Sample

CURSORS: Final = "Page 1,000 by cursor, against another page: 20 rows of four shards and the cursor of the next page"
BY_HAND: Final = "The same condition by hand on one plain database: 21 rows after row 19,980, against the first 21"
OFFSETS: Final = "A page by cursor, against the same 20 rows of four shards by number: `[20 * (n - 1) : 20 * n]`"
GOAL: Final = Goal(1.1, 1.1)
ROWS: Final = 40_000
SIZE: Final = 20
NUMBERS: Final = (1, 10, 100, 1000, 2000)
ORDERS: Final[dict[str, Any]] = {
    "by the primary key": Sample.objects.order_by("pk"),
    "by the primary key, backwards": Sample.objects.order_by("-pk"),
}


@pytest.fixture(scope="module")
def samples() -> None:
    fill(ROWS)


def turn(rows: Any, cursor: str | None) -> tuple[str | None, list[int]]:
    """Return what a reader gets of a page: the cursor of the next one, and the rows."""
    page = rows.cursor_page(size=SIZE, cursor=cursor)
    return page.next_cursor, [row.pk for row in page]


def numbered(rows: Any, number: int) -> list[int]:
    """Return the rows of that page as `OFFSET` finds them."""
    return [row.pk for row in rows[(number - 1) * SIZE : number * SIZE]]


def cursor_of(rows: Any, number: int) -> str | None:
    """Return the cursor of that page."""
    if number == 1:
        return None
    (first,) = rows[(number - 1) * SIZE : (number - 1) * SIZE + 1]
    return str(rows.cursor_page(size=1, before=first).cursor_at(0))


@pytest.mark.parametrize("name", ORDERS)
def test_the_thousandth_page(name: str, samples: None, report: Report, clock: Clock) -> None:
    del samples
    rows = ORDERS[name]
    pages = {number: Side(partial(turn, rows, cursor_of(rows, number))) for number in (1, 2, 1000)}
    with queries_by_database() as statements:
        found: Any = pages[1000].call()
    assert found[1] == numbered(rows, 1000)
    for other, goal in ((1, GOAL), (2, None)):
        timing = compare(pages[other], pages[1000], clock=clock, rounds=100)
        line = Line(f"{name}: page 1,000 against page {other}", timing, goal, statements=(4, statements.total()))
        report.add(CURSORS, line)


def test_the_condition_alone(samples: None, report: Report, clock: Clock) -> None:
    del samples
    rows = twin(Sample).objects.order_by("pk")
    first, later = (
        Side(lambda: list(rows.all()[: SIZE + 1]), one_plain_database),
        Side(lambda: list(rows.filter(pk__gt=999 * SIZE)[: SIZE + 1]), one_plain_database),
    )
    report.add(BY_HAND, Line("by the primary key", compare(first, later, clock=clock, rounds=100)))


def test_pages_by_cursor_and_by_number(samples: None, report: Report) -> None:
    del samples
    rows = ORDERS["by the primary key"]
    by_cursor = [partial(turn, rows, cursor_of(rows, number)) for number in NUMBERS]
    by_number = [partial(numbered, rows, number) for number in NUMBERS]
    for page, same in zip(by_cursor, by_number, strict=True):
        assert turn(*page.args)[1] == same()
    curves: dict[str, list[Any]] = {"by number, with OFFSET": [*by_number], "by cursor": [*by_cursor]}
    for name, pages in curves.items():
        for number, taken in zip(NUMBERS, medians([Side(page) for page in pages], rounds=60), strict=True):
            report.add_point("cursors", name, number, taken / 1e6)
    for number, page, same in zip(NUMBERS, by_cursor, by_number, strict=True):
        report.add(OFFSETS, Line(f"page {number:,}", compare(Side(same), Side(page), clock=WALL, rounds=20)))
