"""Does the command keep the replicas of an embedded cluster, and say what it cannot?"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fix_embedded import Embedded

pytestmark = pytest.mark.any_vendor

ROOT = Path(__file__).parents[3]
ALIASES = ("shard_0", "shard_1", "shard_2", "shard_3", "default", "audit")


@pytest.fixture
def cluster(migrated: Embedded) -> Embedded:
    """An embedded cluster whose databases have a replica each, which nobody copies yet."""
    return replace(migrated, variables={"SHARDKIT_REPLICAS": "1"})


@contextmanager
def replicating(cluster: Embedded, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Let the command run inside the block."""
    words = [sys.executable, "-m", "django", "replicate_sqlite", *options]
    environment = {**cluster.environment, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as command:
        try:
            yield command
        finally:
            command.kill()


def airlines(file: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT carrier FROM flights_airline").fetchall()


def test_once_makes_every_replica(cluster: Embedded) -> None:
    ended = cluster.run("replicate_sqlite", "--once")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(f"{alias} -> {alias}_replica_0: copied" for alias in ALIASES) == sorted(ended.stdout.splitlines())
    assert all(cluster.sql(f"{alias}_replica_0", "SELECT COUNT(*) FROM django_migrations") for alias in ALIASES)


def test_what_is_written_reaches_the_replica_after_the_lag(cluster: Embedded) -> None:
    with replicating(cluster, "--lag", "0.3") as command:
        assert command.stdout is not None
        for _line in range(1 + len(ALIASES)):
            command.stdout.readline()
        cluster.sql("shard_0", "INSERT INTO flights_airline (carrier, name) VALUES ('XX', 'Nobody')")
        deadline = time.monotonic() + 20
        while not airlines(cluster.file("shard_0_replica_0")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)

        assert command.wait(20) == 0
        assert command.stdout.read() == "Stopped.\n"


def test_a_file_of_somebody_else_is_left_alone_and_the_others_are_copied(cluster: Embedded) -> None:
    cluster.sql("shard_0_replica_0", "CREATE TABLE precious (id INTEGER)")

    ended = cluster.run("replicate_sqlite", "--once")

    assert ended.returncode == 1
    assert "shard_0_replica_0.sqlite3 holds tables and is no copy of this database" in ended.stderr
    assert "1 of 6 replicas are not copied: shard_0_replica_0." in ended.stderr
    assert [("precious",)] == cluster.sql("shard_0_replica_0", "SELECT name FROM sqlite_master")
    assert cluster.sql("shard_1_replica_0", "SELECT COUNT(*) FROM django_migrations")


def test_without_replicas_there_is_nothing_to_do(migrated: Embedded) -> None:
    ended = migrated.run("replicate_sqlite", "--once")

    assert ended.returncode == 1
    assert "No SQLite database of the settings has a replica." in ended.stderr


@pytest.mark.parametrize("lag", ["0", "-1", "nan", "soon"])
def test_a_lag_that_cannot_be_is_refused(cluster: Embedded, lag: str) -> None:
    ended = cluster.run("replicate_sqlite", f"--lag={lag}")

    assert ended.returncode == 2
    assert "is not a number of seconds above 0" in ended.stderr
