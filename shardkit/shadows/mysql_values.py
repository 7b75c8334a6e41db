"""What are the values of a MariaDB result, and how are they written so that they are the same again?"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from MySQLdb.constants import FIELD_TYPE, FLAG

#: What a number or a moment takes, in bytes.
NUMBER_BYTES: Final = 8
#: How many bytes a character takes at most, as results count the lengths of texts.
CHARACTER_BYTES: Final = 4
#: The longest VARCHAR of which rows have room for several; longer text is LONGTEXT.
SHORT_LENGTH: Final = 1000

#: What the driver makes Python's, which has no time of 25 hours and no month of number 0.
_MOMENT: Final = re.compile(r"date|time", re.IGNORECASE)
#: The server writes six digits of these; as doubles they have all that they hold.
_SINGLE: Final = re.compile(r"float(\([^()]*\))?", re.IGNORECASE)
#: Types whose values would change on their way if their column were another one, and the letters that all begin with.
_FAMILIES: Final = (
    re.compile(r"(var)?char\b|\w*text", re.IGNORECASE),
    re.compile(r"\w*int(eger)?\b|bool|decimal|numeric|double|real|float", re.IGNORECASE),
)

_TYPES: Final[dict[int, str]] = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.DECIMAL: "decimal({digits}, {scale})",
    FIELD_TYPE.NEWDECIMAL: "decimal({digits}, {scale})",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.DATETIME: "datetime({scale})",
    FIELD_TYPE.TIMESTAMP: "datetime({scale})",
    FIELD_TYPE.TIME: "time({scale})",
    FIELD_TYPE.BIT: "bit({length})",
    FIELD_TYPE.NULL: "int",
    FIELD_TYPE.GEOMETRY: "longblob",
}
#: Which of them may be unsigned.
_NUMBERS: Final = {
    FIELD_TYPE.TINY,
    FIELD_TYPE.SHORT,
    FIELD_TYPE.INT24,
    FIELD_TYPE.LONG,
    FIELD_TYPE.LONGLONG,
    FIELD_TYPE.DECIMAL,
    FIELD_TYPE.NEWDECIMAL,
}
#: A driver's description of a column: which entry is what.
_CODE, _LENGTH, _SCALE = 1, 3, 5


def types_of(cursor: Any) -> list[str]:
    """Return the types of the columns that *cursor*, which was executed, returns."""
    readers = cursor._result.converter  # noqa: SLF001 - nothing else says whether a string is text or bytes
    columns = zip(cursor.description, cursor.description_flags, readers, strict=True)
    return [_described(description, flags, is_binary=reader is bytes) for description, flags, reader in columns]


def _described(description: Sequence[Any], flags: int, *, is_binary: bool) -> str:
    """Return the SQL type of the column that a driver's *description* and *flags* describe."""
    code, length, scale = description[_CODE], description[_LENGTH], description[_SCALE]
    is_unsigned = bool(flags & FLAG.UNSIGNED)
    digits = length - bool(scale) - (not is_unsigned)
    string = (
        _string("varbinary", "longblob", length)
        if is_binary
        else _string("varchar", "longtext", length // CHARACTER_BYTES)
    )
    type_ = _TYPES.get(code, string).format(length=length, scale=scale, digits=digits)
    return f"{type_} unsigned" if is_unsigned and code in _NUMBERS else type_


def _string(short: str, long: str, length: int) -> str:
    """Return the type of strings of at most *length* bytes or characters."""
    return f"{short}({length})" if 0 < length <= SHORT_LENGTH else long


def agreed(declared: str | None, found: str) -> str:
    """Return the type of a shadow's column that was *declared* as one type and *found* as another in a result.

    What is declared says more than a result does, but a column that holds more than was declared is not cut.
    """
    if declared is None or _SINGLE.fullmatch(found):
        return found
    if _SINGLE.fullmatch(declared):
        return declared
    is_one_family = any(family.match(declared) and family.match(found) for family in _FAMILIES)
    return found if is_one_family else declared


def must_be_asked_for(found: str) -> bool:
    """Say whether a column *found* in a result has values that have changed already."""
    return bool(re.match(r"float|time\b", found))


def sent(name: str, type_: str) -> str:
    """Return the expression that gives the value of a column of *type_* unchanged."""
    if _MOMENT.match(type_):
        return f"CAST({name} AS CHAR)"
    return f"CAST({name} AS DOUBLE)" if _SINGLE.fullmatch(type_) else name


def literal(value: Any) -> Any:
    """Return *value* as a parameter that the driver writes without changing it."""
    return value if isinstance(value, bytes) else element(value)


def element(value: Any) -> Any:
    """Return *value* as an element of JSON that its column takes for the same value."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"The driver returned a {type(value).__name__}, which has no exact text.")
    return writer(value)


def _duration(value: dt.timedelta) -> str:
    """Write *value* as a TIME."""
    sign, value = ("-", -value) if value.days < 0 else ("", value)
    seconds = value.days * 86400 + value.seconds
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{value.microseconds:06}"


#: How each class of the driver's values is written in JSON.
_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    type(None): lambda value: value,
    int: lambda value: value,
    str: lambda value: value,
    bytes: bytes.hex,
    float: repr,
    Decimal: str,
    dt.datetime: lambda value: value.isoformat(" "),
    dt.date: str,
    dt.time: str,
    dt.timedelta: _duration,
}


def size(value: object) -> int:
    """Return how many bytes *value* takes, roughly."""
    return len(value) if isinstance(value, (str, bytes)) else NUMBER_BYTES
