"""Parameters that Python calls equal and databases tell apart."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from shardkit.orm.parameters import all_as_sent, as_sent

DAY = dt.datetime(2024, 10, 27, 2, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((1, 1.0), (1, True), (1, Decimal(1)), (0, False), (0.0, -0.0), ("a", b"a")),
        *((Decimal("1.0"), Decimal("1.00")), (Decimal(0), Decimal("-0")), (Decimal("1E+2"), Decimal(100))),
        *((DAY, DAY.astimezone(dt.timezone(dt.timedelta(hours=1)))), (DAY, DAY.replace(fold=1))),
        *(([1], [True]), ([1], (1,)), ({"a": 1}, {"a": 1.0}), ({"a": [0.0]}, {"a": [-0.0]})),
        *(([], ()), (memoryview(b"a"), b"a"), (memoryview(b"a"), memoryview(b"b")), ({1}, {2})),
    ],
)
def test_what_a_database_tells_apart_is_told_apart(one: Any, other: Any) -> None:
    assert as_sent(one) != as_sent(other)


def _made() -> list[Any]:
    return [
        *(2**70, 0.1 + 0.2, float("nan"), Decimal("1.50"), "á", None, [1, [2.5]], {"a": {"b": [None]}}),
        *(DAY + dt.timedelta(0), DAY.date(), dt.time(1), dt.timedelta(1), memoryview(b"ab"), bytearray(b"ab")),
    ]


def test_what_is_the_same_is_the_same() -> None:
    assert all_as_sent(_made()) == all_as_sent(_made())
    assert hash(all_as_sent(_made())) == hash(all_as_sent(_made()))


def test_a_value_that_writes_only_its_beginning_is_told_by_itself() -> None:
    class Long:
        def __init__(self, text: str) -> None:
            self.text = text

        def __repr__(self) -> str:
            return f"{self.text[:3]}…"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Long) and other.text == self.text

        def __hash__(self) -> int:
            return hash(self.text)

    assert all_as_sent([Long("abcd")]) == all_as_sent([Long("abcd")])
    assert all_as_sent([Long("abcd")]) != all_as_sent([Long("abce")])
