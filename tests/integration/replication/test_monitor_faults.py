"""What does the monitor make of servers that are killed, hang, are cut off, promoted, demoted, and come back?"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from shardkit.replication import health, monitor, readings
from shardkit.replication.readings import Reading
from shardkit.replication.selection import Choice, Need, choose
from shardkit.replication.watching import Watcher
from shardkit.topology.nodes import Role
from tests.fix_replicas import PRIMARY, REPLICAS, Servers
from tests.soak.machines import Machine
from tests.waiting import wait_for

INTERVAL = 0.05

pytestmark = pytest.mark.skipif(os.environ.get("TESTAPP_VENDOR", "sqlite") == "sqlite", reason="SQLite has no servers")


@pytest.fixture(autouse=True)
def _watched(settings: Any, servers: Servers, caplog: pytest.LogCaptureFixture) -> Iterator[None]:  # noqa: ARG001
    settings.SHARDKIT = {
        **settings.SHARDKIT,
        "REPLICAS": {PRIMARY: list(REPLICAS)},
        "REPLICA_INTERVAL": INTERVAL,
        "REPLICA_MAX_LAG": 20,
    }
    caplog.set_level(logging.INFO, "shardkit.replication")
    wait_for(lambda: answering() == set(REPLICAS))
    yield
    monitor.stop()


def choice(**need: Any) -> Choice:
    monitor.watch(PRIMARY)
    return choose(PRIMARY, Need(**need))


def answering(max_lag: float = 1.0) -> set[str]:
    return {choice(max_lag=max_lag).alias for _ in range(40)}


def reading(which: int) -> Reading:
    found = readings.latest(REPLICAS[which])
    assert found is not None
    return found


def age(which: int) -> float:
    return time.monotonic() - reading(which).taken


def logged(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


@contextmanager
def frozen(machine: Machine) -> Iterator[None]:
    """Let all processes of a server stand still inside the block; the network says that it is there."""
    main = int(machine.pid_file.read_text().split()[0])
    processes = [main, *_children(main)]
    _signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # it has ended since it was found
            os.kill(process, number)


def _children(parent: int) -> list[int]:
    stats = (path.read_text().rpartition(")") for path in Path("/proc").glob("[0-9]*/stat"))
    return [int(front.split()[0]) for front, _, back in stats if int(back.split()[1]) == parent]


def test_a_replica_that_is_killed_is_left_out_and_comes_back_by_itself(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    life = reading(0).life
    servers.machine(0).kill()
    wait_for(lambda: health.banned_for(REPLICAS[0]))

    assert {REPLICAS[1]} == answering()
    time.sleep(1.5)
    assert {REPLICAS[1]} == answering()
    servers.machine(0).start()
    wait_for(lambda: reading(0).life != life, 60)

    assert health.share(REPLICAS[0]) < 0.5
    wait_for(lambda: REPLICAS[0] in answering(), 30)
    assert (1, 1) == (logged(caplog, f"{REPLICAS[0]} is left out"), logged(caplog, f"{REPLICAS[0]} answers again"))
    assert 0 == logged(caplog, "are lost")


def test_when_all_replicas_are_killed_the_primary_answers(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    for which in (0, 1):
        servers.machine(which).kill()
    wait_for(lambda: choice().is_lost)

    assert {PRIMARY} == answering()
    time.sleep(1)
    assert 1 == logged(caplog, f"All replicas of {PRIMARY} are lost ({REPLICAS[0]}: ")
    servers.machine(1).start()
    wait_for(lambda: answering() == {REPLICAS[1]}, 60)
    assert 1 == logged(caplog, f"A replica of {PRIMARY} answers again.")
    assert 1 == logged(caplog, f"All replicas of {PRIMARY} are lost")


def test_a_replica_that_hangs_holds_up_nobody(servers: Servers) -> None:
    with frozen(servers.machine(0)):
        wait_for(lambda: answering() == {REPLICAS[1]})
        wait_for(lambda: age(0) > 3 * INTERVAL + 1)
        assert age(1) < 1
        began = time.monotonic()
        monitor.watch(PRIMARY)
        monitor.kick(PRIMARY)
        choose(PRIMARY, Need())
        assert time.monotonic() - began < 0.05
    wait_for(lambda: answering() == set(REPLICAS), 40)


def test_replicas_that_all_hang_are_lost(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    with frozen(servers.machine(0)), frozen(servers.machine(1)):
        wait_for(lambda: choice().is_lost)
        wait_for(lambda: logged(caplog, "are lost"))


def test_a_server_that_hangs_does_not_hold_up_the_end(servers: Servers) -> None:
    (_, *followers) = monitor._groups[PRIMARY].watchers
    with frozen(servers.machine(0)), frozen(servers.group.primary):
        wait_for(lambda: age(0) > 0.5)
        began = time.monotonic()
        monitor.stop()
        assert time.monotonic() - began < 0.3
        wait_for(lambda: not any(follower.is_alive() for follower in followers))
        assert readings.latest(REPLICAS[0]) is None


def test_a_server_that_hangs_does_not_hold_up_a_fork(servers: Servers) -> None:
    with frozen(servers.machine(0)), frozen(servers.machine(1)):
        wait_for(lambda: age(0) > 0.5 and age(1) > 0.5)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        assert time.monotonic() - began < 0.3
        os.waitpid(pid, 0)


def test_one_that_hung_while_it_was_to_be_connected_to_comes_back(servers: Servers) -> None:
    monitor.stop()
    with frozen(servers.machine(0)):
        monitor.watch(PRIMARY)
        wait_for(lambda: answering() == {REPLICAS[1]})
        wait_for(lambda: health.banned_for(REPLICAS[0]))
    wait_for(lambda: answering() == set(REPLICAS), 40)


def test_while_the_primary_hangs_its_replicas_fall_behind(servers: Servers) -> None:
    with frozen(servers.group.primary):
        wait_for(lambda: answering() == {PRIMARY})
        assert "lag " in choice(max_lag=0.5).why
        assert Role.REPLICA is choice().role  # within what the settings admit
    wait_for(lambda: answering() == set(REPLICAS), 40)


def test_while_the_primary_is_gone_its_replicas_fall_behind(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    servers.group.primary.kill()
    connections[PRIMARY].close()
    wait_for(lambda: answering() == {PRIMARY})
    time.sleep(1)
    assert "lag " in choice(max_lag=0.5).why
    assert 1 == logged(caplog, f"Where {PRIMARY} is cannot be asked:")

    servers.group.primary.start()
    wait_for(lambda: answering() == set(REPLICAS), 40)
    assert 1 == logged(caplog, f"Where {PRIMARY} is can be asked again.")
    assert 1 == logged(caplog, f"Where {PRIMARY} is cannot be asked:")


def test_a_replica_that_is_promoted_is_no_replica(servers: Servers) -> None:
    servers.promote(0)

    wait_for(lambda: not reading(0).is_replica)
    assert {REPLICAS[1]} == answering()
    taken = reading(0).taken
    wait_for(lambda: reading(0).taken > taken)  # it is asked again, for its name may lead elsewhere


def test_after_a_failover_samples_of_the_old_primary_are_forgotten(servers: Servers) -> None:
    servers.write()
    old = readings.newest(PRIMARY)
    assert old is not None
    servers.fail_over()
    servers.write()

    wait_for(lambda: (new := readings.newest(PRIMARY)) and not new.position.includes(old.position), 40)

    def stays_away() -> bool:
        servers.write()  # a standby has shown nothing of a new timeline before it replays something of that
        return "sticky until" in choice(includes=old.position, previous=(REPLICAS[1], reading(1).life)).why

    wait_for(stays_away, 60)
    wait_for(lambda: answering() == {REPLICAS[1]})  # for who demands nothing of the past


def test_a_primary_that_takes_no_writes_is_demoted(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """It may be an old one that came back, behind the new one; so it says nothing of how far others are behind."""
    with _refusing_writes(servers):
        wait_for(lambda: readings.is_demoted(PRIMARY))
        wait_for(lambda: choice().why == "lag unknown")
        time.sleep(0.5)
        assert 1 == logged(caplog, f"{PRIMARY} takes no writes")
    wait_for(lambda: not readings.is_demoted(PRIMARY))
    wait_for(lambda: answering() == set(REPLICAS))


@contextmanager
def _refusing_writes(servers: Servers) -> Iterator[None]:
    primary = servers.group.primary
    is_postgresql = connections[PRIMARY].vendor == "postgresql"

    def switch(state: str) -> None:
        if is_postgresql:
            primary.ask(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
            primary.ask("SELECT pg_reload_conf()")
        else:
            primary.ask(f"SET GLOBAL read_only = {state}")

    switch("on")
    try:
        yield
    finally:
        if is_postgresql:
            primary.ask("ALTER SYSTEM RESET default_transaction_read_only")
            primary.ask("SELECT pg_reload_conf()")
        else:
            switch("off")


def test_a_connection_that_the_server_ends_is_opened_again(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    (source, follower, _) = monitor._groups[PRIMARY].watchers
    before = _driver(source), _driver(follower)
    _end_all(servers.group.primary)
    _end_all(servers.machine(0))

    wait_for(lambda: _driver(source) not in {None, before[0]} and _driver(follower) not in {None, before[1]})
    wait_for(lambda: answering() == set(REPLICAS), 30)
    assert 0 == logged(caplog, "are lost")


def _driver(watcher: Watcher) -> Any:
    return watcher._connection and watcher._connection.connection


def _end_all(machine: Machine) -> None:
    if connections[PRIMARY].vendor == "postgresql":
        machine.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname LIKE 'soak%' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return
    for number, name in machine.ask("SELECT id, db FROM information_schema.processlist"):
        if str(name).startswith("soak"):
            machine.ask(f"KILL {number}")


#: A parent that has looked, and a child that ends as programs do: whatever it holds is taken apart.
_PROGRAM = """
import json, os, sys, time
import django
django.setup()
from django.db import connections
from django.test.utils import override_settings
from shardkit.replication import monitor, readings

