"""Is all demanded that was demanded, and does nobody read elsewhere what another request may still show?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shardkit.consistency.vectors import LEFT_FOR, NOW, UNKNOWN, Entry, Unknown, Vector
from shardkit.positions.counter import Counter
from shardkit.positions.position import Position
from shardkit.topology.names import Alias


def _entry(required: Position | Unknown | None, read: tuple[str, str], since: int, left: int) -> Entry:
    replica, life = read
    return Entry(required, replica, life, since, 0 if replica and left == NOW else left)


POSITIONS: st.SearchStrategy[Position | Unknown | None] = st.one_of(
    st.none(), st.just(UNKNOWN), st.builds(Counter, st.integers(0, 1), st.integers(0, 3))
)
READS = st.sampled_from([("", ""), ("a", "1"), ("a", "2"), ("b", "1")])
LEFT = st.sampled_from([0, 0, 5, 6, NOW])
#: A replica that is read or was left, several, or none.
ENTRIES = st.builds(_entry, POSITIONS, READS, st.integers(0, 3), LEFT)

LEAVES = 1_000
READ = Entry(Counter(1, 1), "a", "1", since=LEAVES - 100)
HAS_LEFT = Entry(Counter(1, 1), "a", "1", since=LEAVES, left=LEAVES)


@given(one=ENTRIES, other=ENTRIES)
def test_joining_is_commutative(one: Entry, other: Entry) -> None:
    assert one.joined(other) == other.joined(one)


@given(one=ENTRIES, other=ENTRIES, third=ENTRIES)
def test_joining_is_associative(one: Entry, other: Entry, third: Entry) -> None:
    assert one.joined(other).joined(third) == one.joined(other.joined(third))


@given(entry=ENTRIES)
def test_joining_is_idempotent(entry: Entry) -> None:
    assert entry == entry.joined(entry) == entry.joined(Entry())


def test_of_two_replicas_that_are_read_neither_is() -> None:
    several = READ.joined(Entry(None, "b", "1"))

    assert Entry(UNKNOWN, since=READ.since, left=NOW) == several
    assert Entry(UNKNOWN, since=READ.since, left=LEAVES) == several.begun(LEAVES)


def test_a_replica_that_one_request_reads_was_not_left() -> None:
    assert 0 == READ.joined(HAS_LEFT).left


def test_who_reads_the_same_replica_has_not_left_it() -> None:
    assert READ == READ.parted(READ, LEAVES)


def test_who_left_a_replica_says_so_and_demands_what_he_saw_since() -> None:
    assert Entry(Counter(1, 9), "a", "1", LEAVES, LEAVES) == Entry(Counter(1, 9)).parted(READ, LEAVES)
    assert Entry(None, "a", "1", LEAVES, LEAVES) == Entry().parted(READ, LEAVES)


def test_who_reads_another_replica_tells_nobody_of_it_before_the_time_is_over() -> None:
    other = Entry(Counter(1, 9), "b", "1", LEAVES + 1)

    assert Entry(UNKNOWN, "a", "1", LEAVES, LEAVES) == other.parted(READ, LEAVES)
    assert Entry(UNKNOWN, "a", "1", LEAVES + 1, LEAVES) == other.parted(HAS_LEFT, LEAVES + 1)
    assert other == other.parted(HAS_LEFT, LEAVES + LEFT_FOR)


def test_what_a_session_no_longer_knows_was_left() -> None:
    one, other = Alias("one"), Alias("other")
    before = Vector({one: READ, other: Entry(Counter(1, 1))})

    assert {one: Entry(None, "a", "1", LEAVES, LEAVES)} == Vector().parted(before, LEAVES).entries
