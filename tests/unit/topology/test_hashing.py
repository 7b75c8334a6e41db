"""Does every key keep its bucket for ever?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkit.errors import ShardKeyUnhashable
from shardkit.topology.hashing import bucket_of, canonical_key, canonical_text

#: The key's values, the text that is hashed, and its bucket of 1024, of 4096, and of 1000, as computed by a program
#: that is not shardkit.
GOLDEN_VECTORS: Final[list[tuple[tuple[object, ...], str, int, int, int]]] = [
    ((0,), "0", 132, 132, 916),
    ((1,), "1", 568, 568, 560),
    ((7,), "7", 95, 1119, 71),
    ((-1,), "-1", 571, 3643, 403),
    ((336776,), "336776", 937, 1961, 545),
    ((2**63 - 1,), "9223372036854775807", 805, 2853, 309),
    ((-(2**63),), "-9223372036854775808", 699, 699, 75),
    ((False,), "0", 132, 132, 916),
    ((True,), "1", 568, 568, 560),
    (("",), "", 217, 3289, 393),
    ((" ",), " ", 668, 3740, 964),
    (("0",), "0", 132, 132, 916),
    (("7",), "7", 95, 1119, 71),
    (("N14228",), "N14228", 1, 3073, 897),
    (("N14228 ",), "N14228 ", 566, 1590, 814),
    (("n14228",), "n14228", 471, 1495, 327),
    (("~",), "~", 791, 3863, 623),
    (("Zürich",), "Zürich", 538, 538, 850),
    (("Zu\u0308rich",), "Zu\u0308rich", 294, 1318, 574),
    (("東京",), "東京", 380, 380, 460),
    (("✈️",), "✈️", 700, 3772, 28),
    (("😀",), "😀", 707, 2755, 243),
    (("a" * 300,), "a" * 300, 465, 1489, 33),
    ((UUID("12345678-1234-5678-1234-567812345678"),), "12345678123456781234567812345678", 782, 782, 30),
    ((UUID(int=0),), "00000000000000000000000000000000", 414, 1438, 790),
    ((Decimal("0.00"),), "0", 132, 132, 916),
    ((Decimal("7.0"),), "7", 95, 1119, 71),
    ((Decimal("1.50"),), "1.5", 114, 1138, 738),
    ((Decimal("-0.5"),), "-0.5", 301, 301, 189),
    ((Decimal(100),), "100", 925, 925, 597),
    ((Decimal("0.00001"),), "0.00001", 573, 2621, 989),
    ((Decimal("12345678901234567890.123456789"),), "12345678901234567890.123456789", 567, 2615, 855),
    ((date(2013, 1, 31),), "2013-01-31", 665, 2713, 657),
    ((date(1, 1, 1),), "0001-01-01", 117, 117, 909),
    ((datetime(2013, 1, 31, 5, 6, 7, tzinfo=UTC),), "2013-01-31T05:06:07.000000", 195, 1219, 915),
    ((datetime(2013, 1, 31, 5, 6, 7, 123, tzinfo=UTC),), "2013-01-31T05:06:07.000123", 992, 3040, 224),
    (
        (datetime(2013, 1, 31, 0, 6, 7, tzinfo=timezone(timedelta(hours=-5))),),
        "2013-01-31T05:06:07.000000",
        195,
        1219,
        915,
    ),
    ((datetime(2013, 1, 31, 5, 6, 7),), "2013-01-31T05:06:07.000000", 195, 1219, 915),  # noqa: DTZ001 - naive
    ((None,), "~", 791, 3863, 623),
    ((None, None), "~~", 211, 1235, 347),
    (("EWR", 2013, 1), "3:EWR4:20131:1", 408, 1432, 808),
    (("EWR", 2013, None), "3:EWR4:2013~", 600, 1624, 808),
    ((None, 2013, 1), "~4:20131:1", 417, 2465, 809),
    (("", 0, False), "0:1:01:0", 750, 3822, 430),
    (("a", "bc"), "1:a2:bc", 973, 1997, 453),
    (("ab", "c"), "2:ab1:c", 770, 3842, 410),
    (("~", ""), "1:~0:", 858, 858, 242),
    (("😀", "東京"), "1:😀2:東京", 788, 2836, 900),
]

EASTERN = timezone(timedelta(hours=-5))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.none() | st.integers() | TEXTS | st.uuids() | st.dates() | st.datetimes() | st.booleans()


class Weekday(IntEnum):
    SUNDAY = 7


class Carrier(StrEnum):
    UNITED = "UA"


class MixedIn(str, Enum):  # noqa: UP042 - its str() is not its value, unlike a StrEnum's
    JETBLUE = "B6"


class Plain(Enum):
    UNITED = "UA"


@pytest.mark.parametrize(("values", "key", "of_1024", "of_4096", "of_1000"), GOLDEN_VECTORS)
def test_a_key_keeps_its_bucket(values, key, of_1024, of_4096, of_1000):
    """A changed line here is data loss: rows are stored by these numbers."""
    assert canonical_key(values) == key
    assert [bucket_of(values, buckets) for buckets in (1024, 4096, 1000)] == [of_1024, of_4096, of_1000]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Weekday.SUNDAY, "7"),
        (Carrier.UNITED, "UA"),
        (MixedIn.JETBLUE, "B6"),
        (Decimal("7.00"), "7"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E+5"), "0"),
        (Decimal("-0.00"), "0"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("12345678901234567890123456789012345.10"), "12345678901234567890123456789012345.1"),
        (datetime(2013, 1, 31, 0, 6, 7, tzinfo=EASTERN), "2013-01-31T05:06:07.000000"),
        (datetime(2013, 1, 31, 5, 6, 7), "2013-01-31T05:06:07.000000"),  # noqa: DTZ001 - naive, as without USE_TZ
        (date(33, 4, 3), "0033-04-03"),
    ],
)
def test_equal_keys_of_different_types_have_one_text(value, text):
    assert canonical_text(value) == text


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (1.5, "float"),
        (b"bytes", "bytes"),
        (timedelta(1), "timedelta"),
        (Plain.UNITED, "Plain"),
        (None, "NoneType"),
        (Decimal("NaN"), "Decimal that is not finite"),
        (Decimal("-Infinity"), "Decimal that is not finite"),
        (Decimal("1E+999999999"), "Decimal of more than 131072 digits"),
        (Decimal("1E-999999999"), "Decimal of more than 131072 digits"),
        ("a\0b", "str with a NUL character"),
        ("\ud800", "str with a lone surrogate"),
    ],
)
def test_a_value_without_a_text_of_its_own_is_refused(value, type_name):
    with pytest.raises(ShardKeyUnhashable) as refused:
        canonical_text(value)

    assert refused.value.type_name == type_name


@given(st.integers())
def test_an_integer_its_text_and_its_decimal_are_one_key(number):
    assert canonical_text(number) == canonical_text(str(number)) == canonical_text(Decimal(number))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.integers(0, 6))
def test_trailing_zeros_do_not_count(number, zeros):
    assert canonical_text(Decimal(f"{number}{'0' * zeros}")) == canonical_text(number)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-23, 23))  # noqa: DTZ001
def test_one_moment_has_one_text_in_every_time_zone(naive, hours):
    moment = naive.replace(tzinfo=UTC)

    assert canonical_text(moment.astimezone(timezone(timedelta(hours=hours)))) == canonical_text(naive)


@given(st.lists(st.none() | TEXTS, min_size=2, max_size=4), st.lists(st.none() | TEXTS, min_size=2, max_size=4))
def test_different_composite_keys_have_different_texts(left, right):
    assert (canonical_key(tuple(left)) == canonical_key(tuple(right))) == (left == right)


@given(st.tuples(VALUES, VALUES), st.integers(1, 4096))
def test_every_key_has_a_bucket(values, buckets):
    assert 0 <= bucket_of(values, buckets) < buckets
