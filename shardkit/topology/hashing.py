"""Which bucket does a key hash to?

The answer never changes: rows are stored by it. It is the same in every process, Python version and database,
because it is taken from a text that every one of them can write:

- one value: its canonical text, so that ``7``, ``"7"`` and ``Decimal("7.0")`` are one key;
- one NULL: ``~``;
- several values: each as ``<length>:<text>``, NULL as ``~``, so that ``("a", "bc")`` and ``("ab", "c")`` are two keys.

The bucket is the first 32 bits of that text's MD5, modulo the bucket count. `shardkit.vendors` writes the same in SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import md5
from typing import Any, Final
from uuid import UUID

from shardkit.errors import ShardKeyUnhashable
from shardkit.topology.names import BucketId

#: The text of a NULL.
NULL_TEXT: Final = "~"
#: How many digits a Decimal may need when written without an exponent; PostgreSQL stores no more.
MAX_DECIMAL_DIGITS: Final = 131_072


def bucket_of(values: tuple[object, ...], buckets: int) -> BucketId:
    """Hash the key *values* (as `Field.get_prep_value` gives them) to one of *buckets*."""
    digest = md5(canonical_key(values).encode(), usedforsecurity=False).digest()
    return BucketId(int.from_bytes(digest[:4]) % buckets)


def canonical_key(values: tuple[object, ...]) -> str:
    """Write the key *values* as the text that is hashed."""
    if len(values) == 1:
        return NULL_TEXT if values[0] is None else canonical_text(values[0])
    return "".join(map(_part, values))


def canonical_text(value: object) -> str:
    """Write one *value* as the text that every database writes for it too."""
    for known_type in type(value).__mro__:
        if writer := _WRITERS.get(known_type):
            return writer(value)
    raise ShardKeyUnhashable(type(value).__name__)


def _part(value: object) -> str:
    if value is None:
        return NULL_TEXT
    text = canonical_text(value)
    return f"{len(text)}:{text}"


def _integer_text(value: int) -> str:
    return int.__repr__(value)  # "1" for True, and the number for a member of an IntEnum


def _string_text(value: str) -> str:
    if "\0" in value:  # PostgreSQL cannot store it, and SQLite's length() stops at it
        raise ShardKeyUnhashable("str with a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ShardKeyUnhashable("str with a lone surrogate") from None
    return str.__str__(value)  # the text itself, also for a member of a StrEnum


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite():
        raise ShardKeyUnhashable("Decimal that is not finite")
    if value.is_zero():
        return "0"
    if abs(value.adjusted()) > MAX_DECIMAL_DIGITS:
        raise ShardKeyUnhashable(f"Decimal of more than {MAX_DECIMAL_DIGITS} digits")
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _datetime_text(value: datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.isoformat(timespec="microseconds")


#: A type that is not here is refused. A subclass is written as its nearest ancestor, so bool comes to int.
_WRITERS: Final[Mapping[type, Callable[[Any], str]]] = {
    int: _integer_text,
    str: _string_text,
    UUID: lambda value: value.hex,
    datetime: _datetime_text,
    date: date.isoformat,
    Decimal: _decimal_text,
}
