"""How far is it?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from django.core.management.base import OutputWrapper

#: The width of the bar, in characters.
WIDTH: Final = 30
#: How often the bar is drawn, in seconds.
INTERVAL_SECONDS: Final = 0.1
#: A rate is rows by time, and no time at all may have passed.
SHORTEST_SECONDS: Final = 1e-6


@dataclass
class ProgressBar:
    """Show how many of a known number of rows are dealt with; where nobody watches, say it once at the end."""

    label: str
    total: int
    out: OutputWrapper
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    started: float = field(init=False)
    drawn: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self.started = self.clock()

    def advance(self, rows: int) -> None:
        """Count *rows* more, and draw the bar if the last time is long ago."""
        self.done += rows
        if self.out.isatty() and self.clock() - self.drawn >= INTERVAL_SECONDS:
            self.drawn = self.clock()
            self.out.write(f"\r{self}", ending="")
            self.out.flush()

    def finish(self, remark: str) -> None:
        """Draw the bar for the last time, with a *remark* behind it."""
        self.out.write("\r" if self.out.isatty() else "", ending="")
        self.out.write(f"{self}  {remark}")

    def __str__(self) -> str:
        share = self.done / self.total if self.total else 1.0
        bar = ("█" * round(share * WIDTH)).ljust(WIDTH, "·")
        rate = self.done / max(self.clock() - self.started, SHORTEST_SECONDS)
        return f"{self.label:<9} {bar} {f'{self.done:,}/{self.total:,}':>15} {rate:>9,.0f} rows/s"
