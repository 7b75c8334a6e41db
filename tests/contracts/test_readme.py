"""Does the README keep its word?"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.handbook.following import Reader
from tests.handbook.pages import ROOT, steps, table_rows

README = ROOT / "README.md"
#: A README is read to its end.
LINES = 120
#: What a reader types to see shardkit work.
RUNNABLE_LINES = 15


def test_its_example_comes_out_as_it_shows(tmp_path: Path) -> None:
    Reader(tmp_path).follow(README)


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LINES


def test_its_example_has_fifteen_lines() -> None:
    code = [line for step in steps(README) if step.language == "python" for line in step.body.splitlines()]
    typed = [line for step in steps(README) if step.language == "pycon" for line in step.body.splitlines()]

    lines = [line for line in code if line] + [line for line in typed if line.startswith(">>> ")]

    assert len(lines) <= RUNNABLE_LINES


def test_it_starts_with_the_two_commands_and_no_other() -> None:
    told = re.findall(r"^(?:\$ )?((?:make|pip|python|docker|apt)\b.*)$", README.read_text(), re.MULTILINE)

    assert ["make demo", "make test"] == told[:2]


def test_its_table_of_versions_is_that_of_the_matrix() -> None:
    matrix = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["tox"]["env_list"]
    rows = list(table_rows(README, "Django", "Python"))

    written = {
        f"py{python.replace('.', '')}-django{django.split()[0].replace('.', '')}"
        for django, pythons, *_ in rows
        for python in pythons.split(", ")
    }

    assert set(matrix) == written
