"""How many rows may one statement bring together?

The budget is spent while rows travel, so that a statement which needs too many ends early, and by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shardkit.conf.settings import get_settings
from shardkit.errors import GatherLimitExceeded


@dataclass(slots=True)
class Budget:
    """What the shadows of one statement may hold, all together."""

    rows: int
    bytes: int
    #: How many rows of each shadow have come so far.
    counts: Counter[str] = field(default_factory=Counter)
    spent_bytes: int = 0

    @classmethod
    def from_settings(cls) -> Budget:
        """Return what SHARDKIT["GATHER_ROWS"] and SHARDKIT["GATHER_BYTES"] allow one statement."""
        settings = get_settings()
        return cls(settings.gather_rows, settings.gather_bytes)

    @property
    def spent_rows(self) -> int:
        """How many rows have come so far."""
        return self.counts.total()

    def spend(self, name: str, rows: int, size: int) -> None:
        """Take note of *rows* of the shadow *name*, *size* bytes in all; raise `GatherLimitExceeded` beyond."""
        self.counts[name] += rows
        self.spent_bytes += size
        if self.spent_rows > self.rows:
            raise self._excess(f"{self.rows} rows", 'SHARDKIT["GATHER_ROWS"]')
        if self.spent_bytes > self.bytes:
            raise self._excess(f"{self.bytes} bytes", 'SHARDKIT["GATHER_BYTES"]')

    def _excess(self, limit: str, setting: str) -> GatherLimitExceeded:
        so_far = [f"{count} of {name}" for name, count in self.counts.items()]
        return GatherLimitExceeded(_enumerated(so_far), limit, setting)


def _enumerated(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
