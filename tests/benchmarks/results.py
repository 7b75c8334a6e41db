"""Where do the numbers of several runs come together?

Each vendor has one file. A run adds its sections and plots to it, or replaces those of an earlier run: so the
benchmarks can be run one after the other, each in a process of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.report import Report

#: The vendors by the names that the docs call them.
VENDORS: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}


def keep(report: Report, directory: Path, vendor: str) -> None:
    """Add the numbers of *report* to those of *vendor* in *directory*."""
    path = directory / f"{vendor}.json"
    before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    now = report.results()
    merged = {part: {**before.get(part, {}), **now[part]} for part in ("sections", "curves")}
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": now["machine"], **merged}, indent=1, ensure_ascii=False) + "\n")


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept in *directory*, by vendor."""
    paths = {vendor: directory / f"{vendor}.json" for vendor in VENDORS}
    return {vendor: json.loads(path.read_text()) for vendor, path in paths.items() if path.exists()}
