"""Keys that compare as databases do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from shardkit.merge.keys import (
    as_bytes,
    as_they_are,
    by_storage_class,
    ignoring_ascii_case,
    ignoring_trailing_blanks,
    nan_last,
    ranked,
)
from shardkit.merge.terms import Term, positions_in_order


def in_order(values: list[Any], keys: Any = as_they_are, *, descending: bool = False, nulls: bool = False) -> list[Any]:
    """Sort *values* by their keys, NULL first if *nulls* says so."""
    rows = [(value,) for value in values]
    term = Term((0,), descending, nulls, lambda columns: keys(columns[0]))
    return [values[position] for position in positions_in_order(rows, [term])]


def test_null_goes_where_the_statement_says() -> None:
    assert [None, 1, 2] == in_order([2, None, 1], nulls=True)
    assert [1, 2, None] == in_order([2, None, 1], nulls=False)
    assert [None, 2, 1] == in_order([2, None, 1], descending=True, nulls=True)
    assert [2, 1, None] == in_order([2, None, 1], descending=True, nulls=False)


def test_equal_rows_stay_in_their_order_also_backwards() -> None:
    rows = [(1, "a"), (0, "b"), (1, "c"), (0, "d")]
    backwards = Term((0,), True, False, lambda columns: columns[0])

    assert [0, 2, 1, 3] == positions_in_order(rows, [backwards])


def test_directions_may_differ_from_term_to_term() -> None:
    rows = [(a, b, c) for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    terms = [
        Term((number,), descending, False, lambda columns: columns[0])
        for number, descending in enumerate((False, True, False))
    ]

    found = [rows[position] for position in positions_in_order(rows, terms)]

    assert sorted(rows, key=lambda row: (row[0], -row[1], row[2])) == found


@pytest.mark.parametrize("number", [float, Decimal])
def test_nan_is_above_infinity_and_equal_to_itself(number: Any) -> None:
    nan, infinity = number("nan"), number("inf")

    assert [number(1), infinity, nan, None] == in_order([None, nan, infinity, number(1)], nan_last)
    first, second = nan_last([nan, number("nan")])
    assert first == second


def test_numbers_without_nan_are_compared_as_they_are() -> None:
    assert [-0.0, 0.0] == nan_last([-0.0, 0.0])
    assert [Decimal("1.0"), 2] == in_order([2, Decimal("1.0")], nan_last)


def test_bytes_compare_whatever_wraps_them() -> None:
    assert [b"", b"a", b"\xff"] == as_bytes([b"", memoryview(b"a"), bytearray(b"\xff")])


def test_sqlite_sorts_by_storage_class() -> None:
    values = [b"", "10", 9, "a", None, 2.5]

    found = in_order(values, lambda column: by_storage_class(column, as_they_are), nulls=True)

    assert [None, 2.5, 9, "10", "a", b""] == found


def test_nocase_folds_ascii_alone_and_sees_nothing_behind_a_nul() -> None:
    assert ["a", None, "\xc4", "[z"] == ignoring_ascii_case(["A", None, "\xc4", "[Z"])
    same, longer = ignoring_ascii_case(["A\0b", "a\0cd"])
    assert same < longer
    assert len(set(ignoring_ascii_case(["A\0b", "a\0c"]))) == 1


def test_rtrim_ignores_blanks_alone() -> None:
    assert ["a", None, "a\t"] == ignoring_trailing_blanks(["a  ", None, "a\t"])


def test_ranks_are_asked_for_once_for_each_value() -> None:
    asked: list[list[Any]] = []

    def rank(values: list[Any]) -> list[int]:
        asked.append(values)
        return [len(values) - number for number, _ in enumerate(values)]

    assert [2, 1, None, 2] == ranked(["x", "y", None, "x"], rank)
    assert [1, None, 1] == ranked(["x", None, "x"], rank)
    assert [None] == ranked([None], rank)
    assert [["x", "y"]] == asked
