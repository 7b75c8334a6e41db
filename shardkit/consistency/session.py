"""What has this caller written and read, and what must it see?

A session is where the caller is: a request, a task, a websocket. What runs outside of any scope shares one session for
the whole process, so that a write is seen by whatever comes after it, on any thread and in any task.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from django.utils import timezone

from shardkit import conf
from shardkit.consistency.pool import pool
from shardkit.consistency.vectors import LEFT_FOR, UNKNOWN, Entry, Unknown, Vector
from shardkit.replication.selection import Need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shardkit.positions.position import Position
    from shardkit.replication.selection import Choice
    from shardkit.topology.names import Alias

#: Why a session reads the primary while its position is unknown.
JUST_WROTE: Final = "sticky: it wrote just now"
JUST_READ: Final = "sticky: it read the primary just now"
#: Why a session reads the primary when its replica cannot go on, and for a while after that.
LEFT: Final = "sticky: it left {0}"
HAS_LEFT: Final = LEFT.format("its replica a moment ago")
#: Beyond twice the greatest lag that is admitted, what was demanded has passed; and clocks may differ by this.
CLOCKS_DIFFER: Final = 5
#: How often, in seconds, a session looks whether what it demands has to live longer.
COMPARED_EVERY: Final = 0.5


@dataclass(frozen=True, slots=True)
class _State:
    """What a session demands of one primary and its replicas."""

    entry: Entry
    #: The moment, on this machine's monotonic clock, whose position is demanded while that is unknown; a moment after
    #: some primary was there, when it is known.
    moment: float = 0.0
    why: str = JUST_WROTE
    #: The moment when a read last compared the age of the entry with the clock of the day.
    compared: float = -math.inf
    #: The caller has brought it, and nothing was done about it since.
    is_brought: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """The positions of one caller. Safe to use from several threads and tasks."""

    #: Nothing is known about this caller, so the primaries answer.
    suspicious: bool = False
    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = lambda: timezone.now().timestamp()
    _states: dict[Alias, _State] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    #: Grows with every change, so that whoever carries the session sees whether it has to.
    changes: int = 0
    #: A replica was read; whoever carries the session may take that back when he has said so.
    has_read: bool = False

    @classmethod
    def from_vector(cls, vector: Vector, *, suspicious: bool = False) -> Session:
        """Return the session that *vector* was taken from; one that is *suspicious* reads the primaries."""
        session = cls(suspicious=suspicious)
        for alias, entry in vector.begun(int(session.today())).since(session._earliest()).entries.items():
            if alias in conf.get_settings().replicas:
                session._states[alias] = _State(entry, session.now(), is_brought=True)
        return session

    def vector(self) -> Vector:
        """Return what has to travel with the caller.

        What all replicas have is demanded until its time is over, like the rest: another process may know of more of
        them, and one that is started again may be further behind than it was.
        """
        entries = {alias: self._known(alias, state).entry for alias, state in list(self._states.items())}
        return Vector({alias: entry for alias, entry in entries.items() if entry}).since(self._earliest())

    def join(self, vector: Vector) -> None:
        """Demand what another session does; of two replicas that were read, the primary has what both have."""
        for alias, entry in vector.entries.items():
            if alias in conf.get_settings().replicas:
                with self._lock:
                    known = self._states.get(alias)
                    joined = (known.entry if known else Entry()).joined(entry).begun(int(self.today()))
                    if known is None or joined != known.entry:
                        self._states[alias] = _State(joined, self.now())
                        self.changes += 1

    def note_write(self, alias: Alias) -> None:
        """Demand of all replicas of *alias* what its primary has by now; call it after the COMMIT."""
        self._demand_present(alias, JUST_WROTE)

    def note_seen(self, alias: Alias) -> None:
        """Demand the same because the caller has read the primary: what it saw there must not be gone again."""
        self._demand_present(alias, JUST_READ)

    def _demand_present(self, alias: Alias, why: str) -> None:
        if alias not in conf.get_settings().replicas:
            return
        with self._lock:
            known = self._states.get(alias)
            if known is not None and known.why == JUST_WROTE and known.entry.required is UNKNOWN:
                why = JUST_WROTE
            entry = replace(known.entry if known else Entry(), required=UNKNOWN, since=int(self.today()))
            self._states[alias] = _State(entry, self.now(), why)
            self.changes += 1

    def note_read(self, alias: Alias, choice: Choice) -> None:
        """Note that the caller has read the replica that was chosen."""
        self.has_read = True
        known = self._states.get(alias)
        if known is not None and known.entry.reads(choice.alias, choice.life):
            if self.now() > known.compared + COMPARED_EVERY:
                self._live_on(alias)
            return
        with self._lock:
            self.changes += 1
            known = self._states.get(alias)
            entry = known.entry if known else Entry()
            if entry.has_read and (entry.replica, entry.life) != (choice.alias, choice.life):
                self._states[alias] = self._leaving(known)  # what two replicas have that were read, the primary has
                return
            entry = Entry(entry.required, choice.alias, choice.life, int(self.today()))
            self._states[alias] = _State(entry, known.moment if known else 0.0, known.why if known else JUST_WROTE)

    def _live_on(self, alias: Alias) -> None:
        """Let what is known of *alias* live longer, since its replica was read again.

        It has to outlive this read by the greatest lag that is admitted: after that every replica has what was seen.
        It lives twice as long and more, so it is renewed when half of that is over, and the client hears of it then.
        """
        today = int(self.today())
        with self._lock:
            known = self._states.get(alias)
            if known is None:
                return
            is_old = known.entry.since < today - _longest_lag()
            entry = replace(known.entry, since=today) if is_old else known.entry
            self._states[alias] = replace(known, entry=entry, compared=self.now())
            self.changes += is_old

    def leave(self, alias: Alias) -> None:
        """Demand what the primary has by now, since the replica that the caller reads cannot go on."""
        with self._lock:
            self._states[alias] = self._leaving(self._states.get(alias))
            self.changes += 1

    def _leaving(self, known: _State | None) -> _State:
        """Return what is demanded then. Other requests may still read a replica that was left before this one began."""
        before = known.entry if known else Entry()
        entry = replace(before if before.left else Entry(), required=UNKNOWN, since=int(self.today()))
        return _State(entry, self.now(), LEFT.format(before.replica or "its replica"))

    def need(self, alias: Alias, max_lag: float | None = None) -> Need | str:
        """Return what a replica of *alias* must have for this caller, or why the primary has to answer."""
        if self.suspicious:
            return "sticky: nothing is known about this session"
        known = self._states.get(alias)
        if known is None:
            return Need(max_lag=max_lag)
        if known.entry.left and self.today() >= known.entry.left + LEFT_FOR:
            known = self._move_on(alias)
        known = self._known(alias, known)
        entry = known.entry
        if entry.left and not entry.replica:
            return HAS_LEFT
        if isinstance(entry.required, Unknown):
            return known.why
        previous = (entry.replica, entry.life) if entry.replica else None
        return Need(includes=entry.required, max_lag=max_lag, previous=previous)  # type: ignore[arg-type]

    def bound_for(self, alias: Alias) -> float:
        """Return for how many seconds, at least, the primary answers this caller, whatever its replicas get."""
        if self.suspicious:
            return math.inf
        known = self._states.get(alias)
        if known is None or not known.entry.left or known.entry.replica:
            return 0.0
        return max(0.0, known.entry.left + LEFT_FOR - self.today())

    def _move_on(self, alias: Alias) -> _State:
        """Demand what the primary has by now of any replica: by now nobody reads the one that was left."""
        state = _State(Entry(UNKNOWN, since=int(self.today())), self.now(), HAS_LEFT)
        with self._lock:
            self._states[alias] = state
            self.changes += 1
        return state

    def settle_all(self) -> None:
        """Ask the primaries for the positions that this caller made unknown: one short statement for each.

        One that was unknown before is left to the monitor, since this caller has not used that primary.
        """
        for alias, state in list(self._states.items()):
            known = self._known(alias, state)
            is_asked = isinstance(known.entry.required, Unknown) and not known.is_brought
            if is_asked and known.entry.since >= self._earliest():
                position = pool().capture(alias)
                if position is not None:
                    self._learn(alias, known, position)

    def require(self, alias: Alias, position: Position) -> None:
        """Demand that whatever answers for *alias* includes *position*."""
        with self._lock:
            known = self._states.get(alias)
            wanted = Entry(position, since=int(self.today()))
            entry = known.entry.joined(wanted) if known else wanted
            self._states[alias] = _State(entry, self.now())
            self.changes += 1

    def _known(self, alias: Alias, state: _State) -> _State:
        """Replace an unknown position by that which the monitor has found since, and one that can never come."""
        required = state.entry.required
        if isinstance(required, Unknown):
            position = pool().sampled_after(alias, state.moment)
            return state if position is None else self._learn(alias, state, position)
        if required is not None:
            position = pool().successor(alias, required, state.moment)
            if position is not None:
                with self._lock:
                    self.changes += 1
                return self._learn(alias, state, position)
        return state

    def _learn(self, alias: Alias, state: _State, position: Position) -> _State:
        learned = _State(replace(state.entry, required=position), self.now())
        with self._lock:
            if self._states.get(alias) is state:
                self._states[alias] = learned
        return learned

    def unlock(self) -> None:
        """Be usable in a child of the process, in whose parent another thread may have held the lock."""
        self._lock = Lock()

    def _earliest(self) -> int:
        return int(self.today() - 2 * _longest_lag() - CLOCKS_DIFFER)


def _longest_lag() -> float:
    """Return the greatest lag, in seconds, of any replica that may be read."""
    settings = conf.get_settings()
    return max((settings.max_lag, *settings.max_lags.values()))


_process: Final = Session()
os.register_at_fork(after_in_child=_process.unlock)
_current: Final[ContextVar[Session | None]] = ContextVar("shardkit_session", default=None)


def current() -> Session:
    """Return the session of the scope, else that of the process."""
    return _current.get() or _process


@contextmanager
def session_scope(session: Session) -> Iterator[Session]:
    """Make *session* the current one inside the block, and only there."""
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)
