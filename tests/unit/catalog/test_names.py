from __future__ import annotations

from shardkit.catalog.names import DIRECTORY_TABLE, ID_RANGE_TABLE, SHARD_MAP_TABLE
from shardkit.catalog.tables import DirectoryEntry, IdRange, ShardMapVersion


def test_the_tables_have_the_names_that_are_known_without_them() -> None:
    names = [model._meta.db_table for model in (ShardMapVersion, IdRange, DirectoryEntry)]

    assert names == [SHARD_MAP_TABLE, ID_RANGE_TABLE, DIRECTORY_TABLE]


def test_an_entry_of_the_catalog_says_what_it_is() -> None:
    assert str(ShardMapVersion(version=2)) == "shard map, version 2"
    assert str(IdRange(name="flights.flight", next_sequence=7)) == "flights.flight: from 7"
    assert str(DirectoryEntry(directory="customers", key="acme")) == "customers: acme"
