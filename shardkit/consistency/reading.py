"""From which database does this statement read?

Asked once for each primary that a statement reads. The answer comes from memory: what the session demands, what the
monitor has found, and what the caller wishes; only a connection that was just opened is asked whether it is the one.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit import conf
from shardkit.consistency.pool import pool
from shardkit.consistency.session import LEFT, current
from shardkit.consistency.wishes import NO_WISH, Wish
from shardkit.errors import NoFreshReplica, PrimaryReadsExceeded
from shardkit.replication.selection import Choice, Need
from shardkit.topology.names import LOGICAL, Alias
from shardkit.topology.nodes import Role
from shardkit.vendors.replication.base import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

#: How every reason of the session begins to read the primary.
STICKY: Final = "sticky"
#: Why a database is read where it is written, when rows of others are put together there.
FINISHED: Final = "it is finished there"
#: How often, in seconds, a read that waits looks again.
LOOKS_AGAIN: Final = 0.005


@dataclass(slots=True)
class Reading:
    """Where one statement reads each database: one choice for each, however often it asks."""

    wish: Wish = NO_WISH
    #: Databases that are read where they are written.
    only_primary: frozenset[Alias] = frozenset()
    choices: dict[Alias, Choice] = field(default_factory=dict)
    _connections: dict[Alias, BaseDatabaseWrapper] = field(default_factory=dict)
    #: Replicas that have failed.
    _excluded: set[Alias] = field(default_factory=set)
    #: Primaries of which a replica lacked a table or a column: if no other one answers, they have the last word.
    _lacking: set[Alias] = field(default_factory=set)
    #: Primaries that answer what a replica could not, and why it could not.
    _unanswered: dict[Alias, str] = field(default_factory=dict)
    #: Primaries that are read only because all their replicas are lost.
    _taken_over: list[Alias] = field(default_factory=list)

    def connection(self, primary: Alias) -> BaseDatabaseWrapper:
        """Return the connection on which to read what *primary* holds: its own, or that of a replica."""
        connection = self._connections.get(primary)
        if connection is None:
            choice, connection = self._chosen(primary)
            if choice.is_lost:
                self._take_over(primary, choice)
            self.choices[primary], self._connections[primary] = choice, connection
        return connection

    def _take_over(self, primary: Alias, choice: Choice) -> None:
        cap = conf.get_settings().primary_read_cap
        if cap is None or primary in self._taken_over:
            return
        if not _taken_over.take(primary, cap):
            raise PrimaryReadsExceeded(primary, choice.why, cap)
        self._taken_over.append(primary)

    def end(self) -> None:
        """Let another read have the place that this one took on a primary."""
        while self._taken_over:
            _taken_over.give_back(self._taken_over.pop())

    def looked_up(self, primary: Alias) -> Choice:
        """Return what would be chosen now; nothing is opened or noted."""
        reason = self._why_primary(primary) if primary not in self.only_primary else FINISHED
        if reason is not None:
            return Choice(primary, Role.PRIMARY, reason)
        pool().watch(primary)
        need = current().need(primary, self.wish.max_lag)
        if not isinstance(need, Need):
            return Choice(primary, Role.PRIMARY, need)
        choice = pool().choose(primary, need, frozenset())
        return replace(choice, alias=primary, role=Role.PRIMARY) if choice.moved else choice

    def done(self) -> None:
        """Note in the session what was read; what it has seen on a primary is waited for from now on."""
        session = current()
        for primary, choice in self.choices.items():
            if choice.role is Role.REPLICA:
                pool().succeeded(choice)
                session.note_read(primary, choice)
            elif choice.why.startswith(STICKY):
                pool().kick(primary)

    def lost(self, error: BaseException) -> bool:
        """Say whether *error* came from a replica that failed, so that the statement can be tried elsewhere."""
        replicas = [(primary, choice) for primary, choice in self.choices.items() if choice.role is Role.REPLICA]
        found = [(primary, choice, pool().failure(choice, error)) for primary, choice in replicas]
        failures = [(primary, choice, failure) for primary, choice, failure in found if failure is not None]
        for primary, choice, failure in failures:
            self._leave_out(primary, choice, failure)
        if failures:
            self.choices.clear()
            self._connections.clear()
        return bool(failures)

    def broke_off(self, error: BaseException) -> None:
        """Note that *error* came after some rows had been handed out, so that nobody else can give the others."""
        aliases = {primary: choice.alias for primary, choice in self.choices.items()}
        if self.lost(error):
            for primary, alias in aliases.items():
                if alias in self._excluded:
                    current().leave(primary)

    def _leave_out(self, primary: Alias, choice: Choice, failure: Failure) -> None:
        """Try the statement without the replica that was chosen, or on the primary if no replica can be asked instead.

        Who reads one that only lacks what a statement names goes on reading it, but for this statement.
        """
        is_behind = failure is Failure.BEHIND
        if failure is Failure.READ_ONLY or (is_behind and self._is_kept(primary)):
            self._unanswered[primary] = f"{choice.alias} cannot answer: {failure.value}"
        else:
            self._excluded.add(choice.alias)
            self._lacking |= {primary} if is_behind else set()

    def _is_kept(self, primary: Alias) -> bool:
        need = current().need(primary)
        return isinstance(need, Need) and need.previous is not None

    def _chosen(self, primary: Alias) -> tuple[Choice, BaseDatabaseWrapper]:
        if primary in self.only_primary:
            return _on_primary(primary, FINISHED)
        if primary not in conf.get_settings().replicas:
            return _on_primary(primary, "it has no replicas")
        reason = self._unanswered.get(primary) or self._why_primary(primary)
        if reason is not None:
            return _on_primary(primary, reason)
        while True:
            choice = self._fresh(primary)
            if choice.role is Role.PRIMARY:
                return choice, pool().connection(primary, choice)
            connection = pool().opened(primary, choice)
            if connection is not None:
                return choice, connection
            self._excluded.add(choice.alias)

    def _why_primary(self, primary: Alias) -> str | None:
        return _must_be_primary(primary, self.wish) or pool().why_unmeasured(primary)

    def _fresh(self, primary: Alias) -> Choice:
        """Choose by what is known now; wait or refuse where the wish or the settings say so."""
        choice, is_session = self._by_session(primary)
        if choice.role is Role.REPLICA:
            return choice
        what = self._when_stale(primary)
        until = time.monotonic() + (self._patience(primary) if what == "wait" else 0)
        while _may_get_replica(choice, until):
            pool().kick(primary)
            time.sleep(LOOKS_AGAIN)
            choice, is_session = self._by_session(primary)
        if choice.role is Role.PRIMARY and what == "raise" and not is_session:
            raise NoFreshReplica(primary, choice.why)
        return choice

    def _when_stale(self, primary: Alias) -> str:
        settings = conf.get_settings()
        if primary in self._lacking:
            return "primary"
        return self.wish.when_stale or settings.when_stales.get(primary, settings.when_stale)

    def _patience(self, primary: Alias) -> float:
        """Return for how many seconds it may wait; not for replicas that all have failed."""
        settings = conf.get_settings()
        if self._excluded.issuperset(settings.replicas.get(primary, ())):
            return 0.0
        return settings.stale_waits.get(primary, settings.stale_wait) if self.wish.wait is None else self.wish.wait

    def _by_session(self, primary: Alias) -> tuple[Choice, bool]:
        """Choose, and say whether it is the session that wants the primary."""
        pool().watch(primary)
        session = current()
        need = session.need(primary, self.wish.max_lag)
        if not isinstance(need, Need):
            return Choice(primary, Role.PRIMARY, need, is_lost=pool().are_lost(primary)), True
        choice = pool().choose(primary, need, frozenset(self._excluded))
        if choice.moved:
            session.leave(primary)
            left = LEFT.format(need.previous[0] if need.previous else "its replica")
            return replace(choice, alias=primary, role=Role.PRIMARY, why=f"{left}, {choice.why}", moved=False), True
        return choice, choice.role is Role.PRIMARY and choice.why.startswith(STICKY)


def _may_get_replica(choice: Choice, until: float) -> bool:
    """Say whether a read that got the primary by *choice* may get a replica of it *until* then."""
    rest = until - time.monotonic()
    return choice.role is Role.PRIMARY and not choice.is_lost and current().bound_for(choice.alias) < rest


class _TakenOver:
    """How many reads of this process are on each primary because all its replicas are lost."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[Alias] = Counter()

    def take(self, primary: Alias, cap: int) -> bool:
        """Take a place on *primary*, unless all of them are taken."""
        with self._lock:
            if self._counts[primary] >= cap:
                return False
            self._counts[primary] += 1
            return True

    def give_back(self, primary: Alias) -> None:
        """Let another read have the place."""
        with self._lock:
            self._counts[primary] -= 1

    def begin_anew(self) -> None:
        """Forget the reads of the parent in a child, where nobody else releases what it had locked."""
        self._lock = Lock()
        self._counts.clear()


