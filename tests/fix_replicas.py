"""A primary with two replicas that really follow it: streaming standbys, replicas by GTID, or copies of a file.

The servers live as long as the test session. A test gets them with an empty table ``thing``, replicas that have
everything, and the aliases `PRIMARY` and `REPLICAS`; what it has paused, cut or killed is mended before the next one.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from shardkit.positions.position import Position
from shardkit.replication.sqlite_replicator import SqliteReplicator
from shardkit.topology.names import Alias
from shardkit.vendors.replication.base import ReplicaState
from shardkit.vendors.replication.registry import replication_of
from testapp.servers.process import ServerMissing
from tests.servers import skip_or_fail
from tests.soak.clusters import Cluster, Group, started
from tests.soak.links import Links
from tests.soak.machines import Machine
from tests.waiting import wait_for

VENDOR: Final = os.environ.get("TESTAPP_VENDOR", "sqlite")
PRIMARY: Final = Alias("grid")
REPLICAS: Final = (Alias("grid_replica_0"), Alias("grid_replica_1"))
#: How often the copies of a file are made, in seconds.
COPIED_EVERY: Final = 0.02
#: How long a replica may take to catch up on a loaded machine, in seconds.
PATIENCE: Final = 60.0


class Family(ABC):
    """A primary, its replicas, and what a test does to them. *which* is the number of a replica."""

    is_used_up = False

    @abstractmethod
    def entry(self, alias: Alias) -> dict[str, Any]:
        """Return what ``DATABASES`` says of *alias*."""

    @abstractmethod
    def pause(self, which: int = 0) -> None:
        """Let a replica show nothing new."""

    @abstractmethod
    def resume(self, which: int = 0) -> None:
        """Let a replica show what came in between."""

    @abstractmethod
    def mend(self) -> None:
        """Let all replicas follow again."""

    def connection(self, alias: Alias) -> Any:
        connection = connections[alias]
        connection.ensure_connection()
        return connection

    def sql(self, alias: Alias, statement: str) -> Any:
        """Run *statement* through Django, and return its rows."""
        with connections[alias].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def write(self, number: int = 1) -> None:
        self.sql(PRIMARY, f"INSERT INTO thing VALUES ({number})")  # noqa: S608

    def count(self, which: int = 0) -> int:
        ((count,),) = self.sql(REPLICAS[which], "SELECT count(*) FROM thing")
        return int(count)

    def position(self) -> Position:
        """Ask the primary where it is."""
        connection = self.connection(PRIMARY)
        return replication_of(connection).position(connection)

    def state(self, which: int = 0, memo: Any = None) -> ReplicaState:
        """Ask a replica where it is."""
        connection = self.connection(REPLICAS[which])
        return replication_of(connection).state(connection, memo)

    def has(self, position: Position, which: int = 0) -> bool:
        """Say whether a replica includes *position*."""
        found = self.state(which).position
        return found is not None and found.includes(position)

    def lives(self, life: str, which: int = 0) -> bool:
        connection = self.connection(REPLICAS[which])
        return replication_of(connection).lives(connection, life)

    def wait_until_has(self, position: Position, which: int = 0) -> None:
        """Wait until a replica includes *position*, and sample the primary meanwhile, as the monitor does."""
        connection = self.connection(PRIMARY)
        memo: Any = None

        def has() -> bool:
            nonlocal memo
            memo = replication_of(connection).sample(connection, memo).memo
            return self.has(position, which)

        wait_for(has, PATIENCE)

    def catch_up(self) -> None:
        """Wait until every replica has everything."""
        position = self.position()
        for which in range(len(REPLICAS)):
            self.wait_until_has(position, which)

    def begin(self) -> None:
        """Give the next test an empty table."""
        self.sql(PRIMARY, "DROP TABLE IF EXISTS thing")
        self.sql(PRIMARY, "CREATE TABLE thing (id int)")
        self.catch_up()


class Servers(Family):
    """PostgreSQL or MariaDB."""

    def __init__(self, group: Group, cluster: Cluster) -> None:
        self.group, self.cluster = group, cluster

    def entry(self, alias: Alias) -> dict[str, Any]:
        names = dict(zip((PRIMARY, *REPLICAS), ("b_primary", "b_replica_0", "b_replica_1"), strict=True))
        return self.cluster.entry(names[alias], "shard_1")

    def machine(self, which: int = 0) -> Machine:
        return self.group.replicas[which]

    def pause(self, which: int = 0) -> None:
        self.machine(which).pause()

    def resume(self, which: int = 0) -> None:
        self.machine(which).resume()

    def cut(self, which: int = 0) -> None:
        """Break the link between a replica and the primary."""
        link = self.machine(which).link
        assert link is not None
        link.cut()

    def restart(self, which: int = 0) -> None:
        """Kill a replica, and start it again."""
        self.machine(which).kill()
        connections[REPLICAS[which]].close()
        self.machine(which).start()

    def promote(self, which: int = 0) -> None:
        """Let a replica take writes; the primary does not know."""
        self.is_used_up = True
        self.machine(which).promote()

    def fail_over(self) -> None:
        """Lose the primary; replica 0, which has everything, takes its place and its alias."""
        self.is_used_up = True
        self.group.fail_over()
        connections[PRIMARY].close()
        connections[REPLICAS[0]].close()

    def mend(self) -> None:
        for replica in self.group.replicas:
            if replica.link is not None:
                replica.link.restore()
            if not replica.is_running:
                replica.start()
            replica.resume()


class Copies(Family):
    """SQLite."""

    def __init__(self, directory: Path) -> None:
        self.files = {alias: directory / f"{alias}.sqlite3" for alias in (PRIMARY, *REPLICAS)}
        self.replicators = [
            SqliteReplicator(self.files[PRIMARY], self.files[alias], lag=COPIED_EVERY) for alias in REPLICAS
        ]

    def entry(self, alias: Alias) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self.files[alias]),
            "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
        }

    def pause(self, which: int = 0) -> None:
        self.replicators[which].stop()

    def resume(self, which: int = 0) -> None:
        self.replicators[which].start()

    def mend(self) -> None:
        for replicator in self.replicators:
            replicator.start()

    def begin(self) -> None:
        self.connection(PRIMARY)  # makes the file
        self.mend()
        super().begin()

    def stop(self) -> None:
        for replicator in self.replicators:
            replicator.stop()


class _Lender:
    """Keeps a family for the next test, unless a test has used it up."""

    def __init__(self, build: Callable[[ExitStack], Family]) -> None:
        self.build, self.stack = build, ExitStack()
        self.family: Family | None = None

    @contextmanager
    def lent(self) -> Iterator[Family]:
        if self.family is None:
            self.family = self.build(self.stack)
        family, is_mended = self.family, False
        try:
            with _aliases(family):
                family.begin()
                yield family
            if not family.is_used_up:
                family.mend()
                is_mended = True
        finally:
            if not is_mended:
                self.close()

    def close(self) -> None:
        self.family = None
        self.stack.close()


@contextmanager
def _aliases(family: Family) -> Iterator[None]:
    """Let Django know the databases inside the block."""
    handler: Any = connections
    model = handler["default"].settings_dict
    aliases = (PRIMARY, *REPLICAS)
    for alias in aliases:
        defaults: dict[str, Any] = {
            "OPTIONS": {},
            "HOST": "",
            "PORT": "",
            "USER": "",
            "PASSWORD": "",
            "CONN_MAX_AGE": None,
        }
        handler.settings[alias] = {**model, **defaults, "AUTOCOMMIT": True, **family.entry(alias)}
    try:
        yield
    finally:
        for alias in aliases:
            handler[alias].close()
            del handler[alias]
            del handler.settings[alias]


def _servers(stack: ExitStack) -> Family:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grid-")))
    directory.chmod(0o755)
    (directory / "sockets").mkdir()
    links = Links()
    stack.callback(links.close)
    cluster = Cluster(VENDOR, directory)
    try:
        return Servers(started(stack, links, cluster, "b", 10), cluster)
    except ServerMissing as missing:
        skip_or_fail(missing)


def _copies(stack: ExitStack) -> Family:
    family = Copies(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grid-"))))
    stack.callback(family.stop)
    return family


@pytest.fixture(scope="session")
def _lender() -> Iterator[_Lender]:
    lender = _Lender(_copies if VENDOR == "sqlite" else _servers)
    yield lender
    lender.close()


@pytest.fixture
def family(_lender: _Lender, django_db_blocker: DjangoDbBlocker) -> Iterator[Family]:
    """A primary and two replicas of this run's vendor."""
    with django_db_blocker.unblock(), _lender.lent() as family:
        yield family


@pytest.fixture
def servers(family: Family) -> Servers:
    """The same, where they are servers that can be killed, cut off and promoted."""
    if not isinstance(family, Servers):
        pytest.skip("SQLite has no servers")
    return family
