"""What does this process know of primaries and their replicas, and since when?

The monitor writes, requests read; a value is replaced as a whole, so that reading takes no lock. Times are seconds of
this machine's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shardkit.positions.position import Position
    from shardkit.topology.names import Alias

#: How many samples of a primary are remembered; the interval between the older ones grows.
SAMPLES: Final = 256


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found on a replica."""

    #: How far it certainly was; None when that is not known.
    position: Position | None
    #: The server and its start: of another one nothing is known.
    life: str
    #: When it was asked.
    taken: float
    #: How many seconds it was behind then, at most; None when that is not known.
    behind: float | None
    is_replica: bool = True
    #: What went wrong, if something did.
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A position of a primary, and when it was asked for: everything committed before that moment is included."""

    began: float
    position: Position


_lock: Final = Lock()
_readings: dict[Alias, Reading] = {}
_samples: dict[Alias, tuple[Sampled, ...]] = {}
_demoted: dict[Alias, bool] = {}


def latest(replica: Alias) -> Reading | None:
    """Return the latest reading of *replica*, None before the first."""
    return _readings.get(replica)


def note(replica: Alias, reading: Reading) -> None:
    """Keep a reading of *replica*."""
    _readings[replica] = reading


def note_sample(primary: Alias, sampled: Sampled, *, is_writable: bool = True) -> None:
    """Keep a sample of *primary*. Those of another incarnation are forgotten: none can be compared with it."""
    with _lock:
        known = _samples.get(primary, ())
        if known and not sampled.position.includes(known[-1].position):
            known = ()
        elif len(known) > 1 and known[-1].position == known[-2].position == sampled.position:
            known = known[:-1]  # while nothing is written, the first sample and the last say all
        _samples[primary] = _thinned((*known, sampled))
        _demoted[primary] = not is_writable


def _thinned(samples: tuple[Sampled, ...]) -> tuple[Sampled, ...]:
    """Forget each second one of the older half when there are too many."""
    if len(samples) <= SAMPLES:
        return samples
    half = SAMPLES // 2
    return (*samples[:half:2], *samples[half:])


def sampled_after(primary: Alias, moment: float) -> Position | None:
    """Return the first known position of *primary* that was asked for after *moment*."""
    samples = _samples.get(primary, ())
    if not samples or samples[-1].began <= moment:
        return None
    for earlier, later in pairwise(reversed(samples)):
        if later.began <= moment:
            return earlier.position
    return samples[0].position


def behind(primary: Alias, position: Position, now: float) -> float | None:
    """Return how many seconds a replica at *position* is behind *primary* at most; None when that is not known."""
    for sampled in reversed(_samples.get(primary, ())):
        if position.includes(sampled.position):
            return now - sampled.began
    return None


def is_demoted(primary: Alias) -> bool:
    """Say whether the alias *primary* was found to lead to a database that takes no writes."""
    return _demoted.get(primary, False)


def forget() -> None:
    """Forget everything."""
    _readings.clear()
    _samples.clear()
    _demoted.clear()
