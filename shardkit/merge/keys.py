"""Which Python values compare as a database compares its own?

Each function turns a column of driver values into keys that compare with one another; None stays None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final

Keys = Callable[[list[Any]], list[Any]]

_NUMBERS: Final = (int, float)
_FOLDED: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def as_they_are(values: list[Any]) -> list[Any]:
    """Compare the values themselves."""
    return values


def nan_last(values: list[Any]) -> list[Any]:
    """Sort NaN above all numbers and equal to itself, as PostgreSQL does."""
    if all(value == value for value in values):  # noqa: PLR0124 - only NaN differs from itself
        return values
    return [None if value is None else (value != value, 0 if value != value else value) for value in values]  # noqa: PLR0124


def as_bytes(values: list[Any]) -> list[Any]:
    """Compare bytes, whatever the driver wraps them in."""
    return [None if value is None else bytes(value) for value in values]


def by_storage_class(values: list[Any], text: Keys) -> list[Any]:
    """Sort numbers below text below blobs, as SQLite does, and text by its keys."""
    types = set(map(type, values)) - {type(None)}
    if types <= {int, float, bool}:
        return values
    if types == {str}:
        return text(values)
    texts = iter(text([value for value in values if isinstance(value, str)]))
    return [
        None
        if value is None
        else (0, value)
        if isinstance(value, _NUMBERS)
        else (1, next(texts))
        if isinstance(value, str)
        else (2, bytes(value))
        for value in values
    ]


def ignoring_ascii_case(values: list[Any]) -> list[Any]:
    """Sort text as SQLite's NOCASE does: letters beyond ASCII keep their case, and nothing counts behind a NUL."""
    if any(value is not None and "\0" in value for value in values):
        return [None if value is None else (_before_nul(value), len(value.encode())) for value in values]
    return [None if value is None else value.translate(_FOLDED) for value in values]


def ignoring_trailing_blanks(values: list[Any]) -> list[Any]:
    """Sort text as SQLite's RTRIM does."""
    return [None if value is None else value.rstrip(" ") for value in values]


def ranked(values: list[Any], rank: Callable[[list[Any]], Sequence[int]]) -> list[Any]:
    """Give each value the rank that *rank* gives it among the different ones."""
    distinct = list(dict.fromkeys(value for value in values if value is not None))
    ranks: Sequence[int] = rank(distinct) if len(distinct) > 1 else [1] * len(distinct)
    by_value: dict[Any, Any] = dict(zip(distinct, ranks, strict=True))
    by_value[None] = None
    return [by_value[value] for value in values]


def _before_nul(value: str) -> str:
    end = value.find("\0")
    return (value if end < 0 else value[: end + 1]).translate(_FOLDED)
