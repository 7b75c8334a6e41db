"""Are facts aligned?"""

from __future__ import annotations

import pytest

from shardkit.management.tabulating import counted, table


def test_numbers_stand_on_the_right_and_words_on_the_left():
    drawn = table(("name", "rows", "seconds"), [("one", 1234567, 0.5), ("fourteen", None, 12.0)])

    assert drawn.splitlines() == [
        "name           rows  seconds",
        "--------  ---------  -------",
        "one       1,234,567     0.50",
        "fourteen          -    12.00",
    ]


def test_a_table_may_be_empty():
    assert table(("name",), []) == "name\n----"


@pytest.mark.parametrize(("number", "said"), [(0, "0 rows"), (1, "1 row"), (1200, "1,200 rows")])
def test_one_is_not_many(number, said):
    assert counted(number, "row") == said
