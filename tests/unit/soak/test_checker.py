"""Would the checker of a soak run find what must not be?"""

from __future__ import annotations

import pytest

from tests.soak.checker import Checker


@pytest.fixture
def checker() -> Checker:
    return Checker()


def test_a_read_that_starts_after_a_write_must_see_it(checker: Checker) -> None:
    checker.written("ada", {"t1": 5})

    found = checker.ends(checker.starts("ada", ["t1"]), {"t1": 4})

    assert [("read your writes", "t1", 4, 5)] == [(each.kind, each.row, each.found, each.least) for each in found]
    assert 1 == checker.counts["violations: read your writes"]


def test_a_read_must_see_what_an_earlier_read_saw_whoever_wrote_it(checker: Checker) -> None:
    checker.ends(checker.starts("ada", ["t1"]), {"t1": 5})

    found = checker.ends(checker.starts("ada", ["t1"]), {"t1": 4})

    assert ["monotonic"] == [each.kind for each in found]


def test_a_read_that_started_before_the_response_of_a_write_need_not_see_it(checker: Checker) -> None:
    floor = checker.starts("ada", ["t1"])
    checker.written("ada", {"t1": 5})

    assert [] == checker.ends(floor, {"t1": 4})


def test_of_two_reads_at_once_either_may_be_older(checker: Checker) -> None:
    first, second = checker.starts("ada", ["t1"]), checker.starts("ada", ["t1"])

    assert [] == checker.ends(second, {"t1": 9})
    assert [] == checker.ends(first, {"t1": 3})


def test_an_older_response_that_comes_late_lowers_no_floor(checker: Checker) -> None:
    late = checker.starts("ada", ["t1"])
    checker.ends(checker.starts("ada", ["t1"]), {"t1": 9})
    checker.ends(late, {"t1": 3})

    assert 1 == len(checker.ends(checker.starts("ada", ["t1"]), {"t1": 8}))


def test_nothing_was_promised_to_other_users(checker: Checker) -> None:
    checker.written("ada", {"t1": 5})

    assert [] == checker.ends(checker.starts("bob", ["t1"]), {"t1": 4})


def test_a_row_that_is_not_there_is_older_than_any(checker: Checker) -> None:
    checker.written("ada", {"t1": 1})

    assert 1 == len(checker.ends(checker.starts("ada", ["t1"]), {}))


def test_what_could_not_fail_is_not_counted_as_checked(checker: Checker) -> None:
    checker.written("ada", {"t1": 1})

    checker.ends(checker.starts("ada", ["t1", "t2"]), {"t1": 1, "t2": 7})

    assert (2, 1, 0) == (
        checker.counts["rows"],
        checker.counts["rows checked: read your writes"],
        checker.counts["rows checked: monotonic"],
    )
