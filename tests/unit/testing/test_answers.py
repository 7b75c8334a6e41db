"""Which answers are taken for the same where a database leaves open which of several equal values it gives?"""

from __future__ import annotations

from decimal import Decimal

import pytest

from shardkit.testing.answers import canonical, exactly, nearly


@pytest.mark.parametrize(
    ("left", "right"), [("0.5", "0.5000"), ("0", "-0.00"), ("1E+2", "100")], ids=["zeros", "signs", "exponents"]
)
def test_decimals_of_one_value_stand_for_each_other_in_groups_only(left: str, right: str) -> None:
    row, other = canonical((Decimal(left), 1)), canonical((Decimal(right), 1))

    assert nearly(digits=True)(row, other)
    assert not nearly(folding=True)(row, other)
    assert not exactly(row, other)


@pytest.mark.parametrize(
    "right", [Decimal("0.50000000000000001"), 0.5, "0.5", Decimal("NaN")], ids=["near", "float", "text", "nan"]
)
def test_other_values_stand_for_none(right: object) -> None:
    assert not nearly(digits=True)(canonical((Decimal("0.5"),)), canonical((right,)))
