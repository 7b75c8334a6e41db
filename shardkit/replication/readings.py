"""What does this process know of primaries and their replicas, and since when?

The monitor writes, requests read. Every value is replaced as a whole, and each has one writer, the thread that looks at
its database; so nobody takes a lock. Times are seconds of this machine's monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from operator import attrgetter
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
    #: When the connection was about to be opened that was asked: the alias leads where it led then.
    opened: float = 0.0
    #: Which one of its server's databases was asked.
    database: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """What samples of its primary have shown of one life of a replica.

    A sample that began when a position of the replica was known includes that, if one follows the other. If it does
    not, the replica has a history of its own, though the primary may get as far later; so that is not forgotten.
    """

    life: str = ""
    #: A position that no sample was compared with yet, and a moment at which it was known.
    waiting: Position | None = None
    known: float = 0.0
    #: Whether it was seen to follow this primary.
    follows: bool = False
    #: What it had and the primary had not.
    ahead: Position | None = None

    @property
    def why_not(self) -> str:
        """Why nothing can be said of how far it is behind; empty if something can."""
        if self.ahead is not None:
            return "it is ahead of its primary"
        return "" if self.follows else "it was not yet compared with its primary"

    def seen(self, life: str, position: Position | None, known: float, newest: Sampled | None) -> Compared:
        """Return what is known after one more look, and with the *newest* sample of before that look."""
        if life != self.life or self._went_back(position):
            return Compared(life, position, known)
        if self.waiting is None:
            return replace(self, waiting=position, known=known)
        if self.ahead is not None or newest is None or newest.began <= self.known:
            return self
        if self.waiting.exceeds(newest.position):
            return replace(self, ahead=self.waiting)
        is_comparable = self.waiting.joined(newest.position) is not None
        return replace(self, waiting=position, known=known, follows=self.follows or is_comparable)

    def _went_back(self, position: Position | None) -> bool:
        return self.ahead is not None and position is not None and not position.includes(self.ahead)


_readings: Final[dict[Alias, Reading]] = {}
#: Oldest first; each includes the ones before it.
_samples: Final[dict[Alias, tuple[Sampled, ...]]] = {}
_demoted: Final[set[Alias]] = set()
_began: Final = attrgetter("began")


def latest(replica: Alias) -> Reading | None:
    """Return the latest reading of *replica*, None before the first."""
    return _readings.get(replica)


def newest(primary: Alias) -> Sampled | None:
    """Return the newest sample of *primary*, None while there is none."""
    samples = _samples.get(primary)
    return samples[-1] if samples else None


def sampled_after(primary: Alias, moment: float) -> Position | None:
    """Return the first known position of *primary* that was asked for after *moment*, None while there is none."""
    samples = _samples.get(primary, ())
    index = bisect_right(samples, moment, key=_began)
    return samples[index].position if index < len(samples) else None


def lacks(primary: Alias, position: Position, moment: float) -> Sampled | None:
    """Return the newest sample of *primary* if it does not include *position*, which was known before *moment*.

    That was some primary's position before the sample began. So the one that was asked is another one, has lost it, or
    is one of the past that somebody still asks.
    """
    samples = _samples.get(primary)
    if not samples or samples[-1].began <= moment or samples[-1].position.includes(position):
        return None
    return samples[-1]


def behind(primary: Alias, position: Position, now: float) -> float | None:
    """Return how many seconds a replica at *position* is behind *primary* at most; None when that is not known.

    It has what was committed before the newest sample that it includes began, and nothing is said of what came later.
    """
    samples = _samples.get(primary, ())
    index = bisect_left(samples, True, key=lambda sampled: not position.includes(sampled.position))
    return max(0.0, now - samples[index - 1].began) if index else None


def is_demoted(primary: Alias) -> bool:
    """Say whether the alias *primary* was found to lead to a database that takes no writes."""
    return primary in _demoted


def note(replica: Alias, reading: Reading) -> None:
    """Keep a reading of *replica*."""
    _readings[replica] = reading


def note_sample(primary: Alias, sampled: Sampled) -> None:
    """Keep a sample of *primary*; forget those of another incarnation, with which none can be compared."""
    _demoted.discard(primary)
    known = _samples.get(primary, ())
    if known and not sampled.position.includes(known[-1].position):
        known = ()
    elif len(known) > 1 and known[-1].position == known[-2].position == sampled.position:
        known = known[:-1]  # while nothing is written, the first sample and the last say all
    _samples[primary] = _thinned((*known, sampled))


def note_demoted(primary: Alias) -> None:
    """Note that *primary* takes no writes; forget its samples, since another one may have gone on without it."""
    _demoted.add(primary)
    _samples.pop(primary, None)


def note_unnumbered(primary: Alias) -> None:
    """Note that *primary* cannot say where it is; forget its samples, since it could, and has begun anew."""
    _demoted.discard(primary)
    _samples.pop(primary, None)


def forget(*aliases: Alias) -> None:
    """Forget what is known of *aliases*; everything, if none is named."""
    for alias in aliases or (*_readings, *_samples, *_demoted):
        _readings.pop(alias, None)
        _samples.pop(alias, None)
        _demoted.discard(alias)


def _thinned(samples: tuple[Sampled, ...]) -> tuple[Sampled, ...]:
    """Forget each second one of the older half when there are too many."""
    if len(samples) <= SAMPLES:
        return samples
    half = SAMPLES // 2
    return (*samples[:half:2], *samples[half:])
