"""Do the parts of SQLite's deviations make what Python's statistics make of all values, or the same error?"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

import pytest
from django.db.backends.sqlite3._functions import register  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from shardkit.vendors.aggregates.sqlite import SQLiteAggregates

FUNCTIONS: Final = ("VAR_POP", "VAR_SAMP", "STDDEV_POP", "STDDEV_SAMP")
INFINITY: Final = math.inf
#: A value is in one of three parts.
Rows = Sequence[tuple[int, Any]]


class Connection(SimpleNamespace):
    """What stands for Django's connection: it lends the driver's, and nothing is asked of it otherwise."""

    def ensure_connection(self) -> None:
        """It is open."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@pytest.fixture(scope="module")
def driver() -> Iterator[sqlite3.Connection]:
    connection: Any = Connection(connection=sqlite3.connect(":memory:"))
    register(connection.connection)
    SQLiteAggregates(connection).prepare(connection)
    connection.connection.execute("CREATE TABLE pebbles (part, value)")
    yield connection.connection
    connection.connection.close()


def outcomes(driver: sqlite3.Connection, rows: Rows) -> list[tuple[Any, Any]]:
    """Return for each function what one database makes of *rows*, and what parts make of them."""
    driver.execute("DELETE FROM pebbles")
    driver.executemany("INSERT INTO pebbles VALUES (?, ?)", rows)
    return [(outcome(driver, whole(name)), outcome(driver, of_parts(name))) for name in FUNCTIONS]


def whole(name: str) -> str:
    return f"SELECT {name}(value) FROM pebbles"  # noqa: S608 - ours


def of_parts(name: str) -> str:
    parts = "SELECT SHARDKIT_MOMENTS(value) AS p FROM pebbles GROUP BY part"
    return f"SELECT SHARDKIT_{name}(p) FROM ({parts})"  # noqa: S608 - ours


def outcome(driver: sqlite3.Connection, sql: str) -> Any:
    try:
        return driver.execute(sql).fetchone()[0]
    except sqlite3.Error as error:
        return type(error)


numbers = st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([INFINITY, -INFINITY])


@given(st.lists(st.tuples(st.integers(0, 2), numbers), min_size=1))
def test_parts_of_any_numbers(driver: sqlite3.Connection, rows: Rows) -> None:
    for expected, actual in outcomes(driver, rows):
        assert expected == actual


@pytest.mark.parametrize(
    "values",
    [
        [INFINITY],
        [-INFINITY, 1.5],
        [INFINITY, 2, 2.5],
        [INFINITY, INFINITY, 1],
        [INFINITY, -INFINITY, 0.0],
        [1e308, -1e308, 1e308],
        [5e-324, 0.0, 1e308],
        [1, 2, 4],
        [None, 1.5],
        ["text", 1],
    ],
    ids=str,
)
def test_parts_of_what_is_not_ordinary(driver: sqlite3.Connection, values: list[Any]) -> None:
    for split in ([0] * len(values), list(range(len(values)))):
        for expected, actual in outcomes(driver, list(zip(split, values, strict=True))):
            assert expected == actual
