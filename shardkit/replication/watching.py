"""How does a thread look at one database again and again, in nobody's way?

It has a connection of its own, in no pool and in no transaction, which gives up a server that does not answer; so one
that hangs holds up no other thread, and whoever stops the thread waits for no server.
"""

from __future__ import annotations

import ctypes
import logging
import time
from abc import ABC, abstractmethod
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit import conf
from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.topology.names import Alias
    from shardkit.vendors.base import Session

logger: Final = logging.getLogger("shardkit.replication")

#: Seconds after which a connection is opened anew, for the name of its host may lead elsewhere by now.
LIFETIME: Final = 60.0
#: The same for a connection that may lead to the wrong server: many may think so within a moment.
DOUBTED_LIFETIME: Final = 0.2
#: The longest pause, in seconds, between attempts to reach a primary that does not answer.
LONGEST_PAUSE: Final = 2.0
#: The shortest time, in seconds, from the beginning of one look to that of the next.
BETWEEN_LOOKS: Final = 0.02
#: Seconds until a name that leads to the wrong kind of server is followed again.
LEADS_ELSEWHERE: Final = 1.0
#: Seconds that `sever` waits for a connection that is being closed.
CLOSES_WITHIN: Final = 0.05


class Watcher(Thread, ABC):
    """A thread that looks at the database *alias* until *stopped* is set."""

    def __init__(self, alias: Alias, stopped: Event) -> None:
        super().__init__(name=f"shardkit-{alias}", daemon=True)
        self.alias = alias
        #: What the next look wants to know again.
        self.memo: Any = None
        #: How many looks in a row have failed.
        self.failures = 0
        self._stopped, self._wake, self._guard = stopped, Event(), Lock()
        #: Held while the thread is in the code of a driver.
        self.busy = Lock()
        self._connection: BaseDatabaseWrapper | None = None
        self._session: Session | None = None
        #: When the connection was about to be opened.
        self.opened = 0.0
        self._is_doubted = False

    @abstractmethod
    def look(self, connection: BaseDatabaseWrapper) -> bool:
        """Ask the database what has to be known of it; say whether it is what it should be, primary or replica."""

    @abstractmethod
    def failed(self, error: Exception) -> None:
        """Note that it could not be asked."""

    def rest(self) -> float:
        """Return how many seconds to wait, unless somebody wakes the thread, after a look that has succeeded."""
        return conf.get_settings().lag_interval

    def pause(self) -> float:
        """Return how many seconds to wait, whoever wants to know, after one that has failed."""
        return min(LONGEST_PAUSE, conf.get_settings().lag_interval * 2.0 ** min(self.failures, 8))

    def run(self) -> None:
        """Look, and rest, and look again."""
        try:
            while not self._stopped.is_set():
                self._step()
        finally:
            self.close()

    def wake(self) -> None:
        """Let the thread look again, now or a moment after it last began to; a pause goes on."""
        self._wake.set()

    def doubt(self) -> None:
        """Follow the name anew, now or when the connection is a moment old: another server may be behind it."""
        self._is_doubted = True
        self.wake()

    def close(self) -> None:
        """Close the connection; the next look opens another one."""
        connection = self._connection
        if connection is None:
            return
        try:
            with self._guard:
                self._session = None
                connection.close()
        except Exception:  # one that is broken may say so in any way, and nothing is left to be done
            logger.debug("The connection to %s was broken when it was closed.", self.alias, exc_info=True)
        self._connection = None

    def sever(self) -> None:
        """End what the thread waits for, from another thread."""
        if self._guard.acquire(timeout=CLOSES_WITHIN):
            try:
                if self._session is not None and self._connection is not None:
                    vendor_of(self._connection).sever(self._session)
            finally:
                self._guard.release()

    def leave_to_parent(self) -> None:
        """Never close the connection in this process, a child of the one that opened it and goes on using it.

        Drivers say goodbye to the server when their object goes, at the latest at the end of the process; so it stays.
        """
        driver = None if self._connection is None else self._connection.connection
        if driver is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(driver))

    def _step(self) -> None:
        began = time.monotonic()
        with self.busy:
            seconds = self._looked()
        if seconds is not None:
            self._stopped.wait(seconds)
        else:
            self._wake.wait(self.rest())
            self._stopped.wait(max(0.0, began + BETWEEN_LOOKS - time.monotonic()))
            self._wake.clear()  # what woke it came before the next look begins

    def _looked(self) -> float | None:
        """Look, and return how many seconds to wait with the next look if something is wrong; else None."""
        try:
            is_in_role = self.look(self._reached())
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, the next look may succeed
            self.close()
            self.failures += 1
            if not self._stopped.is_set():
                self.failed(error)
            return self.pause()
        self.failures = 0
        if is_in_role:
            return None
        self.close()
        return LEADS_ELSEWHERE

    def _reached(self) -> BaseDatabaseWrapper:
        age = time.monotonic() - self.opened
        if self._connection is not None and age > (DOUBTED_LIFETIME if self._is_doubted else LIFETIME):
            self.close()
        if self._connection is None:
            self._is_doubted, self.opened = False, time.monotonic()
            self._connection = unshared(self.alias)
            self._connection.ensure_connection()
            self._session = vendor_of(self._connection).session()
        return self._connection


def unshared(alias: Alias) -> BaseDatabaseWrapper:
    """Return a connection to *alias* that nobody else is given; it is not open yet."""
    connection = connections.create_connection(alias)
    given = connection.settings_dict
    options = {**given.get("OPTIONS", {}), **vendor_of(connection).impatience}
    options.pop("pool", None)
    connection.settings_dict = {**given, "OPTIONS": options, "AUTOCOMMIT": True}
    return connection
