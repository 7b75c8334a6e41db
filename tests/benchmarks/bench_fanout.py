"""What does it cost to ask eight databases at once?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from unittest.mock import patch

import pytest
from django.db import connections

from shardkit.fanout import Job, executor, run
from shardkit.routing import owners
from tests.benchmarks.measuring import WALL, Side, Timing, compare
from tests.benchmarks.report import Goal, Line, Report
from tests.oracle import ORACLE

CONNECTIONS: Final = 8
WAITING: Final = f"A fan-out of statements that wait 5 ms over {CONNECTIONS} connections, against one alone"
TINY: Final = f"A fan-out of `SELECT 1` over {CONNECTIONS} connections, against the same in turn"
WORKING: Final = f"A fan-out of statements that compute over {CONNECTIONS} connections, against one alone"
GOAL: Final = Goal(1.30, 1.30)

#: A statement that waits 5 ms on the server without using its processor.
SLEEPING: Final = {"postgresql": "SELECT pg_sleep(0.005)", "mysql": "SELECT SLEEP(0.005)"}
#: A statement that uses a processor for some milliseconds.
COMPUTING: Final = {
    "postgresql": "SELECT max(sqrt(i)) FROM generate_series(1, 20000) AS i",
    "mysql": "SELECT BENCHMARK(5000, MD5('shard'))",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT max(i) FROM n",
}


class Cluster:
    """Eight connections to the shards, each with an open cursor."""

    def __init__(self, size: int = CONNECTIONS) -> None:
        self._shards = owners.all_aliases()
        self.connections = [connections[self._shards[n % len(self._shards)]].copy() for n in range(size)]
        self.cursors = [connection.cursor() for connection in self.connections]

    def one(self, sql: str) -> None:
        self.cursors[0].execute(sql)

    def in_turn(self, sql: str) -> None:
        for cursor in self.cursors:
            cursor.execute(sql)

    def at_once(self, sql: str) -> None:
        run([Job(self._shards[0], cursor, sql, None) for cursor in self.cursors])

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


@contextmanager
def threads() -> Iterator[None]:
    """Let threads wait, as they do for drivers that cannot say when they wait."""
    with patch.object(executor, "can_fly", return_value=False):
        yield


def test_statements_that_wait(cluster: Cluster, report: Report) -> None:
    sql = SLEEPING.get(connections[ORACLE].vendor)
    if sql is None:
        pytest.skip("SQLite runs in this process: it has no statement that waits while others run")
    ways: dict[str, tuple[Side, Goal | None]] = {
        "at once": (Side(partial(cluster.at_once, sql)), GOAL),
        "at once, by threads": (Side(partial(cluster.at_once, sql), threads), GOAL),
        "in turn": (Side(partial(cluster.in_turn, sql)), None),
    }
    for name, (side, goal) in ways.items():
        add(report, WAITING, name, Side(partial(cluster.one, sql)), side, goal=goal)


def test_the_number_of_connections(report: Report) -> None:
    sql = SLEEPING.get(connections[ORACLE].vendor)
    if sql is None:
        pytest.skip("SQLite runs in this process: it has no statement that waits while others run")
    for size in (1, 2, 4, 8):
        cluster = Cluster(size)
        timing = measured(Side(partial(cluster.in_turn, sql)), Side(partial(cluster.at_once, sql)))
        cluster.close()
        report.add_point("fanout", "in turn", size, timing.plain / 1e6)
        report.add_point("fanout", "at once", size, timing.ours / 1e6)


def test_statements_that_are_tiny(cluster: Cluster, report: Report) -> None:
    plain, ours = Side(partial(cluster.in_turn, "SELECT 1")), partial(cluster.at_once, "SELECT 1")
    add(report, TINY, "at once", plain, Side(ours), calls=10)
    if connections[ORACLE].vendor == "postgresql":
        add(report, TINY, "at once, by threads", plain, Side(ours, threads), calls=10)


def test_statements_that_compute(cluster: Cluster, report: Report) -> None:
    sql = COMPUTING[connections[ORACLE].vendor]
    for name, call in {"at once": cluster.at_once, "in turn": cluster.in_turn}.items():
        add(report, WORKING, name, Side(partial(cluster.one, sql)), Side(partial(call, sql)))


def add(
    report: Report, section: str, name: str, plain: Side, ours: Side, *, goal: Goal | None = None, calls: int = 3
) -> None:
    report.add(section, Line(name, measured(plain, ours, calls=calls), goal))


def measured(plain: Side, ours: Side, *, calls: int = 3) -> Timing:
    return compare(plain, ours, clock=WALL, calls=calls, rounds=40)
