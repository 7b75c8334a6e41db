from __future__ import annotations

import pickle

import pytest

from shardkit.catalog.lookups import ByLookup, _digest
from shardkit.topology.placements import ByHash, ByList


def test_two_lookups_of_one_directory_are_the_same_function() -> None:
    assert ByLookup("customers") == ByLookup("customers")
    assert len({ByLookup("customers"), ByLookup("customers"), ByLookup("suppliers")}) == 2
    assert ByLookup("customers") != ByLookup("customers", new_keys=ByHash())


def test_a_lookup_pickles() -> None:
    sharding = ByLookup("customers", new_keys=ByHash())

    assert pickle.loads(pickle.dumps(sharding)) == sharding  # noqa: S301 - our own


def test_a_lookup_prunes_no_interval() -> None:
    assert ByLookup("customers").buckets_between("a", "b", 1024) is None


@pytest.mark.parametrize("directory", ["", "x" * 201])
def test_a_directory_has_a_name_that_the_catalog_can_hold(directory: str) -> None:
    assert ByLookup(directory).problems(1024) == ["ByLookup names its directory with 1 to 200 characters."]


def test_the_rule_for_new_keys_is_checked_too() -> None:
    assert ByLookup("customers").problems(1024) == []
    assert len(ByLookup("customers", new_keys=ByList({"acme": 4711})).problems(1024)) == 1


def test_no_two_keys_share_a_digest() -> None:
    keys = [
        ("a", (None,)),
        ("a", ("~",)),
        ("a", ("",)),
        ("a", ("1:x~",)),
        ("a", ("x", None)),
        ("a1", ("x",)),
        ("a", ("1x",)),
        ("a", ("x", "y")),
    ]

    digests = {_digest(directory, values) for directory, values in keys}

    assert len(digests) == len(keys)
    assert {len(digest) for digest in digests} == {64}


def test_a_digest_never_changes() -> None:
    """Rows are found by it."""
    assert _digest("customers", ("acme",)) == "f55bab0de7867bd91f098ac7a7b33cd497199701a97f24cd3d751efe33f03be3"
