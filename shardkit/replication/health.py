"""Which replicas are left out for a while, because they failed?

A circuit breaker for each replica: every failure bans it for twice as long as the one before, within limits and with
jitter, so that processes do not come back together. One that comes back takes its share step by step.
"""

from __future__ import annotations

import logging
import os
import random
import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from shardkit.topology.names import Alias

logger: Final = logging.getLogger("shardkit.replication")

#: Seconds of the first ban and of the longest one, before the jitter, which adds up to half of them.
FIRST_BAN: Final = 0.5
LONGEST_BAN: Final = 30.0
#: As many failures as make the longest ban.
MOST_FAILURES: Final = 7
#: A replica that answers again takes its whole share after so many seconds, and this part of it at first.
SLOW_START: Final = 10.0
FIRST_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Record:
    failures: int
    until: float
    #: When it first answered again; None while it has not.
    back: float | None = None


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
            failures = 1 if known is None else min(known.failures + 1, MOST_FAILURES)
            seconds = min(LONGEST_BAN, FIRST_BAN * 2.0 ** (failures - 1)) * (1 + self._jitter() / 2)
            self._records[alias] = _Record(failures, now + seconds)
        is_change = known is None or known.back is not None
        logger.log(
            logging.WARNING if is_change else logging.DEBUG,
            "The replica %s is left out, for %.1f s at first: %s" if is_change else "%s stays out for %.1f s: %s",
            alias,
            seconds,
            " ".join(str(error).split()),
            extra={"alias": alias},
        )

    def succeeded(self, alias: Alias) -> None:
        """Let *alias* come back if its ban is over, and forget its failures when it has its whole share again."""
        if alias not in self._records:
            return
        with self._lock:
            known, now = self._records.get(alias), self._now()
            if known is None or now < known.until:
                return
            if known.back is None:
                self._records[alias] = replace(known, back=now)
            elif now >= known.back + SLOW_START:
                del self._records[alias]
        if known.back is None:
            logger.info("The replica %s answers again.", alias, extra={"alias": alias})

    def banned_for(self, alias: Alias) -> float:
        """Return for how many seconds from now *alias* is left out."""
        known = self._records.get(alias)
        return 0.0 if known is None else max(0.0, known.until - self._now())

    def share(self, alias: Alias) -> float:
        """Return which part of its weight *alias* takes: it grows from little to one when it comes back."""
        known = self._records.get(alias)
        if known is None:
            return 1.0
        if known.back is None:
            return FIRST_SHARE
        return min(1.0, max(FIRST_SHARE, (self._now() - known.back) / SLOW_START))

    def forget(self) -> None:
        """Forget every failure."""
        self._records.clear()

    def unlock(self) -> None:
        """Be usable in a child of the process, in whose parent another thread may have held the lock."""
        self._lock = Lock()


_health: Final = Health()
failed = _health.failed
succeeded = _health.succeeded
banned_for = _health.banned_for
share = _health.share
forget = _health.forget

os.register_at_fork(after_in_child=_health.unlock)
