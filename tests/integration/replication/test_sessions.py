"""Does a session come back to replicas after a failover, and is it kept from servers with a history of their own?"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import connections

from shardkit.consistency.jobs.carrying import is_caught_up
from shardkit.consistency.session import Session
from shardkit.replication import monitor, readings
from shardkit.replication.selection import Need, choose
from shardkit.topology.names import Alias
from tests.fix_replicas import PRIMARY, REPLICAS, Family, Servers
from tests.waiting import wait_for

needs_servers = pytest.mark.skipif(
    os.environ.get("TESTAPP_VENDOR", "sqlite") == "sqlite", reason="SQLite has no servers"
)


@pytest.fixture(autouse=True)
def _watched(settings: Any, family: Family) -> Iterator[None]:  # noqa: ARG001 - it is there first
    settings.SHARDKIT = {
        **settings.SHARDKIT,
        "REPLICAS": {PRIMARY: list(REPLICAS)},
        "REPLICA_INTERVAL": 0.05,
        "REPLICA_MAX_LAG": 20,
    }
    monitor.watch(PRIMARY)
    wait_for(lambda: all((found := readings.latest(alias)) and found.behind is not None for alias in REPLICAS))
    yield
    monitor.stop()


@needs_servers
def test_a_session_that_wrote_before_a_failover_comes_back_to_replicas(servers: Servers) -> None:
    """It need not read the primary for that: a job that waits for replicas does not."""
    servers.write()
    session = Session()
    session.require(PRIMARY, servers.position())
    wait_for(lambda: is_caught_up(session))
    servers.fail_over()
    servers.write()

    wait_for(lambda: (found := readings.newest(PRIMARY)) and found.position.includes(servers.position()), 60)
    wait_for(lambda: is_caught_up(session), 30)
    assert 2 == servers.count(1)


def test_a_replica_that_is_ahead_of_its_primary_is_not_read(family: Family, caplog: pytest.LogCaptureFixture) -> None:
    """Nor when the primary has got as far: its rows are others."""
    with _restored(family):
        wait_for(lambda: all("it is ahead of its primary" in _why(alias) for alias in REPLICAS), 40)
        for _ in range(2):
            _write_much(family)
        _let_samples_pass(2)

        assert all("it is ahead of its primary" in _why(alias) for alias in REPLICAS)
        assert {PRIMARY} == {choose(PRIMARY, Need()).alias for _ in range(20)}
        assert 2 == sum("Copy it anew." in record.getMessage() for record in caplog.records)


def test_replicas_that_only_follow_are_never_taken_for_others(family: Family, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(150):
        family.write(number)
        monitor.kick(PRIMARY)
        family.position()
        assert not any("ahead" in _why(alias) for alias in REPLICAS)
    _let_samples_pass(3)

    assert "ahead" not in caplog.text
    wait_for(lambda: choose(PRIMARY, Need(max_lag=1)).alias in REPLICAS)


def _why(alias: Alias) -> str:
    monitor.watch(PRIMARY)
    found = readings.latest(alias)
    return found.why if found is not None and found.behind is None else ""


def _let_samples_pass(count: int) -> None:
    for _ in range(count):
        moment = time.monotonic()
        monitor.kick(PRIMARY)
        wait_for(lambda moment=moment: readings.sampled_after(PRIMARY, moment), 20)  # type: ignore[misc]


@contextmanager
def _restored(family: Family) -> Iterator[None]:
    """Write, and let the primary lose that, as one does that is restored from a backup."""
    family.is_used_up = True
    if isinstance(family, Servers):
        restore = _cold_copy(family.group.primary) if connections[PRIMARY].vendor == "postgresql" else _no_log(family)
    else:
        restore = _old_file(family)
    _write_much(family)
    family.catch_up()
    wait_for(lambda: all(readings.behind(PRIMARY, _position(alias), time.monotonic()) for alias in REPLICAS))
    connections[PRIMARY].close()
    restore()
    yield


def _write_much(family: Family) -> None:
    """Write more than a primary does by itself when it starts, before anybody has compared it with its replicas.

    SQLite counts the samples between which somebody has written, so there are some.
    """
    if connections[PRIMARY].vendor == "postgresql":
        family.sql(PRIMARY, "INSERT INTO thing SELECT generate_series(1, 20000)")
    for number in range(5):
        family.write(number)
        _let_samples_pass(1)


def _position(alias: Alias) -> Any:
    found = readings.latest(alias)
    assert found is not None
    return found.position


def _cold_copy(machine: Any) -> Callable[[], None]:
    """PostgreSQL: the files of a server that is stopped."""
    connections[PRIMARY].close()
    saved = machine.data.with_name(f"{machine.data.name}_saved")
    machine.stop()
    subprocess.run(["cp", "-a", machine.data, saved], check=True)  # noqa: S607 - it keeps owners, as shutil does not
    machine.start()

    def restore() -> None:
        machine.kill()
        subprocess.run(["rm", "-rf", machine.data], check=True)  # noqa: S607
        subprocess.run(["mv", saved, machine.data], check=True)  # noqa: S607
        machine.start()

    return restore


def _no_log(family: Servers) -> Callable[[], None]:
    """MariaDB: it begins to count anew."""

    def restore() -> None:
        family.group.primary.ask("RESET MASTER")
        family.write(100)

    return restore


def _old_file(family: Any) -> Callable[[], None]:
    """SQLite: what the file held before, and nobody copies it meanwhile."""
    path = str(family.files[PRIMARY])
    saved = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(path)) as primary:
        primary.backup(saved)

    def restore() -> None:
        for which in range(len(REPLICAS)):
            family.pause(which)
        with closing(saved), closing(sqlite3.connect(path)) as primary:
            saved.backup(primary)

    return restore
