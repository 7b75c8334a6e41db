"""Which position do these bytes stand for?"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from shardkit.positions import counter, gtid, lsn, varints

if TYPE_CHECKING:
    from shardkit.positions.position import Position


def loads(data: bytes) -> Position:
    """Return the position that `dumps` wrote; `ValueError` for anything else."""
    if not data:
        raise ValueError("No bytes stand for no position.")
    reader = _Reader(data)
    kind = reader.byte()
    match kind:
        case lsn.KIND:
            found: Position = lsn.Lsn(reader.number(), reader.number(), reader.number())
        case gtid.KIND:
            found = gtid.Gtids(
                tuple((reader.number(), reader.number(), reader.number()) for _ in range(reader.number()))
            )
        case gtid.MYSQL_KIND:
            found = gtid.MySqlGtids(tuple(reader.source() for _ in range(reader.number())))
        case counter.KIND:
            found = counter.Counter(reader.number(), reader.number())
        case _:
            raise ValueError(f"There is no kind {kind} of position.")
    reader.require_end()
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def byte(self) -> int:
        return self.part(1)[0]

    def number(self) -> int:
        found, self.place = varints.read(self.data, self.place)
        return found

    def part(self, size: int) -> bytes:
        found = self.data[self.place : self.place + size]
        self.place += size
        return found

    def source(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        uuid, tag = UUID(bytes=self.part(16)), self.part(self.number()).decode()
        intervals = []
        for _ in range(self.number()):
            first = self.number()
            intervals.append((first, first + self.number()))
        return f"{uuid}:{tag}" if tag else str(uuid), tuple(intervals)

    def require_end(self) -> None:
        if self.place != len(self.data):
            raise ValueError(f"It has {len(self.data)} bytes, and {self.place} of them were expected.")
