"""Does a session come back to replicas after a failover, and is it kept from servers with a history of their own?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from shardkit.consistency.jobs.carrying import is_caught_up
from shardkit.consistency.session import Session
from shardkit.replication import monitor, readings
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
