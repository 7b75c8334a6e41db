"""Does the monitor know how far replicas are, begin and end with whoever asks, and stay out of everybody's way?"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from shardkit.consistency.reading import Reading as Statement
from shardkit.consistency.session import Session, session_scope
from shardkit.replication import health, monitor, readings, watching
from shardkit.replication.readings import Reading
from shardkit.replication.selection import Choice, Need, choose
from shardkit.replication.watching import Watcher, unshared
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role
from tests.fix_replicas import PRIMARY, REPLICAS, VENDOR, Copies, Family
from tests.forking import in_child
from tests.waiting import wait_for

needs_servers = pytest.mark.skipif(VENDOR == "sqlite", reason="a file is one database")

INTERVAL = 0.05
#: An interval at whose end no test waits.
LONG = 60.0


@pytest.fixture(autouse=True)
def _replicas(settings: Any, family: Family) -> Iterator[None]:  # noqa: ARG001 - it is there first
    settings.SHARDKIT = {
        **settings.SHARDKIT,
        "REPLICAS": {PRIMARY: list(REPLICAS)},
        "REPLICA_INTERVAL": INTERVAL,
        "REPLICA_MAX_LAG": 20,
    }
    yield
    monitor.stop()


@pytest.fixture
def _long_interval(settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_INTERVAL": LONG}


def choice(**need: Any) -> Choice:
    monitor.watch(PRIMARY)
    return choose(PRIMARY, Need(**need))


def reading(which: int = 0) -> Reading:
    """Wait for a reading of a replica that is known to follow."""
    monitor.watch(PRIMARY)
    wait_for(lambda: (found := readings.latest(REPLICAS[which])) is not None and found.behind is not None)
    found = readings.latest(REPLICAS[which])
    assert found is not None
    return found


def first_look() -> Reading:
    """Wait for any reading."""
    monitor.watch(PRIMARY)
    wait_for(lambda: readings.latest(REPLICAS[0]))
    found = readings.latest(REPLICAS[0])
    assert found is not None
    return found


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, Watcher)]


def test_replicas_that_follow_are_fresh(family: Family) -> None:
    family.write()

    wait_for(lambda: {choice(max_lag=1).alias for _ in range(20)} == set(REPLICAS))


def test_a_replica_that_stands_still_is_known_to_be_behind_as_soon_as_something_is_written(family: Family) -> None:
    reading()
    family.pause(0)
    family.write()
    written = time.monotonic()

    def lag() -> float:
        found = reading()
        assert found.behind is not None
        return found.behind + time.monotonic() - found.taken

    wait_for(lambda: lag() > 1)
    assert lag() >= time.monotonic() - written - 1
    assert {REPLICAS[1]} == {choice(max_lag=1).alias for _ in range(20)}

    family.resume(0)
    wait_for(lambda: lag() < 1)
    wait_for(lambda: {choice(max_lag=1).alias for _ in range(20)} == set(REPLICAS))


def test_nobody_is_taken_for_fresher_than_he_is(family: Family) -> None:
    """Of each row the moment is known at which its commit was reported. What a reading promises is there."""
    reading()
    reported: list[float] = []
    for number in range(40):
        family.write(number)
        reported.append(time.monotonic())
        found = reading()
        assert found.behind is not None
        promised = sum(moment < found.taken - found.behind for moment in reported)
        assert promised <= family.count(0)
        time.sleep(0.01 * (number % 5))


@pytest.mark.usefixtures("_long_interval")
def test_who_waits_for_a_position_gets_it_at_once(family: Family) -> None:
    reading()
    reading(1)
    family.write()
    moment = time.monotonic()
    assert readings.sampled_after(PRIMARY, moment) is None

    monitor.kick(PRIMARY)
    wait_for(lambda: readings.sampled_after(PRIMARY, moment), 5)
    position = readings.sampled_after(PRIMARY, moment)
    wait_for(lambda: choice(includes=position).role is Role.REPLICA, 5)


@pytest.mark.parametrize("pause", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.usefixtures("_long_interval")
def test_who_wrote_and_reads_on_comes_back_to_replicas_at_any_pace(family: Family, pause: float) -> None:
    reading()
    reading(1)
    with session_scope(Session()) as session:
        family.write()
        session.note_write(PRIMARY)
        for _ in range(40):
            time.sleep(pause)
            if Role.REPLICA is read(session):
                break
        assert Role.REPLICA is read(session)


def read(session: Session) -> Role:
    """Read as a queryset does."""
    statement = Statement()
    with statement.connection(PRIMARY).cursor() as cursor:
        cursor.execute("SELECT count(*) FROM thing")
        if Role.PRIMARY is statement.choices[PRIMARY].role:
            session.note_seen(PRIMARY)
    statement.done()
    statement.end()
    return statement.choices[PRIMARY].role


@pytest.mark.usefixtures("_long_interval")
def test_however_many_wait_the_servers_are_asked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    reading()
    asked: list[float] = []
    note_sample = readings.note_sample

    def noted(primary: Any, sampled: Any) -> None:
        asked.append(sampled.began)
        note_sample(primary, sampled)

    monkeypatch.setattr(readings, "note_sample", noted)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        monitor.kick(PRIMARY)
        time.sleep(0.001)

    assert 2 <= len(asked) <= 0.5 / watching.BETWEEN_LOOKS + 2


def test_nobody_is_kicked_who_does_not_look() -> None:
    monitor.kick(PRIMARY)

    assert [] == threads()


def test_one_thread_looks_at_each_database_however_often_somebody_asks() -> None:
    for _ in range(100):
        monitor.watch(PRIMARY)

    assert {f"shardkit-{alias}" for alias in (PRIMARY, *REPLICAS)} == {thread.name for thread in threads()}
    assert 3 == len(threads())
    assert all(thread.daemon for thread in threads())


def test_threads_that_ask_at_the_same_time_start_it_once() -> None:
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        monitor.watch(PRIMARY)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()

    assert 3 == len(threads())


def test_it_ends_at_once_and_leaves_no_connection(family: Family) -> None:
    reading()
    held = [watcher._connection for watcher in monitor._groups[PRIMARY].watchers]

    began = time.monotonic()
    monitor.stop()

    assert time.monotonic() - began < 0.3
    assert [] == threads()
    assert all(connection is not None and connection.connection is None for connection in held)
    assert readings.latest(REPLICAS[0]) is None
    assert "no reading yet" == choose(PRIMARY, Need()).why
    family.sql(PRIMARY, "DROP TABLE thing")


def test_it_can_be_stopped_before_it_began_and_begun_again() -> None:
    monitor.stop()
    reading()
    monitor.stop()
    monitor.stop()

    reading()


def test_it_ends_when_nobody_asks_and_begins_again_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    reading()
    monkeypatch.setattr(monitor, "IDLE", 0.3)
    wait_for(lambda: not threads())
    assert {} == monitor._groups

    monkeypatch.undo()
    reading()
    wait_for(lambda: choice(max_lag=1).role is Role.REPLICA)


def test_replicas_that_nobody_has_read_for_a_while_are_unknown_and_not_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reading()
    reading(1)
    groups = dict(monitor._groups)
    monkeypatch.setattr(monitor, "IDLE", 0.2)
    wait_for(lambda: PRIMARY not in monitor._groups)
    assert [None] * 3 == [readings.newest(PRIMARY), *map(readings.latest, REPLICAS)]
    assert not groups[PRIMARY].keep(lambda: pytest.fail("What was found before is kept."))

    monkeypatch.undo()
    later = choose(PRIMARY, Need(), now=lambda: time.monotonic() + 70)
    assert ("no reading yet", False) == (later.why, later.is_lost)
    wait_for(lambda: choice(max_lag=1).role is Role.REPLICA)
    assert "are lost" not in caplog.text


def test_connections_of_the_application_are_not_touched() -> None:
    for alias in (PRIMARY, *REPLICAS):
        connections[alias].close()
    reading()

    assert [None] * 3 == [connections[alias].connection for alias in (PRIMARY, *REPLICAS)]


def test_its_connections_are_in_no_pool_and_no_transaction() -> None:
    handler: Any = connections
    handler.settings[PRIMARY] |= {"AUTOCOMMIT": False}
    given = handler.settings[PRIMARY]
    handler.settings[PRIMARY] = {**given, "OPTIONS": {**given["OPTIONS"], "pool": {"min_size": 1}}}

    connection = unshared(PRIMARY)
    try:
        assert "pool" not in connection.settings_dict["OPTIONS"]
        connection.ensure_connection()
        assert connection.get_autocommit()
    finally:
        connection.close()


def test_a_name_is_followed_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    first = reading()
    (source, *_) = monitor._groups[PRIMARY].watchers
    driver = source._connection.connection  # type: ignore[union-attr]
    monkeypatch.setattr("shardkit.replication.watching.LIFETIME", 0.0)

    wait_for(lambda: (found := source._connection) and found.connection not in {None, driver})
    wait_for(lambda: reading().taken > first.taken)
    assert first.life == reading().life
    assert not source.failures


@needs_servers
def test_a_replica_that_is_another_database_of_the_right_server_is_not_read(
    family: Family, caplog: pytest.LogCaptureFixture
) -> None:
    """Positions are those of a server: it has all that its primary has, and shows nothing of it."""
    family.sql(PRIMARY, "DROP DATABASE IF EXISTS another")
    family.sql(PRIMARY, "CREATE DATABASE another")
    family.catch_up()
    lead_to("another")
    monitor.watch(PRIMARY)
    wait_for(lambda: all("it is the database another" in _why(alias) for alias in REPLICAS))

    assert {PRIMARY} == {choice().alias for _ in range(20)}
    assert "and its primary is soak_shard_1" in choice().why
    told = [record.getMessage() for record in caplog.records if "Correct its NAME" in record.getMessage()]
    assert len(REPLICAS) == len(told)


def lead_to(database: str) -> None:
    """Let the aliases of the replicas lead to another database."""
    for alias in REPLICAS:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = database


def _why(alias: Alias) -> str:
    found = readings.latest(alias)
    return "" if found is None else found.why


def test_a_database_that_is_not_there_is_a_replica_that_failed(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICAS": {PRIMARY: [REPLICAS[0], "unheard_of"]}}

    wait_for(lambda: choice(max_lag=1).alias == REPLICAS[0])
    wait_for(lambda: "The replica unheard_of is left out" in caplog.text)


def test_python_may_be_about_to_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(self: Watcher) -> None:
        raise RuntimeError(f"can't start new thread {self.name}")

    monkeypatch.setattr(Watcher, "start", refuse)

    assert "no reading yet" == choice().why
    assert {} == monitor._groups
    assert "Nobody looks at the replicas of grid: can't start new thread" in caplog.text


def test_the_log_says_once_that_no_thread_can_be_started_until_one_can(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Watcher) -> None:
        raise RuntimeError(f"can't start new thread {self.name}")

    def said() -> int:
        return sum("Nobody looks" in record.getMessage() for record in caplog.records)

    for times in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(Watcher, "start", refuse)
            for _ in range(10):
                monitor.watch(PRIMARY)
        assert times == said()
        first_look()
        monitor._groups.pop(PRIMARY).stop()


class TestFork:
    """A child begins anew, and leaves what its parent has to its parent."""

    @pytest.fixture(autouse=True)
    def _nothing_is_copied(self, family: Family) -> None:
        """What copies files runs in this process, and would leave the child the locks of SQLite."""
        if isinstance(family, Copies):
            family.stop()

    def test_a_child_knows_nothing_and_looks_for_itself(self) -> None:
        parents = first_look()

        def child() -> None:
            assert readings.latest(REPLICAS[0]) is None
            assert "no reading yet" == choose(PRIMARY, Need()).why
            assert [] == threads()
            found = first_look()
            assert found.taken > parents.taken
            assert parents.life == found.life
            assert 3 == len(threads())
            monitor.stop()

        in_child(child)

    def test_a_parent_goes_on_with_its_connections(self, caplog: pytest.LogCaptureFixture) -> None:
        first_look()
        wait_for(lambda: None not in drivers())
        before = drivers()

        in_child(first_look)
        now = time.monotonic()

        wait_for(lambda: first_look().taken > now)
        assert before == drivers()
        assert "" == caplog.text

    @pytest.mark.parametrize(
        "lock", ["shardkit.replication.monitor._lock", "shardkit.replication.health._health._lock"]
    )
    def test_a_child_is_not_held_up_by_what_a_thread_of_its_parent_held(self, lock: str) -> None:
        held = {"monitor": monitor._lock, "health": health._health._lock}[lock.split(".")[2]]

        def act() -> None:
            first_look()
            health.failed(REPLICAS[0], "gone")
            monitor.stop()

        with held:
            in_child(act)

    def test_the_objects_of_a_parents_connections_stay(self) -> None:
        """A driver's object that goes says goodbye to the server."""
        watcher = Still(PRIMARY, threading.Event())
        watcher.leave_to_parent()  # nothing is open yet
        driver = watcher._reached().connection
        before = sys.getrefcount(driver)
        watcher.leave_to_parent()

        assert before + 1 == sys.getrefcount(driver)
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(driver))
        watcher.close()

    def test_no_thread_is_inside_a_driver_meanwhile(self) -> None:
        first_look()
        watcher = monitor._groups[PRIMARY].watchers[0]
        watcher.busy.acquire()
        timer = threading.Timer(0.05, watcher.busy.release)
        began = time.monotonic()
        timer.start()
        in_child(lambda: None)
        assert time.monotonic() - began > 0.05
        timer.join()

        now = time.monotonic()
        wait_for(lambda: first_look().taken > now)

    def test_grandchildren_are_children(self) -> None:
        first_look()

        def child() -> None:
            first_look()
            in_child(first_look)
            first_look()

        in_child(child)


class Still(Watcher):
    """A watcher that is never started."""

    def look(self, connection: Any) -> bool:
        raise AssertionError(connection)

    def failed(self, error: Exception) -> None:
        raise AssertionError(error)


def drivers() -> list[Any]:
    """Return the connections of the drivers, which are open."""
    held = (watcher._connection for watcher in monitor._groups[PRIMARY].watchers)
    return [connection and connection.connection for connection in held]
