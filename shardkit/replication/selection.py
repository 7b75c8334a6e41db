"""Which replica is fresh enough for this read?

Decided by what is known: nothing is asked, and nobody waits.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shardkit import conf
from shardkit.replication import health, readings
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shardkit.positions.position import Position
    from shardkit.replication.readings import Reading

#: A reading that is older than this many intervals and a second says nothing about now.
INTERVALS: Final = 3


@dataclass(frozen=True, slots=True)
class Need:
    """What a replica must have for the caller."""

    #: None: nothing is demanded.
    includes: Position | None = None
    #: In seconds; None leaves it to the settings.
    max_lag: float | None = None
    #: The replica that the caller reads, and the life of its server.
    previous: tuple[Alias, str] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The database that answers, and why."""

    alias: Alias
    role: Role
    why: str
    life: str = ""
    #: The caller's replica cannot go on.
    moved: bool = False
    #: No replica answers at all.
    is_lost: bool = False


def choose(primary: Alias, need: Need, *, exclude: frozenset[Alias] = frozenset()) -> Choice:
    """Choose among *primary* and its replicas; those of *exclude* have just failed."""
    settings, now = conf.get_settings(), time.monotonic()
    most = settings.max_lags.get(primary, settings.max_lag)
    rule = _Rule(
        need.includes,
        most if need.max_lag is None else min(most, need.max_lag),
        settings.lag_interval * INTERVALS + 1,
        now,
        exclude,
    )
    whys: dict[Alias, str] = {}
    if need.previous is not None:
        alias, life = need.previous
        found = readings.latest(alias)
        why = f"{alias} was started again" if found and found.life != life else rule.why_not(alias, found)
        if why is None and found is not None:
            return Choice(alias, Role.REPLICA, f"fresh ({rule.staleness(found):.1f} s behind)", life)
        return Choice(primary, Role.PRIMARY, str(why), moved=True)
    fresh: dict[Alias, Reading] = {}
    for alias in settings.replicas.get(primary, ()):
        found = readings.latest(alias)
        why = rule.why_not(alias, found)
        if why is None and found is not None:
            fresh[alias] = found
        else:
            whys[alias] = str(why)
    if not fresh:
        lost = all(why.startswith(LOST) for why in whys.values())
        return Choice(primary, Role.PRIMARY, "; ".join(dict.fromkeys(whys.values())), is_lost=lost)
    alias = _weighted(fresh, settings.weights)
    return Choice(alias, Role.REPLICA, f"fresh ({rule.staleness(fresh[alias]):.1f} s behind)", fresh[alias].life)


#: How a reason begins that says that a replica does not answer, rather than that it is late.
LOST: Final = ("banned", "it failed", "no reading", "its reading")


@dataclass(frozen=True, slots=True)
class _Rule:
    includes: Position | None
    max_lag: float
    max_age: float
    now: float
    exclude: frozenset[Alias]

    def staleness(self, reading: Reading) -> float:
        return (reading.behind or 0.0) + self.now - reading.taken

    def why_not(self, alias: Alias, reading: Reading | None) -> str | None:
        """Say why the replica *alias* cannot be read, None if it can."""
        if alias in self.exclude:
            return "it failed just now"
        if banned := health.banned_for(alias):
            return f"banned {banned:.0f} s"
        if reading is None:
            return "no reading yet"
        if self.now - reading.taken > self.max_age:
            return f"its reading is {self.now - reading.taken:.1f} s old"
        return self._why_stale(reading)

    def _why_stale(self, reading: Reading) -> str | None:
        if not reading.is_replica:
            return "it follows no primary"
        if reading.position is None or reading.behind is None:
            return f"lag unknown{f': {reading.why}' if reading.why else ''}"
        if self.includes is not None and not reading.position.includes(self.includes):
            return f"sticky until {self.includes}"
        lag = self.staleness(reading)
        return f"lag {lag:.1f} s > {self.max_lag:g} s" if lag > self.max_lag else None


def _weighted(fresh: Mapping[Alias, Reading], weights: Mapping[Alias, float]) -> Alias:
    names = list(fresh)
    shares = [weights.get(name, 1.0) * health.share(name) for name in names]
    if not any(shares):
        shares = [1.0] * len(names)
    return random.choices(names, shares)[0]  # noqa: S311 - spreads load, guards nothing
