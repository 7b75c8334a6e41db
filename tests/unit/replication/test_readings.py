"""What is known of a replica, and for how long?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shardkit.positions.counter import Counter
from shardkit.replication import readings
from shardkit.replication.readings import SAMPLES, Compared, Reading, Sampled
from shardkit.topology.names import Alias

PRIMARY = Alias("shard_0")


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    readings.forget()
    yield
    readings.forget()


def at(count: int, incarnation: int = 1) -> Counter:
    return Counter(incarnation, count)


def sample(*pairs: tuple[float, int], incarnation: int = 1) -> None:
    for began, count in pairs:
        readings.note_sample(PRIMARY, Sampled(began, at(count, incarnation)))


def test_nothing_is_known_before_the_first_look() -> None:
    assert readings.latest(Alias("replica")) is None
    assert readings.newest(PRIMARY) is None
    assert readings.sampled_after(PRIMARY, 0.0) is None
    assert readings.behind(PRIMARY, at(1), 5.0) is None
    assert not readings.is_demoted(PRIMARY)


def test_a_primary_that_begins_to_number_anew_takes_writes_and_has_no_samples() -> None:
    sample((1.0, 10))
    readings.note_demoted(PRIMARY)
    readings.note_unnumbered(PRIMARY)

    assert readings.newest(PRIMARY) is None
    assert not readings.is_demoted(PRIMARY)


def test_the_latest_reading_counts() -> None:
    for taken in (1.0, 2.0):
        readings.note(Alias("replica"), Reading(at(1), "life", taken, 0.1))

    found = readings.latest(Alias("replica"))
    assert found is not None
    assert 2.0 == found.taken


@pytest.mark.parametrize(("count", "behind"), [(10, 4.0), (14, 4.0), (15, 3.0), (29, 2.0), (30, 1.0), (99, 1.0)])
def test_a_replica_is_behind_by_the_time_since_the_newest_sample_that_it_has(count: int, behind: float) -> None:
    sample((1.0, 10), (2.0, 15), (3.0, 20), (4.0, 30))

    assert behind == readings.behind(PRIMARY, at(count), 5.0)


def test_how_far_a_replica_is_behind_that_has_no_sample_is_unknown() -> None:
    sample((1.0, 10), (2.0, 15))

    assert readings.behind(PRIMARY, at(9), 5.0) is None


def test_while_the_primary_cannot_be_asked_its_replicas_fall_behind() -> None:
    sample((1.0, 10))

    assert [4.0, 99.0] == [readings.behind(PRIMARY, at(10), now) for now in (5.0, 100.0)]


def test_a_sample_that_began_after_the_reading_does_not_make_it_early() -> None:
    sample((6.0, 10))

    assert 0.0 == readings.behind(PRIMARY, at(10), 5.9)


@pytest.mark.parametrize(("moment", "expected"), [(0.0, 10), (1.0, 15), (1.5, 15), (2.9, 20), (3.0, None), (9.0, None)])
def test_only_samples_that_began_after_the_moment_include_what_was_before_it(
    moment: float, expected: int | None
) -> None:
    sample((1.0, 10), (2.0, 15), (3.0, 20))

    found = readings.sampled_after(PRIMARY, moment)

    assert expected == (found.count if isinstance(found, Counter) else None)


def test_samples_of_another_incarnation_are_forgotten() -> None:
    sample((1.0, 10), (2.0, 15))
    sample((3.0, 2), incarnation=2)

    assert readings.behind(PRIMARY, at(15), 5.0) is None
    assert 2.0 == readings.behind(PRIMARY, at(2, incarnation=2), 5.0)
    assert at(2, incarnation=2) == readings.sampled_after(PRIMARY, 0.0)


def test_samples_of_a_primary_that_lost_commits_are_forgotten() -> None:
    """One that did not wait for its disk may come back further behind than it was."""
    sample((1.0, 10), (2.0, 15), (3.0, 12))

    assert 2.0 == readings.behind(PRIMARY, at(13), 5.0)
    assert at(12) == readings.sampled_after(PRIMARY, 0.0)


def test_what_a_demoted_primary_says_is_no_sample() -> None:
    sample((1.0, 10))
    readings.note_demoted(PRIMARY)

    assert readings.is_demoted(PRIMARY)
    assert readings.behind(PRIMARY, at(10), 5.0) is None
    assert readings.sampled_after(PRIMARY, 0.0) is None


def test_a_primary_that_takes_writes_again_is_not_demoted() -> None:
    readings.note_demoted(PRIMARY)
    sample((3.0, 11))

    assert not readings.is_demoted(PRIMARY)
    assert 1.0 == readings.behind(PRIMARY, at(11), 4.0)


def test_an_idle_primary_needs_two_samples_however_long_it_is_idle() -> None:
    sample((1.0, 9), *((float(second), 10) for second in range(2, 1000)))

    assert 3 == len(readings._samples[PRIMARY])
    assert 1.0 == readings.behind(PRIMARY, at(10), 1000.0)
    assert 999.0 == readings.behind(PRIMARY, at(9), 1000.0)
    assert at(10) == readings.sampled_after(PRIMARY, 500.0)


def test_a_busy_primary_is_remembered_less_exactly_the_longer_ago() -> None:
    last = 10_000
    sample(*((float(second), second) for second in range(1, last)))

    assert SAMPLES >= len(readings._samples[PRIMARY])
    assert 1.0 == readings.behind(PRIMARY, at(last), float(last))
    for lag in (5, 50, 500, 5000):
        known = readings.behind(PRIMARY, at(last - lag), float(last))
        assert known is not None
        assert lag <= known <= 2 * lag + 2
        moment = float(last - lag)
        found = readings.sampled_after(PRIMARY, moment)
        assert isinstance(found, Counter)
        assert found.count > moment


def test_everything_can_be_forgotten() -> None:
    sample((1.0, 10))
    readings.note(Alias("replica"), Reading(at(1), "life", 1.0, 0.1))
    readings.note_demoted(Alias("shard_1"))

    readings.forget()

    assert readings.newest(PRIMARY) is None
    assert readings.latest(Alias("replica")) is None
    assert not readings.is_demoted(Alias("shard_1"))


def test_what_is_known_of_some_can_be_forgotten_alone() -> None:
    sample((1.0, 10))
    for name in ("one", "two"):
        readings.note(Alias(name), Reading(at(1), "life", 1.0, 0.1))
        readings.note_demoted(Alias(f"primary_of_{name}"))

    readings.forget(PRIMARY, Alias("one"), Alias("primary_of_one"), Alias("unheard_of"))

    assert readings.newest(PRIMARY) is None
    assert [False, True] == [readings.latest(Alias(name)) is not None for name in ("one", "two")]
    assert [False, True] == [readings.is_demoted(Alias(f"primary_of_{name}")) for name in ("one", "two")]


def looked(*looks: tuple[float, int, Sampled | None], life: str = "life", since: Compared | None = None) -> Compared:
    """Look at a replica: each time when, what it has, and the newest sample of before."""
    compared = since or Compared()
    for known, count, newest in looks:
        compared = compared.seen(life, at(count), known, newest)
    return compared


def test_a_replica_is_not_measured_before_a_sample_has_shown_that_it_follows() -> None:
    assert "it was not yet compared with its primary" == looked((1.0, 10, Sampled(0.5, at(10)))).why_not
    assert "" == looked((1.0, 10, None), (2.0, 10, Sampled(1.5, at(10)))).why_not


def test_a_sample_that_began_before_a_position_was_known_says_nothing_of_it() -> None:
    found = looked((1.0, 10, None), (2.0, 12, Sampled(1.0, at(9))))

    assert "it was not yet compared with its primary" == found.why_not
    assert at(10) == found.waiting  # however often it is looked at, the first position waits for its sample


def test_a_replica_that_has_what_its_primary_had_not_is_ahead() -> None:
    found = looked((1.0, 10, None), (2.0, 10, Sampled(1.5, at(9))))

    assert "it is ahead of its primary" == found.why_not


def test_one_that_followed_may_be_ahead_later() -> None:
    found = looked((1.0, 10, None), (2.0, 11, Sampled(1.5, at(10))), (3.0, 11, Sampled(2.5, at(3))))

    assert "it is ahead of its primary" == found.why_not


def test_a_replica_stays_ahead_when_its_primary_has_got_as_far() -> None:
    found = looked((1.0, 10, None), (2.0, 10, Sampled(1.5, at(9))), (3.0, 10, Sampled(2.5, at(99))))

    assert "it is ahead of its primary" == found.why_not


@pytest.mark.parametrize(("life", "count"), [("next", 10), ("life", 8)], ids=["started again", "copied anew"])
def test_a_replica_that_was_copied_anew_can_be_measured(life: str, count: int) -> None:
    ahead = looked((1.0, 10, None), (2.0, 10, Sampled(1.5, at(9))))
    begun = looked((3.0, count, Sampled(2.5, at(20))), life=life, since=ahead)
    assert "it was not yet compared with its primary" == begun.why_not

    assert "" == looked((4.0, count, Sampled(3.5, at(20))), life=life, since=begun).why_not


def test_positions_of_two_incarnations_show_neither() -> None:
    new = at(1, incarnation=2)

    assert "it was not yet compared with its primary" == looked((1.0, 10, None), (2.0, 10, Sampled(1.5, new))).why_not
    follows = looked((1.0, 10, None), (2.0, 10, Sampled(1.5, at(10))), (3.0, 10, Sampled(2.5, new)))
    assert "" == follows.why_not


def test_a_replica_that_does_not_say_where_it_is_is_not_compared() -> None:
    found = Compared().seen("life", None, 1.0, None).seen("life", at(10), 2.0, Sampled(1.5, at(1)))

    assert (at(10), 2.0) == (found.waiting, found.known)


@pytest.mark.parametrize(("moment", "is_lacking"), [(1.9, True), (2.0, False)])
def test_the_newest_sample_lacks_what_it_does_not_include_if_it_began_after(moment: float, *, is_lacking: bool) -> None:
    sample((1.0, 10), (2.0, 12))

    assert is_lacking is (readings.lacks(PRIMARY, at(13), moment) is not None)
    assert readings.lacks(PRIMARY, at(12), moment) is None
    assert readings.lacks(Alias("another"), at(13), moment) is None
