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
        self.place += 1
        return self.data[self.place - 1]

    def number(self) -> int:
        found, self.place = varints.read(self.data, self.place)
        return found

    def source(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        identity = self.data[self.place : self.place + 16]
        self.place += len(identity)
        intervals = []
        for _ in range(self.number()):
            first = self.number()
            intervals.append((first, first + self.number()))
        return str(UUID(bytes=identity)), tuple(intervals)

    def require_end(self) -> None:
        if self.place != len(self.data):
            raise ValueError(f"{len(self.data) - self.place} bytes are left over.")