_taken_over: Final = _TakenOver()
os.register_at_fork(after_in_child=_taken_over.begin_anew)


def _on_primary(primary: Alias, why: str) -> tuple[Choice, BaseDatabaseWrapper]:
    choice = Choice(primary, Role.PRIMARY, why)
    return choice, pool().connection(primary, choice)


def _must_be_primary(primary: Alias, wish: Wish) -> str | None:
    if not conf.get_settings().reads_replicas:
        return "REPLICA_READS is False"
    if wish.primary:
        return "primary() asks for it"
    if _forced.get():
        return "use_primary() asks for it"
    asked = pool()
    if asked.is_in_transaction(connections[LOGICAL]) or asked.is_in_transaction(connections[primary]):
        return "it is inside a transaction"
    return None


_statement: Final[ContextVar[Reading | None]] = ContextVar("shardkit_reading", default=None)
_forced: Final[ContextVar[bool]] = ContextVar("shardkit_use_primary", default=False)


def connection_of(primary: Alias) -> Any:
    """Return the connection on which the statement that runs now reads what *primary* holds."""
    reading = _statement.get()
    return connections[primary] if reading is None else reading.connection(primary)


@contextmanager
def reading_by(reading: Reading) -> Iterator[Reading]:
    """Let *reading* choose for the statement inside the block."""
    token = _statement.set(reading)
    try:
        yield reading
    finally:
        _statement.reset(token)


@contextmanager
def use_primary() -> Iterator[None]:
    """Read primaries inside the block."""
    token = _forced.set(True)
    try:
        yield
    finally:
        _forced.reset(token)
