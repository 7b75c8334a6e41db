"""Who measures how far replicas are, so that no request has to?

A thread for each database. They start when somebody first reads a primary that has replicas, and end when nobody has
for a while; after a fork the child starts its own. A sample of the primary wakes those that look at its replicas, so
that a replica that follows closely is found to.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from shardkit import conf
from shardkit.replication import health, mirrors, readings
from shardkit.replication.readings import Compared, Reading, Sampled
from shardkit.replication.selection import oldest, why_lost
from shardkit.replication.watching import Watcher
from shardkit.vendors.replication.registry import replication_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position
    from shardkit.topology.names import Alias
    from shardkit.vendors.replication.base import ReplicaState, Sample

logger: Final = logging.getLogger("shardkit.replication")

#: Seconds after which nobody reads a primary any more, as far as the monitor is concerned.
IDLE: Final = 60.0
#: Seconds to wait for threads to end, once before and once after they are cut off from servers that do not answer.
ENDS_WITHIN: Final = 0.12
#: Seconds that a fork waits for threads that ask a server just now; one that hangs holds no lock that matters.
FORKS_WITHIN: Final = 0.1
#: Seconds after which a replica that lacks the newest sample is looked at again; the next time that is longer.
LOOKS_AGAIN: Final = 0.005
GROWS_BY: Final = 3.0
#: Why it is not known how far behind a replica is that was so from the beginning.
LACKS_ALL: Final = "it lacks what its primary had when that was first asked"


class _Group:
    """A primary, its replicas, and the threads that look at them."""

    def __init__(self, primary: Alias, replicas: tuple[Alias, ...]) -> None:
        self.primary, self.replicas = primary, replicas
        self.stopped = Event()
        self.asked = time.monotonic()
        self.is_lost, self.lost_at = False, 0.0
        self._guard = Lock()
        self.followers = [_Follower(alias, self) for alias in replicas]
        self.watchers: list[Watcher] = [_Source(primary, self), *self.followers]

    def start(self) -> None:
        """Start all threads."""
        for watcher in self.watchers:
            watcher.start()

    def stop(self) -> None:
        """Let all threads end, and forget what they have found: it says nothing of a moment when nobody looks."""
        with self._guard:
            self.stopped.set()
            readings.forget(self.primary, *self.replicas)
        for watcher in self.watchers:
            watcher.wake()

    def stop_if_idle(self) -> None:
        """Let all threads end if nobody has asked for a while."""
        if time.monotonic() - self.asked > IDLE:
            with _lock:  # so that no other group begins before what this one has found is forgotten
                if _groups.get(self.primary) is self:
                    del _groups[self.primary]
                self.stop()

    def keep(self, note: Callable[[], None]) -> bool:
        """Let *note* keep what a look has found, unless the threads are to end; say whether it did."""
        with self._guard:
            if self.stopped.is_set():
                return False
            note()
            return True

    def note_lost(self) -> None:
        """Say when the last replica is lost, and when the first is back."""
        max_age, now = oldest(conf.get_settings().lag_interval), time.monotonic()
        whys = [why_lost(alias, readings.latest(alias), now, max_age) for alias in self.replicas]
        is_lost = all(why is not None for why in whys)
        with self._guard:
            was_lost, self.is_lost = self.is_lost, is_lost or (self.is_lost and not self._has_answered())
            if self.is_lost and not was_lost:
                self.lost_at = now
        if self.is_lost and not was_lost:
            told = "; ".join(f"{alias}: {why}" for alias, why in zip(self.replicas, whys, strict=True))
            logger.error("All replicas of %s are lost (%s).", self.primary, told, extra={"alias": self.primary})
        elif was_lost and not self.is_lost:
            logger.info("A replica of %s answers again.", self.primary, extra={"alias": self.primary})

    def _has_answered(self) -> bool:
        """Say whether a replica has answered since they were lost; that a ban is over says nothing of that."""
        found = map(readings.latest, self.replicas)
        return any(reading is not None and reading.taken > self.lost_at for reading in found)


class _Source(Watcher):
    """Looks at a primary."""

    def __init__(self, alias: Alias, group: _Group) -> None:
        super().__init__(alias, group.stopped)
        self.group = group
        self._was_demoted = False

    def look(self, connection: BaseDatabaseWrapper) -> bool:
        """Note where the primary is, and let its replicas be looked at."""
        began = time.monotonic()
        sample = replication_of(connection).sample(connection, self.memo)
        self.memo = sample.memo
        if self.group.keep(partial(self._note, began, sample)):
            self._tell(is_demoted=not sample.is_writable)
            for follower in self.group.followers:
                follower.wake()
            self.group.note_lost()
            self.group.stop_if_idle()
        return sample.is_writable

    def _note(self, began: float, sample: Sample) -> None:
        if not sample.is_writable:
            readings.note_demoted(self.alias)
        elif sample.position is None:
            readings.note_unnumbered(self.alias)
        else:
            readings.note_sample(self.alias, Sampled(began, sample.position, self.opened, sample.database))

    def failed(self, error: Exception) -> None:
        """Say that nothing new is known; without new samples the replicas are ever further behind."""
        if self.failures == 1:
            told = " ".join(str(error).split())
            logger.warning("Where %s is cannot be asked: %s", self.alias, told, extra={"alias": self.alias})
        self.group.stop_if_idle()

    def _tell(self, *, is_demoted: bool) -> None:
        if self.failures:
            logger.info("Where %s is can be asked again.", self.alias, extra={"alias": self.alias})
        if is_demoted and not self._was_demoted:
            logger.error("%s takes no writes: is it the primary no more?", self.alias, extra={"alias": self.alias})
        self._was_demoted = is_demoted


class _Follower(Watcher):
    """Looks at a replica."""

    def __init__(self, alias: Alias, group: _Group) -> None:
        super().__init__(alias, group.stopped)
        self.group = group
        #: How many looks in a row have found it without the newest sample.
        self._misses = 0
        self._compared = Compared()
        #: The life for which the primary was asked to be looked at, so that the two can be compared.
        self._asked = ""
        #: Why it is another database than its primary, as far as somebody was told.
        self._told = ""

    def look(self, connection: BaseDatabaseWrapper) -> bool:
        """Note where the replica is, and how far that is behind its primary."""
        taken, newest = time.monotonic(), readings.newest(self.group.primary)
        state = replication_of(connection).state(connection, self.memo)
        self.memo = state.memo
        elsewhere = self._elsewhere(state, newest)
        found = None if elsewhere else state.position
        why = elsewhere or self._compare(state.life, found, newest) or state.why
        is_there = newest is None or (found is not None and found.includes(newest.position))
        self._misses = 0 if is_there else self._misses + 1
        behind = None if found is None or self._compared.why_not else readings.behind(self.group.primary, found, taken)
        if not why and found is not None and behind is None and newest is not None:
            why = LACKS_ALL
        reading = Reading(found, state.life, taken, behind, state.is_replica, why)
        if self.group.keep(partial(readings.note, self.alias, reading)):
            health.succeeded(self.alias)
            self.group.note_lost()
            self.group.stop_if_idle()
        return state.is_replica

    def _elsewhere(self, state: ReplicaState, newest: Sampled | None) -> str:
        """Say why what is measured on the server says nothing of the rows of the replica; empty if it does."""
        if newest is None or state.position is None or newest.database == state.database:
            return ""
        why = f"it is the database {state.database} of its server, and its primary is {newest.database}"
        if why != self._told:
            self._told = why
            logger.error(
                "The replica %s is not read: %s. Correct its NAME.", self.alias, why, extra={"alias": self.alias}
            )
        return why

    def _compare(self, life: str, found: Position | None, newest: Sampled | None) -> str:
        """Say why the replica cannot be measured by its primary; empty if it can."""
        before = self._compared
        self._compared = before.seen(life, found, time.monotonic(), newest)
        if found is not None and not self._compared.follows and self._asked != life:
            self._asked = life
            self.group.watchers[0].wake()
        if self._compared.ahead is not None and before.ahead is None:
            logger.error(
                "The replica %s is ahead of its primary %s, so it has a history of its own. Copy it anew.",
                *(self.alias, self.group.primary),
                extra={"alias": self.alias},
            )
        return self._compared.why_not if found is not None else ""

    def failed(self, error: Exception) -> None:
        """Leave the replica out."""
        health.failed(self.alias, error)
        self.group.note_lost()
        self.group.stop_if_idle()

    def rest(self) -> float:
        """Leave it to the samples to wake this thread; look again soon after a replica that nearly has the newest."""
        interval = super().rest()
        if not self._misses:
            return 1.5 * interval
        return min(interval, LOOKS_AGAIN * GROWS_BY ** min(self._misses - 1, 8))

    def pause(self) -> float:
        """Try again when the ban is over."""
        return max(super().rest(), health.banned_for(self.alias))


_lock = Lock()
_groups: Final[dict[Alias, _Group]] = {}
#: Primaries of which the log says by now that no thread could be started.
_unseen: Final[set[Alias]] = set()
#: What the parents of this process were looking at.
_parents: Final[list[_Group]] = []
#: The threads that hold still while this process forks.
_still: Final[list[Watcher]] = []


def watch(primary: Alias) -> None:
    """Look at *primary* and those of its replicas that can be measured, as long as somebody asks again."""
    group = _groups.get(primary) or _started(primary)
    if group is not None:
        group.asked = time.monotonic()


def kick(primary: Alias) -> None:
    """Look at *primary*, and then at its replicas, now or a moment after the last look began."""
    group = _groups.get(primary)
    if group is not None:
        group.watchers[0].wake()


def doubt(primary: Alias) -> None:
    """Ask *primary* on a new connection, since the one that is open may lead to a server that is it no more."""
    group = _groups.get(primary)
    if group is not None:
        group.watchers[0].doubt()


def stop() -> None:
    """Look at nothing any more, close all connections, and forget what was found."""
    with _lock:
        groups = list(_groups.values())
        _groups.clear()
        _unseen.clear()
    for group in groups:
        group.stop()
    watchers = [watcher for group in groups for watcher in group.watchers]
    for watcher in _still_running(watchers):
        watcher.sever()
    _still_running(watchers)
    readings.forget()
    health.forget()


def _still_running(watchers: list[Watcher]) -> list[Watcher]:
    """Wait a moment for *watchers* to end, and return those that have not."""
    until = time.monotonic() + ENDS_WITHIN
    for watcher in watchers:
        watcher.join(max(0.0, until - time.monotonic()))
    return [watcher for watcher in watchers if watcher.is_alive()]


def _started(primary: Alias) -> _Group | None:
    replicas = mirrors.measured(primary)
    with _lock:
        group = _groups.get(primary)
        if group is None and replicas:
            group = _Group(primary, replicas)
            try:
                group.start()
            except RuntimeError as error:  # Python cannot, when it is about to end; the primary answers
                group.stop()
                if primary not in _unseen:
                    _unseen.add(primary)
                    logger.warning("Nobody looks at the replicas of %s: %s", primary, error, extra={"alias": primary})
            else:
                _unseen.discard(primary)
                _groups[primary] = group
        return group


def _before_fork() -> None:
    """Let no thread be inside a driver while the process forks: the child would find its locks taken for ever."""
    until = time.monotonic() + FORKS_WITHIN
    for group in list(_groups.values()):
        for watcher in group.watchers:
            if watcher.busy.acquire(timeout=max(0.0, until - time.monotonic())):
                _still.append(watcher)


def _after_fork_in_parent() -> None:
    while _still:
        _still.pop().busy.release()


def _after_fork() -> None:
    """Begin anew in a child: threads do not survive a fork, and the parent goes on using its connections."""
    global _lock  # noqa: PLW0603 - the parent may have held it
    _lock = Lock()
    _still.clear()
    for group in _groups.values():
        _parents.append(group)
        for watcher in group.watchers:
            watcher.leave_to_parent()
    _groups.clear()
    readings.forget()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
atexit.register(stop)
conf.settings_reset.append(stop)
