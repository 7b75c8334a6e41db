"""What does it cost that rows come from four databases, in one order?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import pytest
from django.db import connections
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast, Concat, Mod

from shardkit.orm.parts import Part
from shardkit.routing import owners
from tests.benchmarks.measuring import Clock, Side, compare, measured_memory
from tests.benchmarks.report import Goal, Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.oracle import ORACLE
from tests.shop.models import Sample

PAGES: Final = "Pages of rows on four shards, against one plain database that holds them all"
STREAMS: Final = "Streams of {rows:,} rows of four shards, against one plain database that holds them all"
MEMORY: Final = "Peak memory of such a stream: two columns by a number, as Python counts its own objects"
#: At least 70 % of the rows in a second.
GOAL: Final = Goal(1.43, 1.43)
ROWS: Final = 40_000
#: What a stream holds at most, whatever its length: some chunks of each shard.
FLAT_BYTES: Final = 8_000_000


def fill(rows: int) -> None:
    """Let the plain database hold *rows* samples and the shards the same, in turns."""
    shards = owners.all_aliases()
    # From 1, since MariaDB takes a 0 for a number that it has to find.
    for alias, first, step in [(ORACLE, 1, 1), *((alias, n, len(shards)) for n, alias in enumerate(shards, 1))]:
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM shop_sample")
            cursor.execute("INSERT INTO shop_sample (id, spot) VALUES (%s, %s)", [first, first])
            count = 1
            while count * step < rows:
                cursor.execute(
                    "INSERT INTO shop_sample (id, spot) SELECT id + %s, spot FROM shop_sample WHERE id + %s <= %s",
                    [count * step, count * step, rows],
                )
                count *= 2
        number = Mod(F("id") * 7919, 1_000_003)
        Sample.objects.using(alias).update(
            real=number, name=Concat(Value("name "), Cast(Mod(F("id") * 31, 5000), CharField()))
        )


@pytest.fixture(scope="module")
def samples() -> None:
    fill(ROWS)


@contextmanager
def counting_rows() -> Iterator[list[int]]:
    """Note how many rows the shards send."""
    sent: list[int] = []
    whole = Part.whole

    def noting(self: Part) -> Iterator[list[Any]]:
        for rows in whole(self):
            sent.append(len(rows))
            yield rows

    with patch.object(Part, "whole", noting):
        yield sent


def sides(read: Callable[[Any], Any]) -> tuple[Side, Side]:
    plain = twin(Sample)
    return Side(lambda: read(plain.objects), one_plain_database), Side(lambda: read(Sample.objects))


def length(read: Callable[[Any], Any], rows: Any) -> int:
    return sum(1 for _ in read(rows).iterator())


def test_pages(samples: None, report: Report, clock: Clock) -> None:
    del samples
    pages: dict[str, tuple[Callable[[Any], Any], int]] = {
        "the first 20 by a number": (lambda rows: list(rows.order_by("real")[:20]), 20),
        "the first 20 by a number, as tuples": (lambda rows: list(rows.order_by("-real").values_list("id")[:20]), 20),
        "the first 20 by a text": (lambda rows: list(rows.order_by("name", "id")[:20]), 20),
        "20 after the first 1,000": (lambda rows: list(rows.order_by("real")[1000:1020]), 1020),
        "20 after the first 10,000": (lambda rows: list(rows.order_by("real").values_list("id")[10000:10020]), 10020),
    }
    for name, (read, limit) in pages.items():
        plain, ours = sides(read)
        with queries_by_database() as statements, counting_rows() as sent:
            found: Any = ours.call()
        with plain.world():
            expected: Any = plain.call()
        assert [getattr(row, "pk", row) for row in expected] == [getattr(row, "pk", row) for row in found]
        assert sum(sent) <= 4 * limit
        timing = compare(plain, ours, clock=clock, rounds=10)
        report.add(PAGES, Line(name, timing, statements=(1, statements.total())))


def test_streams(samples: None, report: Report, clock: Clock) -> None:
    del samples
    streams: dict[str, Callable[[Any], Any]] = {
        "instances, in no order": lambda rows: rows.order_by(),
        "instances by a number": lambda rows: rows.order_by("real"),
        "instances by a number and the id": lambda rows: rows.order_by("-real", "id"),
        "two columns by a number": lambda rows: rows.order_by("real").values_list("id", "real"),
        "instances by the id": lambda rows: rows.order_by("id"),
        "instances by a text": lambda rows: rows.order_by("name", "id"),
    }
    for name, read in streams.items():
        plain, ours = sides(partial(length, read))
        with plain.world():
            assert plain.call() == ROWS
        assert ours.call() == ROWS
        report.add(STREAMS.format(rows=ROWS), Line(name, compare(plain, ours, clock=clock, calls=1, rounds=5), GOAL))


def test_memory_does_not_grow_with_the_rows(report: Report) -> None:
    if connections[ORACLE].vendor == "mysql":
        pytest.skip("The driver of MariaDB holds all rows of a statement, as in any Django project")
    for rows in (10_000, 100_000, 1_000_000):
        fill(rows)
        plain, ours = sides(partial(length, lambda samples: samples.order_by("real").values_list("id", "real")))
        peaks: dict[str, float] = {}
        for name, side in {"plain Django": plain, "four shards": ours}.items():
            with side.world():
                found, peak = measured_memory(side.call)
            assert found == rows
            peaks[name] = peak / 1e6
            report.add_point("memory", name, rows, peaks[name])
        of_plain, of_ours = (f"{peak:.1f} MB" for peak in peaks.values())
        report.add(MEMORY, Line(f"{rows:,} rows", plain=of_plain, ours=of_ours))
        assert peaks["four shards"] * 1e6 < FLAT_BYTES
