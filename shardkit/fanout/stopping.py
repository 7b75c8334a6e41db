"""How are statements given up that still run, so that their connections can be used again?

They are cancelled on their servers and then waited for. A server that does not even end a cancelled statement is cut
off: its connection is lost, and the caller is not.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import wait
from typing import Final, Protocol

from django.db import Error

from shardkit.fanout.statements import Lane
from shardkit.fanout.workers import submit

logger = logging.getLogger(__name__)

#: How long cancelled statements may take to end before their connections are cut, in seconds.
GRACE_SECONDS: Final = 5.0
#: A statement that is cancelled before it has begun is not cancelled; so it is tried again, ever more slowly.
FIRST_PAUSE_SECONDS: Final = 0.02


class Flight(Protocol):
    """Lanes that run while somebody waits."""

    #: The lanes that failed, in the order in which it was noticed.
    failed: list[Lane]

    @property
    def running(self) -> list[Lane]:
        """The lanes that have not ended."""

    def launch(self) -> None:
        """Let the lanes begin."""

    def wait(self, seconds: float | None) -> None:
        """Wait until every lane has ended, one has failed, or *seconds* are over."""

    def drain(self, seconds: float | None) -> None:
        """Wait until every lane has ended, or *seconds* are over."""

    def close(self) -> None:
        """Give back what the system lent."""


def stop(flight: Flight) -> None:
    """Cancel what runs, and return when nothing does."""
    stopped = flight.running
    for lane in stopped:
        lane.is_stopped = True
    try:
        _interrupt(flight)
    finally:  # also when somebody presses Ctrl-C a second time
        _cut(flight)
    for lane in stopped:
        lane.vendor.settle()


def _interrupt(flight: Flight) -> None:
    pause, end = FIRST_PAUSE_SECONDS, time.monotonic() + GRACE_SECONDS
    while flight.running and time.monotonic() < end:
        requests = [submit(_request, lane) for lane in flight.running]
        flight.drain(pause)
        wait(requests)  # one that comes late must not hit the connection's next statement
        pause *= 2


def _request(lane: Lane) -> None:
    try:
        with lane.vendor.connection.wrap_database_errors:
            lane.vendor.interrupt(lane.session, GRACE_SECONDS)
    except Error as error:
        logger.warning("A statement on %r could not be cancelled: %s", lane.vendor.connection.alias, error)


def _cut(flight: Flight) -> None:
    lost = flight.running
    for lane in lost:
        lane.vendor.sever(lane.session)
    flight.drain(None)
    for lane in lost:
        logger.error("The database %r did not end a cancelled statement; its connection is lost.", _alias(lane))
        lane.vendor.connection.close()


def _alias(lane: Lane) -> str:
    return lane.vendor.connection.alias
