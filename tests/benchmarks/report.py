"""What does the table say that a run of the benchmarks ends with?"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import django
from django.db import connections

from tests.benchmarks.measuring import Timing
from tests.oracle import ORACLE

HEADER: Final = ("What", "Plain", "Ours", "Ratio", "Half of the pairs", "Calls", "Instructions", "SQL", "Goal")


@dataclass(frozen=True, slots=True)
class Goal:
    """The ratio that is aimed at, and the worst that will do."""

    aim: float
    worst: float

    def __str__(self) -> str:
        return f"≤ {self.aim:.2f}" if self.aim == self.worst else f"≤ {self.aim:.2f} ({self.worst:.2f})"

    def verdict(self, ratio: float) -> str:
        reached = round(ratio, 2)
        return "met" if reached <= self.aim else "at worst" if reached <= self.worst else "missed"


@dataclass
class Line:
    """One comparison."""

    name: str
    timing: Timing | None = None
    goal: Goal | None = None
    #: Statements of the plain side and of ours.
    statements: tuple[float, float] | None = None
    #: Functions called by the plain side and by ours.
    calls: tuple[int, int] | None = None
    #: Instructions of the processor on the plain side and on ours.
    instructions: tuple[float, float] | None = None
    #: Instead of times.
    plain: str = ""
    ours: str = ""

    def cells(self) -> tuple[str, ...]:
        timing = self.timing
        return (
            self.name,
            _duration(timing.plain) if timing else self.plain,
            _duration(timing.ours) if timing else self.ours,
            f"**{timing.ratio:.2f}**" if timing else "",
            "{:.2f} to {:.2f}".format(*timing.quartiles) if timing else "",
            _ratio(self.calls),
            _ratio(self.instructions),
            "" if self.statements is None else " / ".join(f"{count:g}" for count in self.statements),
            f"{self.goal}: {self.goal.verdict(timing.ratio)}" if self.goal and timing else "",
        )


@dataclass
class Report:
    """The lines of a run, under the headings of their files."""

    sections: dict[str, list[Line]] = field(default_factory=dict)
    #: What a plot shows: its name, the names of its lines, and their points.
    curves: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    #: What the numbers were measured on.
    machine: str = ""

    def add(self, section: str, line: Line) -> Line:
        self.sections.setdefault(section, []).append(line)
        return line

    def add_point(self, plot: str, curve: str, x: float, y: float) -> None:
        self.curves.setdefault(plot, {}).setdefault(curve, []).append((x, y))

    def add_instructions(self, name: str, counts: tuple[float, float]) -> None:
        """Add to the lines called *name* what Valgrind has counted."""
        for line in (line for lines in self.sections.values() for line in lines if line.name == name):
            line.instructions = counts

    def markdown(self) -> str:
        """Write the table."""
        return table({section: [line.cells() for line in lines] for section, lines in self.sections.items()})

    def results(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        sections = {
            section: [{"cells": line.cells(), "ratio": line.timing.ratio if line.timing else None} for line in lines]
            for section, lines in self.sections.items()
        }
        return {"machine": self.machine, "sections": sections, "curves": self.curves}


def table(sections: Mapping[str, Iterable[Sequence[str]]]) -> str:
    """Write the cells of *sections* as a table in Markdown."""
    rows: list[Sequence[str]] = [HEADER, tuple("---" for _ in HEADER)]
    for section, lines in sections.items():
        rows.append((f"**{section}**", *("" for _ in HEADER[1:])))
        rows += lines
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def machine() -> str:
    """Say what the numbers were measured on."""
    connection = connections[ORACLE]
    version = ".".join(map(str, connection.get_database_version()))
    return (
        f"{connection.display_name} {version}, Django {django.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )


def _duration(nanoseconds: float) -> str:
    if nanoseconds < 1e6:
        return f"{nanoseconds / 1e3:.1f} µs"
    return f"{nanoseconds / 1e6:.1f} ms" if nanoseconds < 1e9 else f"{nanoseconds / 1e9:.2f} s"


def _ratio(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f"{pair[1] / pair[0]:.3f}"
