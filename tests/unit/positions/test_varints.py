"""Are numbers written in as few bytes as they need?"""

from __future__ import annotations

import pytest

from shardkit.positions import varints


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (2**64 - 1, b"\xff" * 9 + b"\x01")],
)
def test_numbers_are_written_as_in_protocol_buffers(number: int, data: bytes) -> None:
    assert varints.write(number) == data
    assert varints.read(data) == (number, len(data))


def test_reading_says_where_the_next_one_begins() -> None:
    assert varints.read(b"..\xac\x02\x07", 2) == (300, 4)


def test_a_number_that_was_cut_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="cut off"):
        varints.read(b"\xac")


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="byte must be"):
        varints.write(-1)
