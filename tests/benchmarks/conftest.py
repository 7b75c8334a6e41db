"""Which databases do the benchmarks use, and where does their table go?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections, router
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker

from shardkit.routers import ShardRouter
from tests.benchmarks import cases, results
from tests.benchmarks.measuring import CPU, WALL, Clock
from tests.benchmarks.report import Report, machine
from tests.oracle import ORACLE

_REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--results", type=Path, metavar="DIR", help="keep the numbers in DIR/<vendor>.json, for publishing"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = Report()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and keep the numbers for `tests.benchmarks.publishing` if that was asked for."""
    report = config.stash[_REPORT]
    if report.sections:
        terminalreporter.write_line(f"\n{report.machine}\n\n{report.markdown()}\n")
        if directory := config.getoption("results"):
            results.keep(report, directory, connections[ORACLE].vendor)


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    return request.config.stash[_REPORT]


@pytest.fixture(scope="session", autouse=True)
def databases(django_db_blocker: DjangoDbBlocker, report: Report) -> Iterator[None]:
    """Make every database, filled, and use it as a site does: without a test's transaction around everything."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
        cases.fill()
        with patch.object(router, "routers", [ShardRouter()]):  # without the one that the tests add
            yield
        report.machine = machine()
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def clock() -> Clock:
    """SQLite in memory needs the processor alone; a server has to be waited for."""
    return CPU if connections[ORACLE].vendor == "sqlite" else WALL
