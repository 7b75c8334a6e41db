"""What has one caller written and read, on every shard, as a value that can travel?

Vectors form a join semilattice: joining is commutative, associative and idempotent, and what a join demands includes
what each side demanded. So vectors may arrive twice, late and in any order, and nothing that was demanded is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shardkit.positions.position import Position
    from shardkit.topology.names import Alias


class Unknown(Enum):
    """A position that nobody has asked for yet: whatever the primary has by now."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Entry:
    """What the caller demands of one primary and its replicas."""

    #: A replica must include this position; None when nothing is demanded.
    required: Position | Unknown | None = None
    #: The replica that the caller reads, and the life of its server; empty when it reads none.
    replica: str = ""
    life: str = ""
    #: When the caller last wrote or chose, in whole seconds since 1970.
    since: int = 0

    def joined(self, other: Entry) -> Entry:
        """Return what demands no less than either; of two replicas that were read, the primary has what both have."""
        required, replica, life = _joined(self.required, other.required), self.replica, self.life
        if not replica:
            replica, life = other.replica, other.life
        elif other.replica and (other.replica, other.life) != (replica, life):
            required, replica, life = UNKNOWN, "", ""
        return Entry(required, replica, life, max(self.since, other.since))


def _joined(one: Position | Unknown | None, other: Position | Unknown | None) -> Position | Unknown | None:
    if one is None or other is None:
        return other if one is None else one
    if one is UNKNOWN or other is UNKNOWN:
        return UNKNOWN
    # Positions of two incarnations have no order; the primary has what can be had of both.
    return one.joined(other) or UNKNOWN


@dataclass(frozen=True, slots=True)
class Vector:
    """What the caller demands of every primary, by alias."""

    entries: Mapping[Alias, Entry] = field(default_factory=lambda: MappingProxyType({}))
    #: Until then, in whole seconds since 1970, the caller may still be writing: every primary's position is unknown.
    open_until: int = 0

    def __bool__(self) -> bool:
        return bool(self.entries) or bool(self.open_until)

    def joined(self, other: Vector) -> Vector:
        """Return what demands no less than either."""
        entries = dict(self.entries)
        for alias, entry in other.entries.items():
            known = entries.get(alias)
            entries[alias] = entry if known is None else known.joined(entry)
        return Vector(MappingProxyType(entries), max(self.open_until, other.open_until))

    def since(self, earliest: int) -> Vector:
        """Return what is left of it when everything older than *earliest* has passed."""
        kept = {alias: entry for alias, entry in self.entries.items() if entry.since >= earliest}
        return replace(self, entries=MappingProxyType(kept))
