"""How far is each replica, and would it be read?

Asked of the monitor of this very process, which looks as that of any other one does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shardkit import conf
from shardkit.replication import mirrors, monitor
from shardkit.replication.selection import Standing, standings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shardkit.topology.names import Alias

#: Seconds that a replica has, at least, to be found to follow.
PATIENCE: Final = 3.0
#: Seconds between two looks at what the monitor has found.
LOOKS_AGAIN: Final = 0.02


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A replica, and whether a caller who has written and seen nothing would read it."""

    primary: Alias
    replica: Alias
    is_read: bool
    why: str
    position: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def replica_statuses() -> list[ReplicaStatus]:
    """Let the monitor look at all replicas, and say how each stands when all are fresh or their time is over."""
    settings = conf.get_settings()
    until = time.monotonic() + max(PATIENCE, 3 * settings.lag_interval)
    for primary in settings.replicas:
        monitor.watch(primary)
    while True:
        found = list(_looked_up())
        if all(status.is_read for status in found) or time.monotonic() > until:
            return found
        time.sleep(LOOKS_AGAIN)


def _looked_up() -> Iterator[ReplicaStatus]:
    for primary in conf.get_settings().replicas:
        unmeasured = mirrors.why_unmeasured(primary)
        for standing in standings(primary):
            yield _status(primary, standing, unmeasured)


def _status(primary: Alias, standing: Standing, unmeasured: str | None) -> ReplicaStatus:
    position = None if standing.position is None else str(standing.position)
    is_read = standing.may_read and unmeasured is None
    return ReplicaStatus(primary, standing.replica, is_read, unmeasured or standing.why, position)
