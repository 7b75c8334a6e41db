"""How far is an SQLite database, which has no log that can be named?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shardkit.positions import varints

if TYPE_CHECKING:
    from shardkit.positions.position import Position

KIND: Final = 4


@dataclass(frozen=True, slots=True)
class Counter:
    """What a counter in the database itself says. A copy that has it at *count* has all that was committed before.

    The *incarnation* is chosen at random when the counter is made.
    """

    incarnation: int
    count: int

    def includes(self, other: Position) -> bool:
        """Say whether the same counter has got as far."""
        return isinstance(other, Counter) and self.incarnation == other.incarnation and self.count >= other.count

    def joined(self, other: Position) -> Self | None:
        """Return the later; None for two counters."""
        if not isinstance(other, Counter) or self.incarnation != other.incarnation:
            return None
        return type(self)(self.incarnation, max(self.count, other.count))

    def exceeds(self, other: Position) -> bool:
        """Say whether the same counter has got further here."""
        return isinstance(other, Counter) and self.incarnation == other.incarnation and self.count > other.count

    def dumps(self) -> bytes:
        """Return the kind and the two numbers."""
        return bytes([KIND]) + varints.write(self.incarnation) + varints.write(self.count)

    def __str__(self) -> str:
        return str(self.count)
