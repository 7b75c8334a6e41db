"""What does a read cost that names one shard?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections, models

from tests.benchmarks.cases import Case, keyed_reads, other_reads
from tests.benchmarks.files import copy_to_files
from tests.benchmarks.instructions import count_instructions, is_available
from tests.benchmarks.measuring import Clock, compare, count_calls
from tests.benchmarks.report import Line, Report
from tests.fix_queries import queries_by_database
from tests.oracle import ORACLE

KEYED: Final = "Reads that name one shard, against the same read `.using()` that shard"
OTHERS: Final = "Reads of models that no key spreads, against the same read of one plain database"


def test_reads_that_name_one_shard(report: Report, clock: Clock) -> None:
    for case in keyed_reads():
        report.add(KEYED, measured(case, clock))


def test_reads_of_global_and_reference_models(report: Report, clock: Clock) -> None:
    for case in other_reads():
        report.add(OTHERS, measured(case, clock))


def test_instructions_of_these_reads(report: Report, tmp_path: Path) -> None:
    if not is_available() or connections[ORACLE].vendor != "sqlite":
        pytest.skip("Valgrind counts what SQLite does, since that runs in our process")
    files, work = tmp_path / "files", tmp_path / "work"
    files.mkdir()
    work.mkdir()
    copy_to_files(files)
    for name, counts in count_instructions(files, work).items():
        report.add_instructions(name, counts)


def measured(case: Case, clock: Clock) -> Line:
    with queries_by_database() as plain_statements, case.plain.world():
        plain = case.plain.call()
    with queries_by_database() as statements:
        ours = case.ours.call()

    assert same(plain, ours)
    assert plain_statements.total() == statements.total() == 1
    return Line(
        case.name,
        compare(case.plain, case.ours, clock=clock),
        case.goal,
        statements=(1, 1),
        calls=(count_calls(case.plain), count_calls(case.ours)),
    )


def same(plain: Any, ours: Any) -> bool:
    """Say whether two answers hold the same, be they rows or values."""
    if isinstance(plain, list):
        return len(plain) == len(ours) and all(map(same, plain, ours))
    if isinstance(plain, models.Model):
        return columns(plain) == columns(ours)
    return bool(plain == ours)


def columns(row: models.Model) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name != "_state"}
