"""What holds for positions of every kind?"""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkit.positions.coding import loads
from shardkit.positions.counter import Counter
from shardkit.positions.gtid import Gtids, MySqlGtids
from shardkit.positions.lsn import Lsn
from shardkit.positions.position import Position

SMALL = st.integers(0, 5)
GTIDS = st.dictionaries(SMALL, st.tuples(st.integers(1, 2), SMALL), max_size=3).map(
    lambda found: Gtids(tuple((domain, *found[domain]) for domain in sorted(found)))
)
SOURCES = [f"{UUID(int=1)}", f"{UUID(int=2)}", f"{UUID(int=2)}:tag"]
INTERVALS = st.lists(st.tuples(SMALL, SMALL).map(lambda pair: f"{min(pair)}-{max(pair)}"), min_size=1, max_size=3)
MYSQL = st.dictionaries(st.sampled_from(SOURCES), INTERVALS, max_size=3).map(
    lambda found: MySqlGtids.parse(",".join(":".join((source, *parts)) for source, parts in found.items()))
)
POSITIONS = st.one_of(
    st.builds(Lsn, st.integers(1, 2), st.integers(1, 2), SMALL),
    st.builds(Lsn, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)),
    GTIDS,
    MYSQL,
    st.builds(Counter, st.integers(1, 2), SMALL),
)


@given(POSITIONS)
def test_a_position_includes_itself(position: Position) -> None:
    assert position.includes(position)


@given(POSITIONS, POSITIONS, POSITIONS)
def test_what_includes_a_position_includes_what_that_includes(one: Position, two: Position, three: Position) -> None:
    if one.includes(two) and two.includes(three):
        assert one.includes(three)


@given(POSITIONS, POSITIONS)
def test_what_includes_each_other_is_equal(one: Position, other: Position) -> None:
    assert (one.includes(other) and other.includes(one)) == (one == other)


@given(POSITIONS, POSITIONS)
def test_a_join_includes_both(one: Position, other: Position) -> None:
    joined = one.joined(other)

    assert joined is None or (joined.includes(one) and joined.includes(other))


@given(POSITIONS, POSITIONS, POSITIONS)
def test_what_includes_both_includes_their_join(one: Position, other: Position, more: Position) -> None:
    joined = one.joined(other)

    if more.includes(one) and more.includes(other):
        assert joined is not None
        assert more.includes(joined)


@given(POSITIONS, POSITIONS)
def test_it_does_not_matter_which_one_is_joined_to_the_other(one: Position, other: Position) -> None:
    assert one.joined(other) == other.joined(one)


@given(POSITIONS, POSITIONS)
def test_of_two_where_one_includes_the_other_the_join_is_the_later(one: Position, other: Position) -> None:
    if one.includes(other):
        assert one.joined(other) == one


@given(POSITIONS)
def test_bytes_stand_for_the_position_they_were_written_from(position: Position) -> None:
    assert loads(position.dumps()) == position


@given(POSITIONS, POSITIONS)
def test_two_positions_have_the_same_bytes_only_if_they_are_equal(one: Position, other: Position) -> None:
    assert (one.dumps() == other.dumps()) == (one == other)


@given(POSITIONS)
def test_equal_positions_are_one_in_a_set(position: Position) -> None:
    assert len({position, loads(position.dumps())}) == 1


@given(st.binary(max_size=40))
def test_bytes_that_stand_for_nothing_are_a_value_error(data: bytes) -> None:
    try:
        found = loads(data)
    except ValueError:
        return
    assert loads(found.dumps()) == found


@given(POSITIONS, st.data())
def test_bytes_that_were_cut_off_are_a_value_error(position: Position, data: st.DataObject) -> None:
    written = position.dumps()

    with pytest.raises(ValueError):  # noqa: PT011 - any message
        loads(written[: data.draw(st.integers(0, len(written) - 1))])


@given(POSITIONS)
def test_bytes_after_a_position_are_a_value_error(position: Position) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any message
        loads(position.dumps() + b"\0")


@given(POSITIONS, POSITIONS)
def test_what_is_included_is_not_exceeded(one: Position, other: Position) -> None:
    if other.includes(one):
        assert not one.exceeds(other)


@pytest.mark.parametrize(
    ("one", "other", "exceeds"),
    [
        (Lsn(1, 1, 2), Lsn(1, 1, 1), True),
        (Lsn(1, 1, 2), Lsn(1, 2, 1), False),
        (Gtids.parse("0-1-2"), Gtids.parse("0-1-1"), True),
        (Gtids.parse("0-1-2"), Gtids.parse("0-2-1"), False),
        (Gtids.parse("0-1-1,7-9-5"), Gtids.parse("0-1-1"), False),  # it follows another primary in another domain
        (Gtids.parse("0-1-2"), Gtids.parse(""), False),
        (MySqlGtids.parse(f"{SOURCES[0]}:1-5"), MySqlGtids.parse(f"{SOURCES[0]}:1-4"), True),
        (MySqlGtids.parse(f"{SOURCES[0]}:1-5,{SOURCES[1]}:1"), MySqlGtids.parse(f"{SOURCES[0]}:1-5"), False),
        (Counter(1, 2), Counter(1, 1), True),
        (Counter(1, 2), Counter(2, 1), False),
        (Counter(1, 2), Lsn(1, 1, 1), False),
    ],
)
def test_only_streams_that_both_follow_are_exceeded(one: Position, other: Position, *, exceeds: bool) -> None:
    assert exceeds is one.exceeds(other)
