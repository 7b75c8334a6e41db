"""Which database answers, by what is known?"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from shardkit.positions.counter import Counter
from shardkit.replication import health, readings
from shardkit.replication.readings import Reading
from shardkit.replication.selection import Choice, Need, choose
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role

PRIMARY = Alias("shard_0")
A, B, C = Alias("a"), Alias("b"), Alias("c")
NOW = 1000.0
LIFE = "life"


@pytest.fixture(autouse=True)
def _replicas(settings: Any) -> Iterator[None]:
    settings.SHARDKIT = {"REPLICAS": {PRIMARY: [A, B], "default": [C]}, "REPLICA_INTERVAL": 0.2, "REPLICA_MAX_LAG": 10}
    readings.forget()
    health.forget()
    yield
    readings.forget()
    health.forget()


def at(count: int) -> Counter:
    return Counter(1, count)


def found(alias: Alias, *, count: int | None = 10, behind: float | None = 0.1, age: float = 0.1, **other: Any) -> None:
    position = None if count is None else at(count)
    readings.note(alias, Reading(position, **{"life": LIFE, **other}, taken=NOW - age, behind=behind))


def choice(need: Need = Need(), **options: Any) -> Choice:  # noqa: B008 - it is frozen
    return choose(PRIMARY, need, now=lambda: NOW, **options)


def reason(need: Need = Need(), **options: Any) -> str:  # noqa: B008 - it is frozen
    """Return why it is the primary that answers."""
    chosen = choice(need, **options)
    assert (PRIMARY, Role.PRIMARY) == (chosen.alias, chosen.role)
    return chosen.why


def test_a_fresh_replica_answers() -> None:
    found(A, behind=0.1, age=0.3)

    assert Choice(A, Role.REPLICA, "fresh (0.4 s behind)", LIFE) == choice()


def test_unknown_is_never_fresh() -> None:
    assert "no reading yet" == reason()
    found(A, count=None, why="the link is cut")
    found(B, behind=None)
    assert "lag unknown: the link is cut; lag unknown" == reason()


def test_a_primary_without_replicas_answers_itself() -> None:
    assert "it has no replicas" == choose(Alias("shard_1"), Need()).why


def test_how_far_a_replica_is_behind_includes_the_age_of_the_reading() -> None:
    found(A, behind=0.5, age=0.4)

    assert Role.REPLICA is choice(Need(max_lag=0.95)).role
    assert "lag 0.9 s > 0.85 s; no reading yet" == reason(Need(max_lag=0.85))


def test_what_is_too_far_behind_is_also_written_as_more_than_the_limit() -> None:
    found(A, behind=0.0, age=0.03)

    assert "lag 0.03 s > 0.001 s; no reading yet" == reason(Need(max_lag=0.001))


def test_the_settings_say_how_far_behind_a_replica_may_be_at_most(settings: Any) -> None:
    found(A, behind=7.0)
    assert Role.REPLICA is choice().role

    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_MAX_LAG": {PRIMARY: 5, "*": 10}}
    found(A, behind=7.0)  # settings that change begin with nothing
    assert "lag 7.1 s > 5 s; no reading yet" == reason(Need(max_lag=60))


def test_an_old_reading_says_nothing() -> None:
    found(A, age=1.5)
    assert Role.REPLICA is choice().role

    found(A, age=1.7)
    assert "its reading is 1.7 s old; no reading yet" == reason()


def test_a_replica_must_include_what_is_demanded() -> None:
    found(A, count=10)
    found(B, count=11)

    assert {B} == {choice(Need(includes=at(11))).alias for _ in range(20)}
    assert "sticky until 12" == reason(Need(includes=at(12)))


def test_positions_of_another_incarnation_are_not_included() -> None:
    found(A, count=10)

    assert "sticky until 3; no reading yet" == reason(Need(includes=Counter(2, 3)))


def test_what_follows_no_primary_is_no_replica() -> None:
    found(A, is_replica=False)

    assert "it follows no primary; no reading yet" == reason()


def test_a_replica_that_has_just_failed_is_not_tried_again() -> None:
    found(A)

    assert "it cannot be read just now; no reading yet" == reason(exclude=frozenset({A}))


def test_a_banned_replica_is_left_out() -> None:
    found(A)
    found(B)
    health.failed(A, "gone")

    assert {B} == {choice().alias for _ in range(20)}
    health.failed(B, "gone")
    assert "banned 1 s" == reason()


def test_replicas_are_lost_when_none_answers() -> None:
    health.failed(A, "gone")
    found(B, age=5)

    assert choice().is_lost


def test_they_are_lost_for_a_caller_too_who_had_one_of_them() -> None:
    health.failed(A, "gone")
    found(B, age=5)

    lost = choice(Need(previous=(A, LIFE)))
    assert (True, True) == (lost.moved, lost.is_lost)


@pytest.mark.parametrize("other", [{"behind": 60.0}, {"behind": None}, {"is_replica": False}])
def test_a_replica_that_answers_is_not_lost(other: Any) -> None:
    health.failed(A, "gone")
    found(B, **other)

    chosen = choice()
    assert (Role.PRIMARY, False) == (chosen.role, chosen.is_lost)


def test_replicas_that_nobody_has_asked_yet_are_not_lost() -> None:
    assert not choice().is_lost


def test_a_conflict_with_one_read_loses_no_replica() -> None:
    found(A)
    found(B)

    assert not choice(exclude=frozenset({A, B})).is_lost


def test_a_caller_keeps_its_replica() -> None:
    found(A)
    found(B)

    assert {Choice(B, Role.REPLICA, "fresh (0.2 s behind)", LIFE)} == {choice(Need(previous=(B, LIFE))) for _ in "1234"}


@pytest.mark.parametrize(
    ("b", "why"),
    [
        ({"behind": 60.0}, "lag 60.1 s > 10 s"),
        ({"behind": None}, "lag unknown"),
        ({"count": 3}, "sticky until 5"),
        ({"life": "next"}, "b was started again"),
        ({"is_replica": False}, "it follows no primary"),
        ({"age": 9.0}, "its reading is 9.0 s old"),
    ],
)
def test_a_caller_whose_replica_cannot_go_on_gets_the_primary_first(b: Any, why: str) -> None:
    """Another replica may not have what the caller has seen already."""
    found(A)
    found(B, **b)

    assert Choice(PRIMARY, Role.PRIMARY, why, moved=True) == choice(Need(includes=at(5), previous=(B, LIFE)))


def test_a_caller_leaves_a_replica_that_is_banned_or_was_just_tried() -> None:
    found(A)
    assert "it cannot be read just now" == reason(Need(previous=(A, LIFE)), exclude=frozenset({A}))

    health.failed(A, "gone")
    assert Choice(PRIMARY, Role.PRIMARY, "banned 1 s", moved=True) == choice(Need(previous=(A, LIFE)))


def test_a_caller_leaves_a_replica_that_was_given_to_another_primary() -> None:
    """Its token may be older than the settings."""
    found(C)

    assert "it follows shard_0 no more" == reason(Need(previous=(C, LIFE)))
    assert "it follows shard_0 no more" == reason(Need(previous=(Alias("gone"), LIFE)))


def test_a_caller_leaves_a_replica_that_nothing_is_known_of() -> None:
    assert Choice(PRIMARY, Role.PRIMARY, "no reading yet", moved=True) == choice(Need(previous=(A, LIFE)))


def drawn(count: int = 4000) -> dict[str, float]:
    """Return which part of the reads each replica gets."""
    draw = Random(7).random  # noqa: S311 - the same draws in every run
    tally = Tally(choice(draw=draw).alias for _ in range(count))
    return {alias: number / count for alias, number in tally.items()}


def test_replicas_share_reads_alike() -> None:
    found(A)
    found(B)

    assert {A: 0.5, B: 0.5} == pytest.approx(drawn(), abs=0.03)


def test_replicas_share_reads_by_weight(settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_WEIGHTS": {A: 3}}
    found(A)
    found(B)

    assert {A: 0.75, B: 0.25} == pytest.approx(drawn(), abs=0.03)


def test_a_replica_of_no_weight_is_read_when_no_other_is_fresh(settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_WEIGHTS": {A: 0, B: 1}}
    found(A)
    found(B)
    assert {B: 1.0} == drawn(100)

    found(B, behind=60.0)
    assert {A: 1.0} == drawn(100)


def test_replicas_of_no_weight_share_alike(settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_WEIGHTS": {A: 0, B: 0}}
    found(A)
    found(B)

    assert {A: 0.5, B: 0.5} == pytest.approx(drawn(), abs=0.03)


def test_a_replica_that_comes_back_is_read_by_few_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found(A)
    found(B)
    monkeypatch.setattr(health, "share", {A: 0.1, B: 1.0}.__getitem__)

    assert {A: 1 / 11, B: 10 / 11} == pytest.approx(drawn(), abs=0.03)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999999999, 1.0])
def test_every_chance_draws_a_replica(chance: float) -> None:
    found(A)
    found(B)

    assert choice(draw=lambda: chance).alias in {A, B}


def test_choosing_reads_only_memory() -> None:
    """It takes microseconds; the bound is wide, for machines that are busy. The benchmark says the rest."""
    readings.note(A, Reading(at(10), LIFE, time.monotonic(), 0.1))
    need = Need(includes=at(5), previous=(A, LIFE))

    began = time.perf_counter()
    for _ in range(200):
        choose(PRIMARY, need)

    assert (time.perf_counter() - began) / 200 < 0.001
