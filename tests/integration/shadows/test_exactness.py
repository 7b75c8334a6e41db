"""Is a value the same after it has travelled?"""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

from tests.integration.shadows import nasty
from tests.integration.shadows.nasty import Kind
from tests.integration.shadows.worlds import NAME, coordinator, in_both_worlds, shadow, two_worlds

pytestmark = pytest.mark.django_db(databases=["default", "shard_0", "shard_1", "oracle"])

#: What tells values apart that look the same. Some of PostgreSQL's have no Python type: only their text is read.
PROBES: Final = {
    "postgresql": ("CAST({} AS text)", "CAST(pg_typeof({}) AS text)"),
    "mysql": ("{}", "HEX({})", "LENGTH({})", "COLLATION({})", "{} = '1'", "CONCAT({})", "COERCIBILITY({})"),
    "sqlite": ("{}", "typeof({})", "quote({})", "{} = '1'", "{} = 1", "{} > 'a'", "CAST(substr({0}, 1) AS blob)"),
}
#: Columns that only a temporary table can have, or only a table's column has on SQLite what sqlite3 converts by.
ONLY_TABLES: Final = {
    "postgresql": {"shadow_mood"},
    "mysql": {"flags", "mood", "moods", "document", "bytes", "fixed_bytes"},
    "sqlite": {"yes", "day", "at", "clock", "mixed", "scaled", "big", "bytes"},
}


#: Columns that results do not tell from others: a domain from its type, and native types of MariaDB's from text.
UNTELLING: Final = {
    "postgresql": {"length"},
    "mysql": {"id", "address", "mood", "moods", "document"},
    "sqlite": set(),
}
#: What is not about the type or collation of a column, which SQLite's results do not have.
UNTYPED_PROBES: Final = ("typeof({})", "quote({})", "CAST(substr({0}, 1) AS blob)")
#: Columns that can be grouped and ordered by.
TEXTUAL: Final = {
    "postgresql": ("text", "named", "padded", "c_text", "icu_text", "document", "mood", "scaled", "id"),
    "mysql": ("text", "named", "padded", "binary_text", "german", "latin", "id", "digits", "scaled"),
    "sqlite": ("text", "named", "folded", "trimmed", "double", "digits"),
}


@pytest.fixture(autouse=True)
def worlds() -> Iterator[None]:
    with two_worlds():
        yield


def vendor() -> str:
    return coordinator().vendor


def quoted(name: str) -> str:
    return coordinator().ops.quote_name(name)


def kinds_for(by: str | None) -> list[Kind]:
    """Return the columns that can be carried in the way *by*; by default the way is chosen by the columns."""
    left_out = ONLY_TABLES[vendor()] if by == "cte" else set()
    return [kind for kind in nasty.KINDS[vendor()] if kind.name not in left_out]


def comparable(rows: Iterable[Any]) -> list[str]:
    """Write rows so that what is not equal looks different: NaN, -0.0 and 0.0, 1 and 1.0, 1.5 and 1.50."""
    return list(map(repr, rows))


def differences(kinds: list[Kind], probe: str, expected: list[Any], actual: list[Any]) -> list[Any]:
    """Return what differs, and in which column."""
    return [
        (probe, kind.name, comparable(left), comparable(right))
        for kind, left, right in zip(
            [Kind("place", "integer", ()), *kinds],
            zip(*expected, strict=True),
            zip(*actual, strict=True),
            strict=True,
        )
        if comparable(left) != comparable(right)
    ]


@pytest.mark.parametrize("by", ["cte", "temporary tables", None])
def test_every_value_is_what_it_was(by: Any) -> None:
    kinds = kinds_for(by)
    for probe in PROBES[vendor()]:
        values = ", ".join(probe.format(quoted(kind.name)) for kind in kinds)
        sql = f"SELECT place, {values} FROM {quoted(NAME)} ORDER BY place"

        expected, actual = in_both_worlds(sql, shadow(kinds=kinds), by=by)

        assert [] == differences(kinds, probe, expected, actual)


@pytest.mark.parametrize("by", ["cte", "temporary tables"])
def test_texts_are_equal_and_ordered_as_they_were(by: Any) -> None:
    kinds = [kind for kind in kinds_for(by) if kind.name in TEXTUAL[vendor()]]
    for kind in kinds:
        column = quoted(kind.name)
        sql = f"SELECT COUNT(*) FROM {quoted(NAME)} GROUP BY {column} ORDER BY {column}"

        expected, actual = in_both_worlds(sql, shadow(kinds=kinds), by=by)

        assert [row[0] for row in expected] == [row[0] for row in actual], kind.name


@pytest.mark.parametrize("by", ["cte", "temporary tables"])
def test_columns_without_a_type_are_what_the_sources_return(by: Any) -> None:
    kinds = [kind for kind in kinds_for(by) if kind.name not in UNTELLING[vendor()]]
    carried = shadow(kinds=kinds, is_typed=False)
    for probe in PROBES[vendor()] if vendor() != "sqlite" else UNTYPED_PROBES:
        values = ", ".join(probe.format(quoted(kind.name)) for kind in kinds)
        sql = f"SELECT place, {values} FROM {quoted(NAME)} ORDER BY place"

        expected, actual = in_both_worlds(sql, carried, by=by)

        assert [] == differences(kinds, probe, expected, actual)
