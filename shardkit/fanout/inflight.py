"""How does one thread wait for the statements of several PostgreSQL connections?

One selector watches all sockets, and whichever has news lets the generator of its connection go on. No thread is
started and no lock is contended, so that this is right for small statements too.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Final

from shardkit.fanout._psycopg import can_say_when_it_waits
from shardkit.fanout.statements import Lane, Statement, has_djangos_own

#: How often to look whether somebody has closed a connection under us, which no selector reports.
LOOK_SECONDS: Final = 1.0

#: Yields what it waits for, and is sent what has come: the bits of `selectors` are psycopg's.
_Steps = Generator[int, int, None]


def can_fly(lane: Lane) -> bool:
    """Say whether every statement of *lane* can be waited for by a selector, and nothing of anybody's is left out."""
    return all(
        has_djangos_own(statement.cursor)
        and can_say_when_it_waits(statement.cursor.cursor)
        and (statement.is_unwrapped or not statement.cursor.db.execute_wrappers)
        for statement in lane.statements
    )


class InFlight:
    """Lanes that are waited for by one selector."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        #: The lanes that failed, in the order in which it was noticed.
        self.failed: list[Lane] = []
        self._lanes = sorted(lanes, key=lambda lane: id(_connection(lane)))
        self._selector = selectors.DefaultSelector()
        self._steps: dict[Lane, _Steps] = {}

    @property
    def running(self) -> list[Lane]:
        """The lanes that have not ended."""
        return list(self._steps)

    def launch(self) -> None:
        """Send the statements, in one order everywhere: threads that share connections do not lock one another out."""
        for lane in self._lanes:
            if self.failed:
                break
            steps = self._steps[lane] = _steps(lane)
            waits_for = self._resume(lane, partial(next, steps))
            if waits_for is not None:
                self._selector.register(_connection(lane).pgconn.socket, waits_for, lane)

    def wait(self, seconds: float | None) -> None:
        """Wait until every lane has ended, one has failed, or *seconds* are over."""
        end = None if seconds is None else time.monotonic() + seconds
        while self._steps and not self.failed and self._look(end):
            pass

    def drain(self, seconds: float | None) -> None:
        """Wait until every lane has ended, or *seconds* are over."""
        end = None if seconds is None else time.monotonic() + seconds
        while self._steps and self._look(end):
            pass

    def close(self) -> None:
        """Give back what the system lent."""
        self._selector.close()

    def _look(self, end: float | None) -> bool:
        """Let those go on that can, and say whether there is time left to look again."""
        remaining = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
        if remaining <= 0 and end is not None:
            return False
        events = self._selector.select(remaining)
        for key, ready in events:
            lane: Lane = key.data
            waits_for = self._resume(lane, partial(self._steps[lane].send, ready))
            if waits_for is None:
                self._selector.unregister(key.fileobj)
            elif waits_for != key.events:
                self._selector.modify(key.fileobj, waits_for, lane)
        if not events:
            self._notice_closed()
        return True

    def _resume(self, lane: Lane, resume: Callable[[], int]) -> int | None:
        """Let *lane* go on by *resume*; return what it waits for next, or None when it has ended."""
        try:
            return resume()
        except StopIteration:
            del self._steps[lane]
        except Exception as error:  # noqa: BLE001 - drivers and type adapters raise what they like; it is raised later
            del self._steps[lane]
            lane.unanswered[0].failed(error)
            self.failed.append(lane)
        except BaseException:  # Ctrl-C in the middle of a step: nobody knows where the conversation was
            del self._steps[lane]
            lane.vendor.connection.close()
            raise
        return None

    def _notice_closed(self) -> None:
        for key in list(self._selector.get_map().values()):
            lane: Lane = key.data
            if _connection(lane).closed:
                self._selector.unregister(key.fileobj)
                driver: Any = lane.vendor.connection
                error = driver.Database.OperationalError("the connection was closed while it was used")
                self._resume(lane, partial(self._steps[lane].throw, error))


def _connection(lane: Lane) -> Any:
    return lane.statements[0].cursor.cursor.connection


def _steps(lane: Lane) -> _Steps:
    """Run the statements of *lane* one after another, as `Lane.execute` does."""
    with _connection(lane).lock:
        for statement in lane.unanswered:
            if lane.is_stopped:
                return
            yield from _execution(statement)
            statement.is_done = True


def _execution(statement: Statement) -> Generator[int, int, Any]:
    """Execute as Django's `CursorWrapper` does, and yield when the driver waits."""
    cursor = statement.cursor
    cursor.db.validate_no_broken_transaction()
    with statement.logged(), cursor.db.wrap_database_errors:
        yield from cursor.cursor._execute_gen(statement.sql, statement.params)  # noqa: SLF001 - listed in _psycopg
        statement.result = cursor.cursor
