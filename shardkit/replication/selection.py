"""Which replica is fresh enough for this read?

Decided by what is known: nothing is asked, and nobody waits.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shardkit import conf
from shardkit.replication import health, readings
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


def choose(
    primary: Alias,
    need: Need,
    *,
    exclude: frozenset[Alias] = frozenset(),
    now: Callable[[], float] = time.monotonic,
    draw: Callable[[], float] = random.random,
) -> Choice:
    """Choose among *primary* and its replicas; those of *exclude* cannot be read just now."""
    settings = conf.get_settings()
    most = settings.max_lags.get(primary, settings.max_lag)
    if need.max_lag is not None and need.max_lag < most:
        most = need.max_lag
    rule = _Rule(need.includes, most, oldest(settings.lag_interval), now(), exclude)
    replicas = settings.replicas.get(primary, ())
    if need.previous is not None:
        choice = _kept(primary, need.previous, replicas, rule)
        return replace(choice, is_lost=are_lost(primary, now=now)) if choice.moved else choice
    fresh: dict[Alias, Reading] = {}
    whys: dict[str, None] = {}
    for alias in replicas:
        found, why = rule.judged(alias)
        if why is not None:
            whys[why] = None
        elif found is not None:
            fresh[alias] = found
    if not fresh:
        why = "; ".join(whys) or "it has no replicas"
        return Choice(primary, Role.PRIMARY, why, is_lost=are_lost(primary, now=now))
    alias = _drawn(tuple(fresh), settings.weights, draw())
    return Choice(alias, Role.REPLICA, rule.freshness(fresh[alias]), fresh[alias].life)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a replica stands for a caller who has written and seen nothing."""

    replica: Alias
    may_read: bool
    why: str
    #: How far it certainly is; None when that is not known.
    position: Position | None


def standings(primary: Alias, *, now: Callable[[], float] = time.monotonic) -> list[Standing]:
    """Say of each replica of *primary* whether it may be read, and why."""
    settings = conf.get_settings()
    most = settings.max_lags.get(primary, settings.max_lag)
    rule = _Rule(None, most, oldest(settings.lag_interval), now(), frozenset())
    found = []
    for alias in settings.replicas.get(primary, ()):
        reading, why = rule.judged(alias)
        fresh = rule.freshness(reading) if why is None and reading is not None else ""
        found.append(Standing(alias, why is None, why or fresh, reading.position if reading else None))
    return found


def are_lost(primary: Alias, *, now: Callable[[], float] = time.monotonic) -> bool:
    """Say whether none of the replicas of *primary* answers, so that it takes over all their reads."""
    settings = conf.get_settings()
    replicas, max_age, moment = settings.replicas.get(primary, ()), oldest(settings.lag_interval), now()
    return bool(replicas) and all(why_lost(alias, readings.latest(alias), moment, max_age) for alias in replicas)


def oldest(interval: float) -> float:
    """Return how old a reading may be, in seconds, that is taken every *interval*."""
    return INTERVALS * interval + 1


def why_lost(alias: Alias, reading: Reading | None, now: float, max_age: float) -> str | None:
    """Say why the replica *alias* does not answer; None if it does, or if nobody has had the time to ask it."""
    if banned := health.banned_for(alias):
        return f"banned {math.ceil(banned)} s"
    if reading is not None and now - reading.taken > max_age:
        return f"its reading is {now - reading.taken:.1f} s old"
    return None


def _kept(primary: Alias, previous: tuple[Alias, str], replicas: Sequence[Alias], rule: _Rule) -> Choice:
    """Stay with the *previous* replica and its life, or go to the primary."""
    alias, life = previous
    found = readings.latest(alias)
    why = f"it follows {primary} no more" if alias not in replicas else why_lost(alias, found, rule.now, rule.max_age)
    if why is None and found is not None and found.life != life:
        why = f"{alias} was started again"
    why = why or rule.why_not(alias, found)
    if why is None and found is not None:
        return Choice(alias, Role.REPLICA, rule.freshness(found), life)
    return Choice(primary, Role.PRIMARY, str(why), moved=True)


@dataclass(slots=True)
class _Rule:
    """What every replica is measured by, and when."""

    includes: Position | None
    max_lag: float
    max_age: float
    now: float
    exclude: frozenset[Alias]

    def judged(self, alias: Alias) -> tuple[Reading | None, str | None]:
        """Return what is known of the replica *alias*, and why it cannot be read; None if it can."""
        found = readings.latest(alias)
        return found, why_lost(alias, found, self.now, self.max_age) or self.why_not(alias, found)

    def why_not(self, alias: Alias, reading: Reading | None) -> str | None:
        """Say why the replica *alias*, which answers, cannot be read; None if it can."""
        if alias in self.exclude:
            return "it cannot be read just now"
        if reading is None:
            return "no reading yet"
        if not reading.is_replica:
            return "it follows no primary"
        return self._why_stale(reading)

    def _why_stale(self, reading: Reading) -> str | None:
        if reading.position is None or reading.behind is None:
            return f"lag unknown{f': {reading.why}' if reading.why else ''}"
        if self.includes is not None and not reading.position.includes(self.includes):
            return f"sticky until {self.includes}"
        lag = reading.behind + self.now - reading.taken
        return f"lag {_more_than(self.max_lag, lag)} s > {self.max_lag:g} s" if lag > self.max_lag else None

    def freshness(self, reading: Reading) -> str:
        """Say how fresh a replica is that can be read."""
        return f"fresh ({(reading.behind or 0.0) + self.now - reading.taken:.1f} s behind)"


def _more_than(limit: float, seconds: float) -> str:
    """Write *seconds* so that the text, too, says more than *limit*."""
    text = f"{seconds:.1f}"
    return text if float(text) > limit else f"{seconds:.3g}"


def _drawn(names: Sequence[Alias], weights: Mapping[Alias, float], chance: float) -> Alias:
    """Draw one of *names* by weight, with a *chance* from 0 to 1; all alike if none weighs anything."""
    if len(names) == 1:
        return names[0]
    shares = [weights.get(name, 1.0) * health.share(name) for name in names]
    whole = sum(shares)
    if not whole:
        return names[min(int(chance * len(names)), len(names) - 1)]
    rest = chance * whole
    for name, share in zip(names, shares, strict=True):
        rest -= share
        if rest < 0:
            return name
    return max(zip(shares, names, strict=True))[1]  # only the rounding of the sum leads here
