"""Which servers does a run have, and what does the site call them?

Two primaries with two replicas each: ``a`` holds ``default`` and ``shard_0``, ``b`` holds ``shard_1``. The site reaches
each by a local socket of its own name, so that a name can lead to another machine after a failover.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from testapp.servers.process import server_home
from tests.soak.links import Links
from tests.soak.machines import Machine

REPLICAS: Final = 2
#: The aliases that live on each group of machines.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {"a": ("default", "shard_0"), "b": ("shard_1",)}
VENDORS: Final = ("postgresql", "mysql")
ACCOUNTS: Final = {"postgresql": "postgres", "mysql": "mysql"}


@dataclass
class Group:
    """A primary and its replicas."""

    name: str
    primary: Machine
    replicas: list[Machine]
    sockets: Path

    def name_primary(self) -> None:
        """Let the primary's name lead to the machine that it is now."""
        self._name("primary", self.primary)

    def name_all(self) -> None:
        self.name_primary()
        for number, replica in enumerate(self.replicas):
            self._name(f"replica_{number}", replica)

    def _name(self, name: str, machine: Machine) -> None:
        directory = self.sockets / f"{self.name}_{name}"
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
        fresh = directory / "next"
        fresh.symlink_to(machine.socket)
        fresh.replace(directory / ".s.PGSQL.5432")  # any name serves MariaDB

    def fail_over(self) -> None:
        """Lose the primary when its first replica has everything, and let that take its place."""
        old, new = self.primary, self.replicas[0]
        new.wait_for(old)
        old.kill()
        new.promote()
        self.primary = new
        self.name_primary()
        for replica in self.replicas[1:]:
            assert replica.link is not None
            replica.link.lead_to(new.port)
            replica.follow_again()


@dataclass
class Cluster:
    """The machines of a run."""

    vendor: str
    directory: Path
    groups: list[Group] = field(default_factory=list)
    #: What CACHES of the site says beside its default.
    caches: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The file that the site reads its databases from."""
        return self.directory / "site.json"

    def be_late(self, lag: float) -> None:
        """Let all replicas be so late: on the way if that is less than a second, else in showing what came."""
        for group in self.groups:
            for replica in group.replicas:
                assert replica.link is not None
                if lag < 1:
                    replica.link.delay = lag
                else:
                    replica.link.delay = 0.0
                    replica.delay(lag)

    def write_config(self, **shardkit: Any) -> None:
        """Write that file."""
        databases: dict[str, Any] = {"audit": self.entry("a_primary", "audit")}
        replicas: dict[str, list[str]] = {}
        for group, aliases in GROUPS.items():
            for alias in aliases:
                databases[alias] = self.entry(f"{group}_primary", alias)
                replicas[alias] = [f"{alias}_replica_{number}" for number in range(REPLICAS)]
                for number, name in enumerate(replicas[alias]):
                    databases[name] = self.entry(f"{group}_replica_{number}", alias)
        databases["default"]["ENGINE"] = f"shardkit.backends.{self.vendor}"
        shards = {alias: {"primary": alias, "replicas": replicas[alias]} for alias in ("shard_0", "shard_1")}
        settings = {"SHARDS": shards, "REPLICAS": {"default": replicas["default"]}, **shardkit}
        self.config.write_text(
            json.dumps({"DATABASES": databases, "SHARDKIT": settings, "CACHES": self.caches}, indent=1)
        )

    def entry(self, socket: str, name: str) -> dict[str, Any]:
        directory = self.directory / "sockets" / socket
        entry = {"ENGINE": f"django.db.backends.{self.vendor}", "NAME": f"soak_{name}", "CONN_MAX_AGE": None}
        if self.vendor == "mysql":
            options = {"connect_timeout": 3, "read_timeout": 10}
            return entry | {"HOST": str(directory / ".s.PGSQL.5432"), "USER": "root", "OPTIONS": options}
        options = {"connect_timeout": 3}
        return entry | {"HOST": str(directory), "PORT": "5432", "USER": "postgres", "OPTIONS": options}


@contextmanager
def running_cluster(vendor: str) -> Iterator[Cluster]:
    """Run all machines inside the block."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        directory.chmod(0o755)
        (directory / "sockets").mkdir()
        links = Links()
        stack.callback(links.close)
        cluster = Cluster(vendor, directory)
        # A server ends with the thread that started it: these threads live as long as the block.
        threads = stack.enter_context(ThreadPoolExecutor(len(GROUPS)))
        start = partial(started, stack, links, cluster)
        cluster.groups = list(threads.map(start, GROUPS, range(10, 100, 10)))
        yield cluster


def started(stack: ExitStack, links: Links, cluster: Cluster, name: str, number: int) -> Group:
    primary = _machine(stack, cluster.vendor, number, None)
    replicas = [
        _machine(stack, cluster.vendor, number + 1 + each, links.make(primary.port)) for each in range(REPLICAS)
    ]
    for alias in (*GROUPS[name], *(("audit",) if "default" in GROUPS[name] else ())):
        primary.ask(f"CREATE DATABASE soak_{alias}")
    for replica in replicas:
        replica.wait_for(primary)
    group = Group(name, primary, replicas, cluster.directory / "sockets")
    group.name_all()
    return group


def _machine(stack: ExitStack, vendor: str, number: int, link: Any) -> Machine:
    from tests.soak.mariadb import MariaDB
    from tests.soak.postgresql import PostgreSQL

    home = stack.enter_context(server_home(ACCOUNTS[vendor]))
    machine: Machine = (PostgreSQL if vendor == "postgresql" else MariaDB)(home, number, link)
    machine.create()
    machine.start()
    stack.callback(machine.stop)
    return machine
