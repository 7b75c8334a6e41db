"""How far is a PostgreSQL server, in the log of which timeline?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shardkit.positions import varints

if TYPE_CHECKING:
    from shardkit.positions.position import Position

KIND: Final = 1
#: Of the log: its pages, each of which begins with a header, and its files, whose first page has a longer one.
_PAGE: Final = 8192
_PAGE_HEADER: Final = 24
_FILE_HEADER: Final = 40


@dataclass(frozen=True, slots=True)
class Lsn:
    """A place in the write-ahead log of one timeline of one system.

    After a failover the new primary goes on in a timeline of its own, in which the same place means other rows.
    """

    system: int
    timeline: int
    offset: int

    def includes(self, other: Position) -> bool:
        """Say whether this is the same timeline at the same place or later."""
        return self._is_comparable(other) and self.offset >= other.offset  # type: ignore[attr-defined]

    def joined(self, other: Position) -> Self | None:
        """Return the later of the two; None for two timelines."""
        if not self._is_comparable(other):
            return None
        return self if self.offset >= other.offset else other  # type: ignore[attr-defined,return-value]

    def _is_comparable(self, other: Position) -> bool:
        return isinstance(other, Lsn) and (self.system, self.timeline) == (other.system, other.timeline)

    def dumps(self) -> bytes:
        """Return the kind and the three numbers."""
        numbers = map(varints.write, (self.system, self.timeline, self.offset))
        return bytes([KIND]) + b"".join(numbers)

    def __str__(self) -> str:
        return f"{self.offset >> 32:X}/{self.offset & 0xFFFFFFFF:X}"


def parse(text: str) -> int:
    """Return the offset that PostgreSQL writes as *text*, such as ``0/3000148``."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def end_of_records(insert: int, *, file_size: int = 16 * 2**20) -> int:
    """Return where the last record ends, when the next one will be inserted at *insert*.

    Where a record ends with its page, the next is inserted after the header of a page that nobody has written: no
    standby reports that place until somebody writes again.
    """
    header = _FILE_HEADER if insert % file_size < _PAGE else _PAGE_HEADER
    return insert - header if insert % _PAGE == header else insert
