"""When are two answers the same?

Where the order of one database is unspecified, among ties or without ORDER BY, two answers may differ in it and in
nothing else. Sums of floats depend on the order in which they were added, so there a tolerance can be given.
"""

from __future__ import annotations

import datetime as dt
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

#: How far apart, relatively, two sums or means of the same floats may be.
TOLERANCE: Final = 1e-9


def canonical(value: Any) -> Hashable:
    """Turn a *value* into one that is equal only to the same value of the same type: 1 is not 1.0 or True."""
    convert = _CONVERSIONS.get(type(value))
    if convert is None:
        convert = next((found for kind, found in _CONVERSIONS.items() if isinstance(value, kind)), _other)
    return convert(value)


def _same(value: Any) -> Hashable:
    return value  # type: ignore[no-any-return]


def _other(value: Any) -> Hashable:
    return type(value).__name__, repr(value)


def _sorted_items(value: Mapping[Any, Any]) -> Hashable:
    return "dict", tuple(sorted(((repr(key), canonical(inside)) for key, inside in value.items()), key=repr))


_CONVERSIONS: Final[Mapping[type, Callable[[Any], Hashable]]] = {
    str: _same,
    bool: lambda value: ("bool", value),
    int: _same,
    type(None): _same,
    float: lambda value: ("float", repr(value)),
    Decimal: lambda value: ("Decimal", str(value)),
    dt.datetime: lambda value: ("datetime", value.isoformat()),
    bytes: _same,
    memoryview: bytes,
    tuple: lambda value: tuple(map(canonical, value)),
    list: lambda value: ("list", *map(canonical, value)),
    dict: _sorted_items,
}

#: Says whether two canonical values stand for the same.
Alike = Callable[[Any, Any], bool]


def exactly(left: Any, right: Any) -> bool:
    """Take values for the same if they are equal."""
    return bool(left == right)


def nearly(
    tolerance: float = TOLERANCE, *, folding: bool = False, digits: bool = False, decimals: bool = False
) -> Alike:
    """Take floats for the same that are relatively so near.

    Which of several equal values stands for its group is unspecified: with *folding* texts are the same that many
    collations call equal, and with *digits* decimals of one value. *decimals* may be near too where a vendor computes
    them as floats, as MariaDB does deviations.
    """
    numbers = ("float", "Decimal") if decimals else ("float",)

    def alike(left: Any, right: Any) -> bool:
        if left == right:
            return True
        if isinstance(left, str) and isinstance(right, str):
            return folding and fold(left) == fold(right)
        if not (isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right)):
            return False
        if left[:1] == right[:1] and left[0] in numbers:
            return _near(float(left[1]), float(right[1]), tolerance)
        return (digits and _are_one_number(left, right)) or all(map(alike, left, right))

    return alike


def _are_one_number(left: Any, right: Any) -> bool:
    """Say whether two decimals differ in nothing but how many zeros they end with."""
    return left[:1] == right[:1] == ("Decimal",) and Decimal(left[1]) == Decimal(right[1])


def _near(left: float, right: float, tolerance: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)


def fold(text: str) -> str:
    """Take from *text* what collations may ignore: case, accents, and blanks at its end."""
    letters = unicodedata.normalize("NFKD", text.casefold().replace("\N{LATIN SMALL LETTER DOTLESS I}", "i"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).rstrip(" ")


def same_bag(left: Iterable[Hashable], right: Iterable[Hashable], alike: Alike = exactly) -> bool:
    """Say whether the rows of *left* are those of *right*, in any order."""
    mine, others = list(left), list(right)
    return len(mine) == len(others) and is_within(mine, others, alike)


def is_within(rows: Iterable[Hashable], bag: Iterable[Hashable], alike: Alike = exactly) -> bool:
    """Say whether each of *rows* is one of *bag*, each of those being used once."""
    wanted, there = Counter(rows), Counter(bag)
    missing = list((wanted - there).elements())
    if not missing:
        return True
    if alike is exactly:
        return False
    left_over = list((there - wanted).elements())
    return all(_take(row, left_over, alike) for row in missing)


def _take(row: Hashable, rows: list[Hashable], alike: Alike) -> bool:
    for place, other in enumerate(rows):
        if alike(row, other):
            del rows[place]
            return True
    return False


def is_slice(
    rows: Sequence[Hashable],
    whole: Sequence[Hashable],
    ranks: Sequence[int],
    limits: tuple[int, int | None],
    alike: Alike = exactly,
) -> bool:
    """Say whether *rows* could be what *limits* leave of the *whole* answer, whose rows tie if their *ranks* equal."""
    low, high = limits
    placed = list(ranks[low:high])
    if len(rows) != len(placed):
        return False
    peers: defaultdict[int, list[Hashable]] = defaultdict(list)
    for rank, row in zip(ranks, whole, strict=True):
        peers[rank].append(row)
    return all(
        is_within([row for _, row in group], peers[rank], alike)
        for rank, group in groupby(zip(placed, rows, strict=True), key=lambda pair: pair[0])
    )
