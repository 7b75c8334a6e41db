"""Who measures how far replicas are, so that no request has to?

A thread for each database, on a connection of its own, so that one that hangs delays nobody. Threads start when
somebody first reads a primary that has replicas, and end when nobody has for a while; after a fork the child starts
its own.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit import conf
from shardkit.replication import health, readings
from shardkit.replication.readings import Reading, Sampled
from shardkit.vendors.replication.registry import replication_of

if TYPE_CHECKING:
    from shardkit.topology.names import Alias

logger: Final = logging.getLogger("shardkit.replication")

#: Seconds after which nobody reads a primary any more, as far as the monitor is concerned.
IDLE: Final = 60.0
#: Seconds between two looks that somebody asked for.
BETWEEN_KICKS: Final = 0.02
#: Seconds to wait for a thread to end; one that hangs in its database is left behind, and ends by itself.
ENDS_WITHIN: Final = 0.3


@dataclass
class _Group:
    """A primary, its replicas, and the threads that look at them."""

    primary: Alias
    replicas: tuple[Alias, ...]
    threads: list[Thread] = field(default_factory=list)
    stopped: Event = field(default_factory=Event)
    wake: dict[Alias, Event] = field(default_factory=dict)
    #: Connections of the driver: in a child of this process they must not be closed, which would tell the server.
    held: dict[Alias, Any] = field(default_factory=dict)
    asked: float = 0.0
    kicked: float = 0.0

    def start(self) -> None:
        for alias in (self.primary, *self.replicas):
            self.wake[alias] = Event()
            look = self._sample if alias == self.primary else self._read
            thread = Thread(target=self._watch, args=(alias, look), name=f"shardkit-{alias}", daemon=True)
            self.threads.append(thread)
            thread.start()

    def _watch(self, alias: Alias, look: Any) -> None:
        """Look at *alias* again and again, until nobody asks any more."""
        memo: Any = None
        try:
            while not self.stopped.is_set() and time.monotonic() - self.asked < IDLE:
                try:
                    memo = look(alias, memo)
                except Exception as error:  # noqa: BLE001 - whatever the driver raises, the next look may succeed
                    memo = None
                    self._failed(alias, error)
                self.wake[alias].wait(conf.get_settings().lag_interval)
                self.wake[alias].clear()
        finally:
            if _groups.get(self.primary) is self:
                _groups.pop(self.primary, None)
            connections[alias].close()

    def _connection(self, alias: Alias) -> Any:
        connection = connections[alias]
        connection.ensure_connection()
        self.held[alias] = connection.connection
        return connection

    def _sample(self, alias: Alias, memo: Any) -> Any:
        connection = self._connection(alias)
        began = time.monotonic()
        sample = replication_of(connection).sample(connection, memo)
        if not self.stopped.is_set():
            readings.note_sample(alias, Sampled(began, sample.position), is_writable=sample.is_writable)
        for replica in self.replicas:  # what waits for this sample waits for them too
            if self.kicked > began - BETWEEN_KICKS:
                self.wake[replica].set()
        return sample.memo

    def _read(self, alias: Alias, memo: Any) -> Any:
        connection = self._connection(alias)
        began = time.monotonic()
        state = replication_of(connection).state(connection, memo)
        behind = None if state.position is None else readings.behind(self.primary, state.position, began)
        if not self.stopped.is_set():
            readings.note(alias, Reading(state.position, state.life, began, behind, state.is_replica))
            health.succeeded(alias)
        return state.memo

    def _failed(self, alias: Alias, error: Exception) -> None:
        connections[alias].close()
        if self.stopped.is_set():
            return
        if alias == self.primary:
            logger.warning("The position of %s is not known: %s", alias, str(error).strip())
        else:
            health.failed(alias, error)

    def stop(self) -> None:
        self.stopped.set()
        for event in self.wake.values():
            event.set()


_lock = Lock()
_groups: dict[Alias, _Group] = {}
#: What the parent of this process was looking at.
_parents: Final[list[_Group]] = []


def watch(primary: Alias) -> None:
    """Look at *primary* and its replicas from now on, and as long as somebody asks again."""
    group = _groups.get(primary)
    if group is None:
        group = _started(primary)
    group.asked = time.monotonic()


def kick(primary: Alias) -> None:
    """Look at *primary* and its replicas now, if nobody has a moment ago."""
    group, now = _groups.get(primary), time.monotonic()
    if group is not None and now - group.kicked > BETWEEN_KICKS:
        group.kicked = now
        for event in list(group.wake.values()):
            event.set()


def stop() -> None:
    """Look at nothing any more, close all connections, and forget what was found."""
    with _lock:
        groups = list(_groups.values())
        _groups.clear()
    for group in groups:
        group.stop()
    until = time.monotonic() + ENDS_WITHIN
    for group in groups:
        for thread in group.threads:
            thread.join(max(0.0, until - time.monotonic()))
    readings.forget()
    health.forget()


def _started(primary: Alias) -> _Group:
    with _lock:
        group = _groups.get(primary)
        if group is None:
            group = _Group(primary, conf.get_settings().replicas.get(primary, ()), asked=time.monotonic())
            _groups[primary] = group
            group.start()
        return group


def _after_fork() -> None:
    """Begin anew in a child: threads do not survive a fork, and the parent goes on using its connections."""
    global _lock  # noqa: PLW0603 - the parent may have held it
    _lock = Lock()
    _parents.extend(_groups.values())
    _groups.clear()
    readings.forget()


os.register_at_fork(after_in_child=_after_fork)
conf.settings_reset.append(stop)
