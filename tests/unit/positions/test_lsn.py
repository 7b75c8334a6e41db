"""Which places in PostgreSQL's log are the same, and which can be compared?"""

from __future__ import annotations

import pytest

from shardkit.positions.counter import Counter
from shardkit.positions.lsn import Lsn, end_of_records, parse

PAGE, FILE = 8192, 16 * 2**20


@pytest.mark.parametrize("text", ["0/0", "0/3000148", "1/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"])
def test_a_place_is_written_as_postgresql_writes_it(text: str) -> None:
    assert str(Lsn(1, 1, parse(text))) == text


def test_leading_zeros_do_not_matter() -> None:
    assert parse("00/03000148") == parse("0/3000148") == 0x3000148


def test_the_second_half_has_32_bits() -> None:
    assert parse("1/0") - parse("0/FFFFFFFF") == 1


@pytest.mark.parametrize(
    ("insert", "end"),
    [
        ("0/3006018", "0/3006000"),  # seen on a server: it had written 0/3006000
        ("0/3000028", "0/3000000"),  # the first page of a file has a longer header
        ("0/3000018", "0/3000018"),  # inside of that header, where nothing is inserted
        ("0/3006028", "0/3006028"),  # a record of 16 bytes on a page like any other
        ("0/3006000", "0/3006000"),
        ("0/3000148", "0/3000148"),
    ],
)
def test_the_header_of_a_page_that_nobody_has_written_is_no_record(insert: str, end: str) -> None:
    assert end_of_records(parse(insert)) == parse(end)


def test_servers_may_have_files_and_pages_of_other_sizes() -> None:
    assert end_of_records(2**20 + 40, file_size=2**20) == 2**20
    assert end_of_records(2**20 + 40) == 2**20 + 40
    assert end_of_records(16384 + 24, page_size=16384) == 16384
    assert end_of_records(8192 + 24, page_size=16384) == 8192 + 24


def test_only_places_of_one_timeline_of_one_system_are_compared() -> None:
    late, early = Lsn(7, 2, 200), Lsn(7, 2, 100)

    assert late.includes(early)
    assert not early.includes(late)
    for other in (Lsn(7, 1, 100), Lsn(7, 3, 100), Lsn(8, 2, 100), Counter(7, 100)):
        assert not late.includes(other)
        assert late.joined(other) is None


def test_a_place_takes_few_bytes() -> None:
    assert len(Lsn(7_400_000_000_000_000_000, 3, parse("16/B374D848")).dumps()) <= 17
