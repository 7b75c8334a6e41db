"""How does a test decide how far behind a replica is, and see which database answered?

Simulated replicas hold the rows of their primary, which answers in their place: what is simulated is how far behind
they are, so that a test sees where a read goes, without a server and inside the transaction of a `TestCase`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.db import connections
from django.test.utils import override_settings

from shardkit import conf
from shardkit.consistency.observing import note_committed, watch_writes
from shardkit.consistency.pool import Pool, pooled_by
from shardkit.consistency.session import Session, session_scope
from shardkit.positions.counter import Counter
from shardkit.replication.selection import Choice, Need
from shardkit.signals import read_routed
from shardkit.testing.stand_ins import stand_in
from shardkit.topology.names import LOGICAL, Alias
from shardkit.topology.nodes import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position

#: The one life of a simulated server.
LIFE: Final = "simulated"
_NANOSECONDS: Final = 10**9


@dataclass(slots=True)
class _Replica:
    lag: float = 0.0
    is_lost: bool = False
    #: The moment at which it stopped following; None while it follows.
    paused: float | None = None

    def is_at(self, now: float) -> float:
        """Return the moment up to which it has everything."""
        return (now if self.paused is None else self.paused) - self.lag


@dataclass
class SimulatedReplicas(Pool):
    """Replicas that are as far behind as the test says. What takes a name takes that of a primary or of a replica."""

    replicas: dict[Alias, _Replica] = field(default_factory=dict)
    #: The connections of the test to the primaries, and to the logical database, whose transaction they may be in.
    watched: list[Any] = field(default_factory=list)
    logical: Any = None

    def set_lag(self, name: str, seconds: float) -> None:
        """Let a replica, or all of a primary, be *seconds* behind from now on."""
        for replica in self._named(name):
            replica.lag, replica.paused = seconds, None

    def pause(self, name: str) -> None:
        """Let a replica, or all of a primary, get nothing more until `resume()`."""
        for replica in self._named(name):
            replica.paused = time.monotonic()

    def resume(self, name: str) -> None:
        """Let a replica, or all of a primary, catch up at once."""
        for replica in self._named(name):
            replica.lag, replica.paused, replica.is_lost = 0.0, None, False

    def lose(self, name: str) -> None:
        """Let a replica, or all of a primary, not answer any more until `resume()`."""
        for replica in self._named(name):
            replica.is_lost = True

    def _named(self, name: str) -> list[_Replica]:
        names = conf.get_settings().replicas.get(Alias(name), (Alias(name),))
        unknown = [found for found in names if found not in self.replicas]
        if unknown:
            known = ", ".join(sorted(self.replicas))
            raise LookupError(f"No replica is called {name!r}, and no primary that has some. Use one of {known}.")
        return [self.replicas[found] for found in names]

    # What sessions and statements ask.

    def watch(self, primary: Alias) -> None:
        """Note what was written: where a read goes is about to be decided."""
        del primary
        self.note_ended()

    def note_ended(self) -> None:
        """Note what was written in blocks that have ended, for inside the transaction of a test nothing commits."""
        for connection in self.watched:
            if not self.is_in_transaction(connection):
                note_committed(connection)

    def why_unmeasured(self, primary: Alias) -> None:
        """Know how far each replica is behind, since the test says it."""
        del primary

    def kick(self, primary: Alias) -> None:
        """Know everything already."""

    def choose(self, primary: Alias, need: Need, exclude: frozenset[Alias]) -> Choice:
        """Choose the replica that is read already, else the first that is fresh enough."""
        settings, now = conf.get_settings(), time.monotonic()
        most = settings.max_lags.get(primary, settings.max_lag)
        most = most if need.max_lag is None else min(most, need.max_lag)
        previous = need.previous[0] if need.previous else None
        whys = {}
        for name in settings.replicas.get(primary, ()):
            whys[name] = self._why_not(name, need, most, now) if name not in exclude else "it failed"
        fresh = [name for name, why in whys.items() if why is None]
        if previous is None or previous in fresh:
            chosen = previous or (fresh[0] if fresh else None)
            if chosen is not None:
                return Choice(chosen, Role.REPLICA, f"fresh ({self._behind(chosen, now):.1f} s behind)", LIFE)
        why = "; ".join(dict.fromkeys(why for why in whys.values() if why is not None)) or "another replica was read"
        return Choice(primary, Role.PRIMARY, why, moved=previous is not None, is_lost=self.are_lost(primary))

    def are_lost(self, primary: Alias) -> bool:
        """Say whether the test has lost all replicas of *primary*."""
        return all(self.replicas[name].is_lost for name in conf.get_settings().replicas.get(primary, ()))

    def _why_not(self, name: Alias, need: Need, most: float, now: float) -> str | None:
        replica = self.replicas[name]
        if replica.is_lost:
            return "banned"
        if need.includes is not None and not _position(replica.is_at(now)).includes(need.includes):
            return f"sticky until {need.includes}"
        behind = self._behind(name, now)
        return f"lag {behind:.1f} s > {most:g} s" if behind > most else None

    def _behind(self, name: Alias, now: float) -> float:
        return now - self.replicas[name].is_at(now)

    def sampled_after(self, primary: Alias, moment: float) -> Counter:
        """Return where *primary* was at that moment."""
        del primary
        return _position(moment)

    def successor(self, primary: Alias, position: Position, moment: float) -> None:
        """Know of none: each primary stays what it is."""
        del primary, position, moment

    def position(self, replica: Alias) -> Counter:
        """Return where *replica* is."""
        return _position(self.replicas[replica].is_at(time.monotonic()))

    def capture(self, primary: Alias) -> Counter:
        """Return where *primary* is."""
        del primary
        return _position(time.monotonic())

    def require_writable(self, primary: Alias) -> None:
        """Let the primary take writes."""

    def opened(self, primary: Alias, choice: Choice) -> BaseDatabaseWrapper:
        """Answer always, for what is lost is not chosen, and with the rows of *primary*."""
        found: BaseDatabaseWrapper = stand_in(connections[primary], choice.alias)
        return found

    def failure(self, choice: Choice, error: BaseException) -> None:
        """Leave every error to the statement."""
        del choice, error

    def succeeded(self, choice: Choice) -> None:
        """Learn nothing from it."""

    def is_in_transaction(self, connection: Any) -> bool:
        """Say whether the test itself opened a transaction, beside that of its `TestCase`."""
        # Another thread, such as that of an event loop, has a logical connection of its own.
        logical = self.logical if connection in self.watched else connections[LOGICAL]
        joined = getattr(logical, "_enlisted", {}).get(connection.alias)
        if _has_own_blocks(connection, joined) or (joined is not None and _has_own_blocks(logical, None)):
            return True
        return connection.connection is not None and not connection.in_atomic_block and not connection.autocommit


def _has_own_blocks(connection: Any, joined: Any) -> bool:
    blocks = [block for block in connection.atomic_blocks if block is not joined]
    return any(not block._from_testcase for block in blocks)  # noqa: SLF001 - Django asks the same of durable blocks


def _position(moment: float) -> Counter:
    return Counter(0, int(moment * _NANOSECONDS))


@contextmanager
def simulated_replicas(counts: Mapping[str, int] | None = None) -> Iterator[SimulatedReplicas]:
    """Give primaries replicas inside the block: as many as *counts* says for each, else those of the settings.

    The replicas of a primary are called ``<primary>_replica_1`` and so on. They begin without lag, and what the block
    does is a session of its own.
    """
    with ExitStack() as stack:
        if counts is not None:
            stack.enter_context(override_settings(SHARDKIT=_with_replicas(counts)))
        settings = conf.get_settings()
        watched = [connections[primary] for primary in settings.replicas]
        simulated = SimulatedReplicas(
            {name: _Replica() for name in settings.primary_of}, watched=watched, logical=connections[LOGICAL]
        )
        for connection in watched:
            watch_writes(connection)
        stack.enter_context(pooled_by(simulated))
        stack.enter_context(session_scope(Session()))
        yield simulated


def _with_replicas(counts: Mapping[str, int]) -> dict[str, Any]:
    given = dict(getattr(django_settings, "SHARDKIT", None) or {})
    shards = given.get("SHARDS") or {}
    # Replicas may stand with their shard; here all of them stand in one place.
    named = shards.items() if hasattr(shards, "items") else ((alias, alias) for alias in shards)
    given["SHARDS"] = {name: entry if isinstance(entry, str) else entry["primary"] for name, entry in named}
    given["REPLICAS"] = {
        primary: [f"{primary}_replica_{number + 1}" for number in range(count)] for primary, count in counts.items()
    }
    return given


@dataclass
class RoutedReads:
    """The reads of a block: for each, the primary that holds the rows, the database that answered, and why."""

    reads: list[tuple[str, str, str]] = field(default_factory=list)

    def of(self, primary: str) -> list[str]:
        """List the databases that answered for *primary*, in order."""
        return [alias for read, alias, _ in self.reads if read == primary]


@contextmanager
def routed_reads() -> Iterator[RoutedReads]:
    """Collect the reads of primaries that have replicas, inside the block."""
    found = RoutedReads()

    def note(*, primary: str, alias: str, why: str, **_kwargs: object) -> None:
        found.reads.append((primary, alias, why))

    read_routed.connect(note, weak=False)
    try:
        yield found
    finally:
        read_routed.disconnect(note)


@contextmanager
def assert_reads(**expected: str) -> Iterator[RoutedReads]:
    """Fail unless each primary that is named was read inside the block, and only from what is expected.

    That is ``"primary"``, ``"replica"``, or the alias of a database: ``assert_reads(shard_0="replica")``.
    """
    with routed_reads() as found:
        yield found
    for primary, wanted in expected.items():
        reads = [(alias, why) for read, alias, why in found.reads if read == primary]
        wrong = [f"{alias} ({why})" for alias, why in reads if wanted not in {alias, _role(primary, alias)}]
        if wrong or not reads:
            told = f"was read from {'; '.join(wrong)}" if wrong else "was not read"
            raise AssertionError(f"{primary} {told}. Expected: {wanted}.")


def _role(primary: str, alias: str) -> Role:
    return Role.PRIMARY if alias == primary else Role.REPLICA
