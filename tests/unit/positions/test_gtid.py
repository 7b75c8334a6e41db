"""Which sets of transactions include which?"""

from __future__ import annotations

import pytest

from shardkit.positions.gtid import Gtids, MySqlGtids
from shardkit.positions.lsn import Lsn

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "3e11fa47-71ca-11e1-9e33-c80aa9429563"


@pytest.mark.parametrize("text", ["", "0-1-100", "0-1-100,1-2-5", "4294967295-1-18446744073709551615"])
def test_gtids_are_written_as_mariadb_writes_them(text: str) -> None:
    assert str(Gtids.parse(text)) == text


def test_the_order_of_domains_does_not_matter() -> None:
    assert Gtids.parse("1-2-5, 0-1-100") == Gtids.parse("0-1-100,\n1-2-5")


@pytest.mark.parametrize(
    ("one", "other", "includes"),
    [
        ("0-1-100", "0-1-100", True),
        ("0-1-101", "0-1-100", True),
        ("0-1-99", "0-1-100", False),
        ("0-1-100,1-1-5", "0-1-100", True),
        ("0-1-100", "0-1-100,1-1-5", False),
        ("0-1-100,1-1-5", "0-1-50,1-1-6", False),
        ("0-2-101", "0-1-100", False),  # after a failover: whether the 100th was kept cannot be told
        ("", "0-1-1", False),
        ("0-1-1", "", True),
    ],
)
def test_each_domain_must_have_got_as_far_by_the_same_server(one: str, other: str, includes: bool) -> None:  # noqa: FBT001
    assert Gtids.parse(one).includes(Gtids.parse(other)) is includes


def test_gtids_are_joined_by_domain() -> None:
    assert str(Gtids.parse("0-1-100,1-1-5").joined(Gtids.parse("0-1-50,1-1-7,2-3-4"))) == "0-1-100,1-1-7,2-3-4"


def test_two_servers_in_one_domain_are_not_joined() -> None:
    assert Gtids.parse("0-1-100").joined(Gtids.parse("0-2-101")) is None


@pytest.mark.parametrize(
    ("written", "applied", "latest"),
    [
        ("0-1-100", "", "0-1-100"),  # it was never a replica
        ("", "0-1-100", "0-1-100"),  # it was promoted, and what it applied is not in its own log
        ("0-2-101", "0-1-100", "0-2-101"),  # it has written since
        ("0-1-100", "0-1-100", "0-1-100"),  # what it applied is in its own log
        ("0-1-50", "0-2-100", "0-2-100"),  # it was the primary before, followed, and was promoted again
        ("0-2-100", "", "0-2-100"),  # it was told to forget what it followed
        ("0-1-7,1-1-5", "1-2-9,2-3-4", "0-1-7,1-2-9,2-3-4"),  # each domain has its own story
        ("0-1-100", "0-2-100", "0-1-100"),  # two histories: no replica has both
        ("", "", ""),
    ],
)
def test_a_server_is_where_it_has_written_or_applied_last(written: str, applied: str, latest: str) -> None:
    assert str(Gtids.parse(written).latest(Gtids.parse(applied))) == latest


@pytest.mark.parametrize("text", ["", f"{A}:1-5", f"{A}:1-5:8:11-12,{B}:7", f"{A}:1-5,{A}:blue:1-3:5"])
def test_sets_are_written_as_mysql_writes_them(text: str) -> None:
    assert str(MySqlGtids.parse(text)) == text


def test_a_set_has_one_spelling() -> None:
    assert str(MySqlGtids.parse(f"{B}:7,\n{A.upper()}:4-5:1-3:2:9:blue:1")) == f"{A}:1-5:9,{A}:blue:1,{B}:7"


@pytest.mark.parametrize(
    ("one", "other", "includes"),
    [
        (f"{A}:1-100", f"{A}:1-100", True),
        (f"{A}:1-100", f"{A}:5-7:50", True),
        (f"{A}:1-49:51-100", f"{A}:50", False),  # a hole: it was applied out of order
        (f"{A}:1-49:51-100", f"{A}:1-100", False),
        (f"{A}:1-100", f"{B}:1", False),
        (f"{A}:1-100,{B}:1", f"{B}:1", True),
        (f"{A}:1-100", f"{A}:blue:1", False),
        ("", f"{A}:1", False),
        (f"{A}:1", "", True),
    ],
)
def test_a_set_includes_another_only_with_all_of_its_transactions(one: str, other: str, includes: bool) -> None:  # noqa: FBT001
    assert MySqlGtids.parse(one).includes(MySqlGtids.parse(other)) is includes


def test_sets_are_joined_by_what_is_in_either() -> None:
    joined = MySqlGtids.parse(f"{A}:1-5:9,{B}:1").joined(MySqlGtids.parse(f"{A}:6-8"))

    assert str(joined) == f"{A}:1-9,{B}:1"


def test_kinds_are_not_compared() -> None:
    kinds = (Gtids.parse("0-1-1"), MySqlGtids.parse(f"{A}:1"), Lsn(0, 1, 1))

    for one in kinds:
        for other in kinds:
            assert one.includes(other) is (one is other)
            assert (one.joined(other) is None) is (one is not other)


def test_gtids_of_a_shard_take_few_bytes() -> None:
    assert len(Gtids.parse("12-112-123456789").dumps()) <= 8
