"""In every order that things can happen in, does a user see what he wrote and what he saw?

Each test takes all interleavings of a small model and counts the states that violate. The counts are asserted, so that
a change of a rule or of a model is seen.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.properties import jar_model, session_model
from tests.properties.jar_model import Jar, Request, Rule
from tests.properties.session_model import Model, Process, World, explore

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


def counted_jar(start: Jar, rule: Rule) -> tuple[int, int]:
    states = explore(start._replace(rule=rule), jar_model.successors)
    return len(states), sum(map(jar_model.violates, states))


@pytest.mark.parametrize(
    ("start", "states"),
    [
        (BUSY, 53_705),
        (BESIDE_OTHERS, 19_478),
        (CRASHING, 7_286),
        (TAKEN_OVER, 39_106),
        (TAKEN_OVER_AND_WRITTEN, 43_123),
    ],
    ids=["busy", "others", "crash", "failover", "failover and writes"],
)
def test_a_jar_whose_responses_arrive_in_any_order_loses_nothing(start: Jar, states: int) -> None:
    assert (states, 0) == counted_jar(start, Rule())


@pytest.mark.parametrize(
    ("start", "rule", "states", "violating"),
    [
        (BUSY, Rule(appends=False), 53_347, 2_072),
        (BESIDE_OTHERS, Rule(minds_primary_reads=False), 18_651, 668),
        (BESIDE_OTHERS, Rule(minds_leaving=False), 19_621, 312),
        (CRASHING, Rule(proves_crashed=False), 8_132, 24),
        (TAKEN_OVER, Rule(follows_anew=False), 41_960, 1_528),
    ],
    ids=[
        "one cookie",
        "primary reads leave no trace",
        "replicas are changed freely",
        "a crash leaves no trace",
        "the old primary is believed",
    ],
)
def test_each_part_of_the_rule_of_a_jar_is_needed(start: Jar, rule: Rule, states: int, violating: int) -> None:
    assert (states, violating) == counted_jar(start, rule)
