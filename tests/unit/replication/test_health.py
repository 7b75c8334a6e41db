"""When is a replica left out, and how does it come back?"""

from __future__ import annotations

import logging

import pytest

from shardkit.replication.health import FIRST_SHARE, LONGEST_BAN, SLOW_START, Health
from shardkit.topology.names import Alias

REPLICA = Alias("replica")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock, lambda: 0.0)


def bans(health: Health, clock: Clock, count: int) -> list[float]:
    """Fail again as soon as each ban ends, and return how long each lasts."""
    found = []
    for _ in range(count):
        health.failed(REPLICA, "gone")
        found.append(health.banned_for(REPLICA))
        clock.time += found[-1]
    return found


def test_a_replica_that_never_failed_takes_its_whole_share(health: Health) -> None:
    health.succeeded(REPLICA)

    assert (0.0, 1.0) == (health.banned_for(REPLICA), health.share(REPLICA))


def test_each_ban_is_twice_as_long_as_the_one_before_within_limits(health: Health, clock: Clock) -> None:
    assert [0.5, 1, 2, 4, 8, 16, 30, 30, 30] == bans(health, clock, 9)


def test_a_replica_may_be_gone_for_days(health: Health, clock: Clock) -> None:
    assert LONGEST_BAN == bans(health, clock, 5000)[-1]


def test_processes_do_not_come_back_together(clock: Clock) -> None:
    chances = iter([0.0, 0.5, 1.0])
    found = []
    for _ in range(3):
        health = Health(clock, lambda: next(chances))
        health.failed(REPLICA, "gone")
        found.append(health.banned_for(REPLICA))

    assert [0.5, 0.625, 0.75] == found


def test_failures_of_reads_that_run_at_the_same_time_are_one(health: Health, clock: Clock) -> None:
    for _ in range(10):
        health.failed(REPLICA, "gone")
    clock.time += 0.5

    assert 0.0 == health.banned_for(REPLICA)


def test_what_ends_well_during_a_ban_began_before_it(health: Health, clock: Clock) -> None:
    health.failed(REPLICA, "gone")
    clock.time += 0.2
    health.succeeded(REPLICA)

    assert 0.3 == pytest.approx(health.banned_for(REPLICA))
    assert FIRST_SHARE == health.share(REPLICA)


def test_a_replica_that_answers_again_takes_its_share_step_by_step(health: Health, clock: Clock) -> None:
    health.failed(REPLICA, "gone")
    clock.time += 100
    health.succeeded(REPLICA)
    found = []
    for _ in range(5):
        found.append(health.share(REPLICA))
        clock.time += SLOW_START / 4
        health.succeeded(REPLICA)

    assert [FIRST_SHARE, 0.25, 0.5, 0.75, 1.0] == found


def test_one_that_fails_again_before_it_has_its_share_is_banned_for_longer(health: Health, clock: Clock) -> None:
    bans(health, clock, 2)
    health.succeeded(REPLICA)
    clock.time += SLOW_START - 1
    health.succeeded(REPLICA)

    assert [2.0] == bans(health, clock, 1)


def test_failures_are_forgotten_when_it_has_its_whole_share(health: Health, clock: Clock) -> None:
    bans(health, clock, 5)
    health.succeeded(REPLICA)
    clock.time += SLOW_START
    health.succeeded(REPLICA)

    assert [0.5] == bans(health, clock, 1)


def test_replicas_fail_each_for_itself(health: Health) -> None:
    health.failed(REPLICA, "gone")

    assert 0.0 == health.banned_for(Alias("other"))


def test_everything_can_be_forgotten(health: Health) -> None:
    health.failed(REPLICA, "gone")
    health.forget()

    assert (0.0, 1.0) == (health.banned_for(REPLICA), health.share(REPLICA))


def test_a_child_of_the_process_finds_the_lock_open(health: Health) -> None:
    health._lock.acquire()
    health.unlock()
    health.failed(REPLICA, "gone")

    assert health.banned_for(REPLICA)


def test_a_change_is_logged_once(health: Health, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shardkit.replication")

    bans(health, clock, 3)
    for _ in range(3):
        health.succeeded(REPLICA)
    bans(health, clock, 2)

    assert [
        "The replica replica is left out, for 0.5 s at first: gone",
        "The replica replica answers again.",
        "The replica replica is left out, for 4.0 s at first: gone",
    ] == [record.getMessage() for record in caplog.records]
    assert {"replica"} == {record.__dict__["alias"] for record in caplog.records}
