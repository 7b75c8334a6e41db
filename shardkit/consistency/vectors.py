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


#: How long, in seconds, a session that has left its replica reads no other one. Requests that began before may still
#: read it; those that do so for longer than `SHORT` say it again in their responses. The rest of the time is for clocks
#: that differ, and for responses that are under way.
LEFT_FOR: Final = 7
#: Requests that last no longer, in seconds, say nothing that the client knew before.
SHORT: Final = 1.0
#: Stands for the moment at which a session begins that reads several replicas, after `joined()`.
NOW: Final = 2**62


@dataclass(frozen=True, slots=True)
class Entry:
    """What the caller demands of one primary and its replicas."""

    #: A replica must include this position; None when nothing is demanded.
    required: Position | Unknown | None = None
    #: The replica that the caller reads, and the life of its server; empty when it reads none, or several.
    replica: str = ""
    life: str = ""
    #: When the caller last wrote or chose, in whole seconds since 1970.
    since: int = 0
    #: When the caller left the replica, or was found to read several, in whole seconds since 1970; 0 while he reads it.
    left: int = 0

    def joined(self, other: Entry) -> Entry:
        """Return what demands no less than either; of two replicas that were read, the primary has what both have."""
        since = max(self.since, other.since)
        if not self.has_read or not other.has_read:
            read = self if self.has_read else other
            return Entry(_joined(self.required, other.required), read.replica, read.life, since, read.left)
        left = max(self.left or NOW, other.left or NOW)
        if (self.replica, self.life) != (other.replica, other.life):
            return Entry(UNKNOWN, since=since, left=left)
        # One that is still read was not left.
        left = 0 if self.replica and left == NOW else left
        return Entry(_joined(self.required, other.required), self.replica, self.life, since, left)

    def __bool__(self) -> bool:
        return self.required is not None or self.has_read

    def reads(self, replica: str, life: str) -> bool:
        """Say whether the caller reads *replica*, and has not left it."""
        return self.replica == replica and self.life == life and not self.left

    @property
    def has_read(self) -> bool:
        """Say whether the caller reads a replica, or several, or has until a moment ago."""
        return bool(self.replica or self.left)

    def begun(self, now: int) -> Entry:
        """Return it for a session that begins *now*."""
        return replace(self, left=now) if self.left == NOW else self

    def parted(self, before: Entry, now: int, lasting: int = LEFT_FOR) -> Entry:
        """Return what the client must know that brought *before*, when the session of its request ends *now* with this.

        Other requests of the same client may go on reading the replica that this one has left, and until its response
        has arrived, more of them begin. What they see there, nobody has told this one.
        """
        is_same = (self.replica, self.life) == (before.replica, before.life)
        if not before.replica or is_same or (before.left and now >= before.left + lasting):
            return self
        required = UNKNOWN if self.replica else self.required
        return Entry(required, before.replica, before.life, now, before.left or now)


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

    def begun(self, now: int) -> Vector:
        """Return it for a session that begins *now*, in whole seconds since 1970."""
        return self._with({alias: entry.begun(now) for alias, entry in self.entries.items()})

    def parted(self, before: Vector, now: int) -> Vector:
        """Return what the client must know that brought *before*, when the session of its request ends *now* with this.

        Of what the session reads no more, its client's other requests may still read.
        """
        after = dict.fromkeys(before.entries, Entry()) | dict(self.entries)
        parted = {alias: entry.parted(before.entries.get(alias, Entry()), now) for alias, entry in after.items()}
        return self._with({alias: entry for alias, entry in parted.items() if entry})

    def since(self, earliest: int) -> Vector:
        """Return what is left of it when everything older than *earliest* has passed."""
        return self._with({alias: entry for alias, entry in self.entries.items() if entry.since >= earliest})

    def _with(self, entries: Mapping[Alias, Entry]) -> Vector:
        return replace(self, entries=MappingProxyType(dict(entries)))
