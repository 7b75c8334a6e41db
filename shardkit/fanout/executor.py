"""How do many shards run at once?

Every statement runs on a cursor that the calling thread opened on its own connection, so that it is part of the
caller's transaction and sees its uncommitted rows. Only the waiting is shared: one selector waits for all connections
of psycopg 3, threads wait for other drivers, and SQLite, which runs in our own process, takes turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from shardkit.conf import get_settings
from shardkit.errors import ShardDeadlineExceeded
from shardkit.fanout.inflight import InFlight, can_fly
from shardkit.fanout.jobs import Job
from shardkit.fanout.permits import permits
from shardkit.fanout.serial import Serial
from shardkit.fanout.statements import Lane, Statement, has_djangos_own, lanes_of, naming
from shardkit.fanout.stopping import Flight, stop
from shardkit.fanout.workers import Workers
from shardkit.fanout.wrapping import execute_wrapped

#: Execute wrappers are nested, and Python does not nest without end: at most this many connections at once have them.
NESTED: Final = 50


def run(jobs: Sequence[Job]) -> None:
    """Execute the statements of *jobs* at the same time, each on its own cursor; return when all have been executed.

    The first error cancels what still runs and is raised, with a note that names its database. Raise
    `ShardDeadlineExceeded` after SHARDKIT["FANOUT_DEADLINE"] seconds. Either way nothing runs any more then, and the
    connections can be used, unless a server did not answer even that.
    """
    if len(jobs) == 1:
        return _in_turn(jobs)
    lanes = lanes_of(jobs)
    if len(lanes) < 2:  # noqa: PLR2004 - one connection, or none
        return _in_turn(jobs)
    fan_out = _FanOut.of(lanes)
    if not any(map(_is_wrapped, _statements(lanes))):
        return fan_out.execute(lanes)
    for group in _slices(lanes, NESTED):
        execute_wrapped(list(filter(_is_wrapped, _statements(group))), partial(fan_out.execute, group))


def _statements(lanes: Sequence[Lane]) -> Iterator[Statement]:
    return (statement for lane in lanes for statement in lane.statements)


def _in_turn(jobs: Sequence[Job]) -> None:
    for job in jobs:
        with naming(job.alias, job.cursor.db):
            job.cursor.execute(job.sql, job.params)


def _is_wrapped(statement: Statement) -> bool:
    """Say whether there are execute wrappers around *statement* that we can call ourselves."""
    return bool(statement.cursor.db.execute_wrappers) and has_djangos_own(statement.cursor)


def _slices(lanes: Sequence[Lane], size: int) -> list[Sequence[Lane]]:
    return [lanes[start : start + size] for start in range(0, len(lanes), size)]


@dataclass(slots=True)
class _FanOut:
    """All lanes of one call, and how much time they have."""

    lanes: Sequence[Lane]
    cap: int | None
    seconds: float | None
    end: float

    @classmethod
    def of(cls, lanes: Sequence[Lane]) -> _FanOut:
        settings = get_settings()
        seconds = settings.fanout_deadline
        return cls(lanes, settings.fanout_cap, seconds, time.monotonic() + (seconds or 0.0))

    def execute(self, lanes: Sequence[Lane]) -> None:
        """Execute *lanes*, as many at once as the cap allows."""
        if self.cap is None:
            return self._execute_together(lanes)
        for wave in _slices(lanes, self.cap):
            with permits.held(len(wave), cap=self.cap, seconds=self._remaining()) as are_held:
                if not are_held:
                    raise self._lateness()
                self._execute_together(wave)

    def _execute_together(self, lanes: Sequence[Lane]) -> None:
        flight = _flight_for(lanes)
        try:
            flight.launch()
            flight.wait(self._remaining())
            self._end(flight, lanes)
        except BaseException:  # Ctrl-C too: whatever ends us, no statement goes on behind the caller's back
            stop(flight)
            raise
        finally:
            flight.close()

    def _end(self, flight: Flight, lanes: Sequence[Lane]) -> None:
        """Raise what went wrong."""
        for lane in flight.failed:
            if lane.failure is not None:
                raise lane.failure
        if any(lane.unanswered for lane in lanes):
            raise self._lateness()

    def _remaining(self) -> float | None:
        return None if self.seconds is None else max(0.0, self.end - time.monotonic())

    def _lateness(self) -> ShardDeadlineExceeded:
        aliases = sorted({statement.alias for lane in self.lanes for statement in lane.unanswered})
        return ShardDeadlineExceeded(", ".join(aliases), self.seconds or 0.0)


def _flight_for(lanes: Sequence[Lane]) -> Flight:
    if not any(lane.vendor.runs_elsewhere for lane in lanes):
        return Serial(lanes)
    if all(map(can_fly, lanes)):
        return InFlight(lanes)
    return Workers(lanes)
