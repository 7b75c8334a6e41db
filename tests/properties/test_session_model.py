"""In every order that things can happen in, does a user see what he wrote and what he saw?

Each test takes all interleavings of a small model and counts the states that violate. The counts are asserted, so that
a change of a rule or of a model is seen.
"""

from __future__ import annotations

from typing import Final

import pytest

from shardkit.consistency.vectors import Entry
from tests.properties import jar_model, session_model
from tests.properties.jar_model import Jar, Point, Request, Rule
from tests.properties.session_model import Model, Process, World, explore

pytestmark = pytest.mark.any_vendor

#: The steps of a writer and of a reader. Others keep one position for each user (GitLab: the first row), or the whole
#: of a session in one value, as `request.session` does.
OTHERS: Final = {
    "overwrite, blind delete": (("commit", "capture", "overwrite", "respond"), ("load", "choose", "delete")),
    "overwrite, compare and delete": (
        ("commit", "capture", "overwrite", "respond"),
        ("load", "choose", "compare_and_delete"),
    ),
    "keep the maximum, blind delete": (("commit", "capture", "keep_maximum", "respond"), ("load", "choose", "delete")),
    "keep the maximum, compare and delete": (
        ("commit", "capture", "keep_maximum", "respond"),
        ("load", "choose", "compare_and_delete"),
    ),
    "a dictionary in request.session": (
        ("load", "commit", "capture", "overwrite_all", "respond"),
        ("load", "choose"),
    ),
}
WRITER: Final = (
    *("load_numbers", "load_positions", "commit", "capture"),
    *("mark", "take_number", "append", "point", "respond"),
)
READER: Final = ("load_numbers", "load_positions", "choose", "bury")


def counted(writer: tuple[str, ...], reader: tuple[str, ...], *, readers: int = 2, faults: int = 0) -> tuple[int, int]:
    """Count the states, and those that violate."""
    store = () if "append" in writer else 0
    processes = (*(Process(writer),) * 2, *(Process(reader),) * readers)
    states = explore(Model(World(store=store, faults=faults), processes), session_model.successors)
    return len(states), sum(map(session_model.violates, states))


@pytest.mark.parametrize(
    ("rule", "states", "violating"),
    [
        ("overwrite, blind delete", 12_750, 494),
        ("overwrite, compare and delete", 12_662, 490),
        ("keep the maximum, blind delete", 9_535, 15),
        ("a dictionary in request.session", 14_482, 161),
    ],
)
def test_what_others_store_loses_what_was_written(rule: str, states: int, violating: int) -> None:
    assert (states, violating) == counted(*OTHERS[rule])


def test_a_maximum_that_is_compared_before_it_is_deleted_loses_nothing() -> None:
    """No cache of Django can do it in one step, so the numbers below do the same by construction."""
    assert (8_973, 0) == counted(*OTHERS["keep the maximum, compare and delete"])


def test_a_new_number_for_each_position_loses_nothing() -> None:
    assert (215_456, 0) == counted(WRITER, READER)


def test_a_store_that_forgets_everything_is_noticed() -> None:
    assert (184_502, 0) == counted(WRITER, READER, readers=1, faults=1)


def test_a_maximum_that_is_forgotten_is_not_noticed() -> None:
    assert (5_150, 218) == counted(*OTHERS["keep the maximum, compare and delete"], readers=1, faults=1)


@pytest.mark.parametrize(
    ("left_out", "instead", "faults", "states", "violating"),
    [
        # A reader that saw the numbers before the newest was given away must be told where the joined ones are now.
        ("point", "bury", 0, 20_013, 24),
        # A number that was given away and holds nothing yet may be that of a response which is already sent.
        ("load_positions", "load_positions_hoping", 0, 19_895, 24),
        # An empty store may be one that has just been restarted.
        ("load_numbers", "load_numbers_trusting", 1, 111_919, 1_141),
    ],
)
def test_each_part_of_the_rule_is_needed(left_out: str, instead: str, faults: int, states: int, violating: int) -> None:
    writer, reader = (tuple(instead if step == left_out else step for step in steps) for steps in (WRITER, READER))

    assert (states, violating) == counted(writer, reader, readers=1, faults=faults)


#: Two writes and two reads of one browser; one write and two reads, while somebody else writes; the same with a crash.
BUSY: Final = Jar(Rule(), tuple(Request(writes) for writes in (True, True, False, False)))
BESIDE_OTHERS: Final = Jar(Rule(), tuple(Request(writes) for writes in (True, False, False)), others=1)
CRASHING: Final = Jar(Rule(), tuple(Request(writes) for writes in (True, False, False)), crashes=1)
#: Another primary takes over, and the monitor stays with the old one until it looks for the new one.
TAKEN_OVER: Final = Jar(Rule(), tuple(Request(writes) for writes in (True, False, False)), failovers=1)
TAKEN_OVER_AND_WRITTEN: Final = Jar(Rule(), tuple(Request(writes) for writes in (True, True, False)), failovers=1)
#: A browser that has read replica 0 reads on, in three tabs; and one that has been told just now that it has left it,
#: while a request of before may still read it, until the time is over.
READS: Final = Entry(None, "0", "0")
TABS: Final = Jar(Rule(), (Request(writes=False),) * 3, frozenset({READS}), others=1)
LEFT_BEHIND: Final = Jar(
    Rule(),
    (Request(False, "sent", frozenset({READS}), READS, sent=1, entry=READS), *(Request(writes=False),) * 2),
    frozenset({Entry(Point(0), "0", "0", left=1)}),
    others=1,
    ticks=1,
)
#: Each request reads twice.
TWICE: Final = Jar(Rule(), (Request(writes=False, reads=2),) * 2, frozenset({READS}), others=1, ticks=1)


def counted_jar(start: Jar, rule: Rule) -> tuple[int, int]:
    states = explore(start._replace(rule=rule), jar_model.successors)
    return len(states), sum(map(jar_model.violates, states))


@pytest.mark.parametrize(
    ("start", "states"),
    [
        (BUSY, 70_332),
        (BESIDE_OTHERS, 28_816),
        (CRASHING, 12_739),
        (TAKEN_OVER, 67_801),
        (TAKEN_OVER_AND_WRITTEN, 48_343),
        (TABS, 15_331),
        (LEFT_BEHIND, 137_949),
        (TWICE, 14_441),
    ],
    ids=["busy", "others", "crash", "failover", "failover and writes", "tabs", "left behind", "twice"],
)
def test_a_jar_whose_responses_arrive_in_any_order_loses_nothing(start: Jar, states: int) -> None:
    assert (states, 0) == counted_jar(start, Rule())


@pytest.mark.parametrize(
    ("start", "rule", "states", "violating"),
    [
        (BUSY, Rule(appends=False), 61_661, 2_566),
        (BESIDE_OTHERS, Rule(minds_primary_reads=False), 26_108, 764),
        (BESIDE_OTHERS, Rule(minds_leaving=False), 29_238, 422),
        (TAKEN_OVER, Rule(follows_anew=False), 72_801, 2_848),
        (TABS, Rule(stays_away=0), 16_935, 10),
        (LEFT_BEHIND, Rule(repeats=99), 126_332, 10),
    ],
    ids=[
        "one cookie",
        "primary reads leave no trace",
        "replicas are changed freely",
        "the old primary is believed",
        "another tab may read another replica",
        "a slow request says nothing",
    ],
)
def test_each_part_of_the_rule_of_a_jar_is_needed(start: Jar, rule: Rule, states: int, violating: int) -> None:
    assert (states, violating) == counted_jar(start, rule)
