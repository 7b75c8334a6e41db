"""Has anybody seen less than they must?

Versions only grow. A read that starts after the response of a write must find at least what that user wrote, and a
read that starts after the response of another read at least what that user saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

User = str
Row = str

#: How many violations are kept word for word.
KEPT: Final = 200


@dataclass(frozen=True, slots=True)
class Floor:
    """The least versions that a read may find: by what its user wrote, and by what the user saw, when it started."""

    user: User
    rows: tuple[Row, ...]
    wrote: Mapping[Row, int]
    saw: Mapping[Row, int]


@dataclass(frozen=True, slots=True)
class Violation:
    """A read that found too little."""

    kind: str
    user: User
    row: Row
    found: int
    least: int


@dataclass
class Checker:
    """What every user wrote and saw so far."""

    wrote: dict[User, dict[Row, int]] = field(default_factory=dict)
    saw: dict[User, dict[Row, int]] = field(default_factory=dict)
    #: Rows that were looked at, and how many of these looks could have failed: with a write, or a read, before them.
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def starts(self, user: User, rows: Iterable[Row]) -> Floor:
        """Note what a read of *rows* that starts now must find."""
        asked = tuple(rows)
        wrote, saw = self.wrote.get(user, {}), self.saw.get(user, {})
        return Floor(
            user,
            asked,
            {row: wrote[row] for row in asked if row in wrote},
            {row: saw[row] for row in asked if row in saw},
        )

    def written(self, user: User, versions: Mapping[Row, int]) -> None:
        """Note the response of a write."""
        self.counts["writes"] += 1
        _raise(self.wrote.setdefault(user, {}), versions)

    def ends(self, floor: Floor, versions: Mapping[Row, int]) -> list[Violation]:
        """Check the response of a read, and note it. A row that is not there has version 0."""
        self.counts["reads"] += 1
        found = []
        for row in floor.rows:
            version = versions.get(row, 0)
            self.counts["rows"] += 1
            for kind, least in (("read your writes", floor.wrote.get(row)), ("monotonic", floor.saw.get(row))):
                if least is None:
                    continue
                self.counts[f"rows checked: {kind}"] += 1
                if version < least:
                    self.counts[f"violations: {kind}"] += 1
                    found.append(Violation(kind, floor.user, row, version, least))
        self.violations.extend(found[: max(0, KEPT - len(self.violations))])
        _raise(self.saw.setdefault(floor.user, {}), versions)
        return found


def _raise(known: dict[Row, int], versions: Mapping[Row, int]) -> None:
    for row, version in versions.items():
        if version > known.get(row, -1):
            known[row] = version
