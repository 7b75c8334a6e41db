"""What does a session demand when another primary has taken over, and when it has left its replica?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import pytest
from django.utils import timezone

from shardkit.consistency.session import HAS_LEFT as HAS_LEFT_BEFORE
from shardkit.consistency.session import Session
from shardkit.consistency.vectors import LEFT_FOR, UNKNOWN, Entry, Vector
from shardkit.positions.counter import Counter
from shardkit.positions.gtid import Gtids, MySqlGtids
from shardkit.positions.lsn import Lsn
from shardkit.positions.position import Position
from shardkit.replication import readings
from shardkit.replication.readings import Sampled
from shardkit.replication.selection import Choice, Need
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role

PRIMARY = Alias("shard_0")
OLD, NEW = Counter(1, 10), Counter(2, 3)
#: When the session begins.
BEGINS = 100.0
UUIDS = ("0" * 32, "1" * 32)


@pytest.fixture(autouse=True)
def _replicas(settings: Any) -> Iterator[None]:
    settings.SHARDKIT = {"REPLICAS": {PRIMARY: ["a", "b"]}}
    readings.forget()
    yield
    readings.forget()


def session(required: Position = OLD) -> Session:
    found = Session(now=lambda: BEGINS)
    found.require(PRIMARY, required)
    return found


def demanded(found: Session) -> object:
    need = found.need(PRIMARY)
    assert isinstance(need, Need)
    return need.includes


def sampled(position: Position, *, began: float, opened: float) -> None:
    readings.note_sample(PRIMARY, Sampled(began, position, opened))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Lsn(7, 1, 900), Lsn(7, 2, 500)),
        (Lsn(7, 1, 900), Lsn(7, 1, 500)),  # it lost what it had not written to its disk
        (Gtids.parse("0-1-100"), Gtids.parse("0-2-101")),
        (MySqlGtids.parse(f"{UUIDS[0]}:1-9"), MySqlGtids.parse(f"{UUIDS[0]}:1-8,{UUIDS[1]}:1")),
        (OLD, NEW),
    ],
    ids=["timeline", "crash", "MariaDB", "MySQL", "SQLite"],
)
def test_what_is_not_to_be_had_any_more_is_replaced_by_what_the_primary_has_now(old: Position, new: Position) -> None:
    found = session(old)
    changes = found.changes
    sampled(new, began=102.0, opened=101.0)

    assert new == demanded(found)
    assert new == found.vector().entries[PRIMARY].required
    assert changes + 1 == found.changes  # so the caller is told


def test_a_sample_of_before_says_nothing_of_what_was_written_since() -> None:
    found = session()
    sampled(Counter(1, 9), began=99.0, opened=50.0)

    assert OLD == demanded(found)


def test_a_connection_of_before_may_lead_to_a_primary_of_the_past() -> None:
    found = session(NEW)
    sampled(OLD, began=105.0, opened=99.0)

    assert NEW == demanded(found)


def test_what_the_primary_has_stays_demanded() -> None:
    found = session()
    sampled(Counter(1, 12), began=102.0, opened=101.0)

    assert OLD == demanded(found)
    assert 1 == found.changes


def test_nothing_is_replaced_while_the_primary_cannot_be_asked() -> None:
    found = session()
    sampled(NEW, began=102.0, opened=101.0)
    readings.note_demoted(PRIMARY)

    assert OLD == demanded(found)


def test_the_replica_that_is_read_stays_the_same() -> None:
    found = session()
    found.note_read(PRIMARY, Choice(Alias("a"), Role.REPLICA, "fresh", "life"))
    sampled(NEW, began=102.0, opened=101.0)

    assert Need(includes=NEW, previous=(Alias("a"), "life")) == found.need(PRIMARY)


#: When the response was sent that says that replica "a" was left, and what its client brings since then.
LEFT = 1_000
HAS_LEFT = Vector({PRIMARY: Entry(OLD, "a", "life", since=LEFT, left=LEFT)})
A, B = (Choice(Alias(name), Role.REPLICA, "fresh", "life") for name in "ab")


def at(today: float, vector: Vector = HAS_LEFT) -> Session:
    found = Session.from_vector(vector)
    found.now, found.today = (lambda: BEGINS), (lambda: today)
    return found


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sessions begin in the second in which the replica was left."""
    monkeypatch.setattr(timezone, "now", lambda: datetime.fromtimestamp(LEFT, UTC))


@pytest.mark.usefixtures("days")
class TestReplicasThatWereLeft:
    def test_it_is_read_again_when_it_can_be(self) -> None:
        found = at(LEFT + 1)

        assert Need(includes=OLD, previous=(Alias("a"), "life")) == found.need(PRIMARY)
        found.note_read(PRIMARY, A)
        assert Entry(OLD, "a", "life", since=LEFT + 1) == found.vector().entries[PRIMARY]

    def test_no_other_one_is_read_for_a_while(self) -> None:
        found = at(LEFT + 1)
        found.leave(PRIMARY)
        sampled(Counter(1, 11), began=BEGINS + 1, opened=50.0)

        assert Need(includes=Counter(1, 11), previous=(Alias("a"), "life")) == found.need(PRIMARY)
        assert LEFT == found.vector().entries[PRIMARY].left

    def test_then_any_is_that_has_what_the_primary_has_by_then(self) -> None:
        found = at(LEFT + LEFT_FOR)
        sampled(Counter(1, 11), began=BEGINS - 1, opened=50.0)

        assert HAS_LEFT_BEFORE == found.need(PRIMARY)
        sampled(Counter(1, 12), began=BEGINS + 1, opened=50.0)
        assert Need(includes=Counter(1, 12)) == found.need(PRIMARY)

    def test_who_read_several_reads_the_primary_for_a_while(self) -> None:
        several = HAS_LEFT.joined(Vector({PRIMARY: Entry(OLD, "b", "life", since=LEFT)}))
        sampled(Counter(1, 11), began=BEGINS + 1, opened=50.0)

        assert HAS_LEFT_BEFORE == at(LEFT + 1, several).need(PRIMARY)
        assert Need(includes=Counter(1, 11)) == at(LEFT + LEFT_FOR, several).need(PRIMARY)

    def test_one_that_is_read_all_the_same_changes_nothing_of_that(self) -> None:
        found = at(LEFT + 1)
        found.note_read(PRIMARY, B)

        assert Entry(UNKNOWN, "a", "life", since=LEFT + 1, left=LEFT) == found.vector().entries[PRIMARY]

    def test_it_is_known_for_how_long_only_the_primary_answers(self) -> None:
        several = HAS_LEFT.joined(Vector({PRIMARY: Entry(OLD, "b", "life", since=LEFT)}))

        assert [LEFT_FOR - 1, 0] == [at(LEFT + later, several).bound_for(PRIMARY) for later in (1, LEFT_FOR)]
        assert [0, 0] == [found.bound_for(PRIMARY) for found in (Session(), at(LEFT + 1))]
        assert math.inf == Session(suspicious=True).bound_for(PRIMARY)


def test_what_is_written_while_a_read_is_noted_is_demanded() -> None:
    """Another thread of the same session commits at the worst moment."""

    class Late:
        def __enter__(self) -> None:
            found._lock = Lock()
            found.note_write(PRIMARY)

        def __exit__(self, *_raised: object) -> None:
            pass

    found = Session(now=lambda: BEGINS)
    found._lock = Late()  # type: ignore[assignment]

    found.note_read(PRIMARY, A)

    assert Entry(UNKNOWN, "a", "life") == replace(found.vector().entries[PRIMARY], since=0)
    assert not isinstance(found.need(PRIMARY), Need)