aliases = json.loads(sys.argv[1])
primary, *replicas = aliases
connections.settings.update({alias: {**connections.settings["default"], **aliases[alias]} for alias in aliases})

def look(since=0.0):
    until = time.monotonic() + 20
    def is_new(alias):
        found = readings.latest(alias)
        return found is not None and found.taken > since
    while not all(map(is_new, replicas)):
        monitor.watch(primary)
        assert time.monotonic() < until, "There are no readings."
        time.sleep(0.01)

def drivers():
    return [watcher._connection.connection for watcher in monitor._groups[primary].watchers]

with override_settings(SHARDKIT={"REPLICAS": {primary: replicas}, "REPLICA_INTERVAL": 0.05}):
    look()
    before = drivers()
    for _ in range(3):
        child = os.fork()
        if not child:
            look()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
    look(time.monotonic())
    assert before == drivers(), "A child has ended the connections of its parent."
"""


def test_a_child_that_ends_leaves_the_connections_to_its_parent(servers: Servers, pytestconfig: pytest.Config) -> None:
    aliases = {alias: servers.entry(alias) for alias in (PRIMARY, *REPLICAS)}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", _PROGRAM, json.dumps(aliases)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(pytestconfig.rootpath)}

    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert (0, "") == (ended.returncode, ended.stderr)
