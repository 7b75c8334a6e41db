"""How far is a PostgreSQL server, in the log of which timeline?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from shardkit.positions import varints

if TYPE_CHECKING:
    from shardkit.positions.position import Position

KIND: Final = 1
#: How long the header of each page of the log is, and that of the first page of a file, in bytes.
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
        return isinstance(other, Lsn) and self.history == other.history and self.offset >= other.offset

    def joined(self, other: Position) -> Self | None:
        """Return the later of the two; None for two timelines."""
        if not isinstance(other, Lsn) or self.history != other.history:
            return None
        return replace(self, offset=max(self.offset, other.offset))

    def exceeds(self, other: Position) -> bool:
        """Say whether this is a later place of the same timeline."""
        return isinstance(other, Lsn) and self.history == other.history and self.offset > other.offset

    @property
    def history(self) -> tuple[int, int]:
        """What two places must have in common to be compared."""
        return self.system, self.timeline

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


def end_of_records(insert: int, *, file_size: int = 16 * 2**20, page_size: int = 8192) -> int:
    """Return where the last record ends, when the next one will be inserted at *insert*.

    Where a record ends with its page, the next is inserted after the header of a page that nobody has written: no
    standby reports that place until somebody writes again.
    """
    header = _FILE_HEADER if insert % file_size < page_size else _PAGE_HEADER
    return insert - header if insert % page_size == header else insert
