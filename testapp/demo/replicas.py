"""Where do the replicas of a cluster come from that is there and full?

Settings are read when a process begins, so what reads from the replicas is a process of its own, whose environment
names them, as a site is that is started again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from django.db import connections

from shardkit.replication.sqlite_replicator import SqliteReplicator
from shardkit.topology.names import ShardId
from testapp.demo.clusters import DATABASE, VARIABLES, Cluster, postgresql_programs, replica_of
from testapp.demo.screen import Screen
from testapp.demo.tour import People
from testapp.servers.postgresql import postgresql_standby

#: How far behind the replicas are, in seconds: long enough to be seen.
LAG: Final = 2.0


@contextmanager
def following(cluster: Cluster, shard: ShardId | None) -> Iterator[Mapping[str, str]]:
    """Let replicas follow inside the block, at least one *shard*, and yield what the environment has to say of them."""
    with ExitStack() as stack:
        if cluster.engine == "sqlite":
            for alias in VARIABLES:
                file = Path(connections[alias].settings_dict["NAME"])
                stack.enter_context(SqliteReplicator(file, file.with_name(f"{replica_of(alias)}.sqlite3"), lag=LAG))
            yield {"SHARDKIT_REPLICAS": "1"}
        elif cluster.engine == "postgresql":
            variable = VARIABLES[str(shard)]
            server = cluster.environment[variable].removesuffix(f"/{DATABASE}")
            standby = stack.enter_context(postgresql_standby(server, delay=LAG, binaries=postgresql_programs()))
            yield {variable.replace("_URL", "_REPLICA_URLS"): f"{standby}/{DATABASE}"}
        else:
            yield {}


def can_follow(cluster: Cluster) -> bool:
    """Say whether the demo can start replicas of these databases."""
    return cluster.engine in {"sqlite", "postgresql"}


def read_from_replicas(cluster: Cluster, people: People, screen: Screen) -> None:
    """Let a traveller book while replicas follow, in a process that knows of them."""
    if not can_follow(cluster):
        screen.say("The demo starts replicas of SQLite and of PostgreSQL: make demo, or make demo ENGINE=postgresql.")
        return
    traveller = people.travellers[0]
    with following(cluster, traveller.shard) as environment:
        made = (
            f"Each file gets a replica, and manage.py replicate_sqlite copies what has changed every {LAG:g} s"
            if cluster.engine == "sqlite"
            else f"A standby follows {traveller.shard}, {LAG:g} s after each commit (recovery_min_apply_delay)"
        )
        screen.say(f"{made}. The site is started again, and its environment names the replicas:")
        for name, value in environment.items():
            screen.line(f"{name}={value}")
        words = [sys.executable, "-m", "testapp.demo.following", "--plane", people.planes[-1]]
        words += ["--shard", str(traveller.shard), "--number", str(traveller.pk), "--email", traveller.email]
        subprocess.run(words, env={**os.environ, **environment}, check=True)  # noqa: S603 - our own program
