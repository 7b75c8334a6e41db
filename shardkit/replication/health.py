"""Which replicas are left out for a while, because they failed?

A circuit breaker for each replica: every failure bans it for twice as long as the one before, within limits and with
jitter, so that processes do not come back together. One that comes back takes its share step by step.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from shardkit.topology.names import Alias

logger: Final = logging.getLogger("shardkit.replication")

#: Seconds of the first ban and of the longest one.
FIRST_BAN: Final = 0.5
LONGEST_BAN: Final = 30.0
#: After so many seconds without a failure a replica that was banned takes its whole share again.
SLOW_START: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Record:
    failures: int
    until: float


class Health:
    """The circuit breakers of a process."""

    def __init__(self, now: Callable[[], float] = time.monotonic, jitter: Callable[[], float] = random.random) -> None:
        self._now, self._jitter = now, jitter
        self._records: dict[Alias, _Record] = {}
        self._lock = Lock()

    def failed(self, alias: Alias, error: object) -> None:
        """Ban *alias* for a while, unless it is banned already."""
        with self._lock:
            known, now = self._records.get(alias), self._now()
            if known is not None and now < known.until:
                return
            failures = 1 if known is None else known.failures + 1
            seconds = min(LONGEST_BAN, FIRST_BAN * 2.0 ** (failures - 1)) * (1 + self._jitter() / 2)
            self._records[alias] = _Record(failures, now + seconds)
        logger.warning("The replica %s is left out for %.1f s: %s", alias, seconds, str(error).strip())

    def succeeded(self, alias: Alias) -> None:
        """Forget the failures of *alias* when its slow start is over."""
        known = self._records.get(alias)
        if known is not None and self._now() >= known.until + SLOW_START:
            with self._lock:
                self._records.pop(alias, None)
            logger.info("The replica %s takes its whole share again.", alias)

    def banned_for(self, alias: Alias) -> float:
        """Return for how many seconds from now *alias* is left out."""
        known = self._records.get(alias)
        return 0.0 if known is None else max(0.0, known.until - self._now())

    def share(self, alias: Alias) -> float:
        """Return which part of its weight *alias* takes: it grows from a tenth to one after a ban."""
        known = self._records.get(alias)
        if known is None:
            return 1.0
        return min(1.0, max(0.1, (self._now() - known.until) / SLOW_START))

    def forget(self) -> None:
        """Forget every failure."""
        self._records.clear()


_health: Final = Health()
failed = _health.failed
succeeded = _health.succeeded
banned_for = _health.banned_for
share = _health.share
forget = _health.forget
