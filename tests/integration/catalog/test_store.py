from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from shardkit.catalog import store
from shardkit.catalog.tables import ShardMapVersion
from shardkit.conf import get_settings
from shardkit.errors import (
    BucketCountChanged,
    ShardMapConflict,
    ShardMapMissing,
    ShardMapTooNew,
    ShardMapUnreadable,
    UnknownShard,
)
from shardkit.topology.names import BucketId, ShardId
from shardkit.topology.shardmap import even_split

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forgotten_map() -> Iterator[None]:
    """Let no test see a map that another one has rolled back."""
    store.reset_map()
    yield
    store.reset_map()


def stored() -> ShardMapVersion:
    return ShardMapVersion.objects.get()


def test_the_first_migrate_splits_the_buckets_evenly() -> None:
    shard_map = store.current_map()

    settings = get_settings()
    assert shard_map == even_split([shard.name for shard in settings.topology.shards], settings.buckets)


def test_the_map_is_read_once() -> None:
    first = store.current_map()

    with CaptureQueriesContext(connection) as queries:
        second = store.current_map()

    assert second is first
    assert len(queries) == 0


def test_a_reader_that_was_overtaken_by_a_reset_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = store.read_map(), store.read_map()

    def read_and_be_overtaken() -> Any:
        monkeypatch.setattr(store, "read_map", lambda: new)
        store.reset_map()
        return old

    monkeypatch.setattr(store, "read_map", read_and_be_overtaken)

    assert store.current_map() is old
    assert store.current_map() is new


def test_a_published_map_is_read_after_the_commit(django_capture_on_commit_callbacks: Any) -> None:
    before = store.current_map()
    after = before.moving(BucketId(0), to=ShardId("shard_1"))

    with django_capture_on_commit_callbacks(execute=True):
        store.publish(after, before.version)
        assert store.current_map() is before

    assert store.current_map() == after


def test_a_map_that_is_rolled_back_is_never_kept() -> None:
    with transaction.atomic():
        published = store.current_map().moving(BucketId(0), to=ShardId("shard_1"))
        store.reset_map()
        store.publish(published, published.version - 1)
        transaction.set_rollback(True)

    assert store.current_map().version == published.version - 1


def test_of_two_publishers_of_one_version_the_second_is_refused() -> None:
    before = store.current_map()
    store.publish(before.moving(BucketId(0), to=ShardId("shard_1")), before.version)

    with pytest.raises(ShardMapConflict, match=r"Version 2 .* exists already"):
        store.publish(before.moving(BucketId(1), to=ShardId("shard_1")), before.version)


def test_a_publisher_who_expects_another_version_than_the_newest_is_refused() -> None:
    third = store.current_map().moving(BucketId(0), to=ShardId("shard_1")).moving(BucketId(1), to=ShardId("shard_1"))

    with pytest.raises(ShardMapConflict):
        store.publish(third, third.version - 1)

    assert ShardMapVersion.objects.count() == 1


def test_a_map_of_another_version_than_the_next_is_refused() -> None:
    before = store.current_map()
    second = before.moving(BucketId(0), to=ShardId("shard_1"))

    with pytest.raises(ShardMapConflict):
        store.publish(second.moving(BucketId(0), to=ShardId("shard_2")), before.version)


def test_a_map_with_a_shard_that_nobody_knows_is_not_published() -> None:
    before = store.current_map()

    with pytest.raises(UnknownShard, match="'shard_9'"):
        store.publish(before.moving(BucketId(0), to=ShardId("shard_9")), before.version)


def test_an_empty_catalog_names_the_command_that_fills_it() -> None:
    stored().delete()

    with pytest.raises(ShardMapMissing, match="migrate_shards"):
        store.current_map()


def test_a_catalog_without_its_table_is_missing_too_and_breaks_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SHARD_MAP_TABLE", "not_migrated")

    with transaction.atomic():
        with pytest.raises(ShardMapMissing):
            store.current_map()
        assert ShardMapVersion.objects.exists()
    store.create_first_map()
    assert ShardMapVersion.objects.count() == 1


def test_another_failure_than_a_missing_table_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "NEWEST_SQL", "SELECT nonsense FROM {table}")

    with pytest.raises((OperationalError, ProgrammingError)):
        store.current_map()


def test_a_map_of_a_newer_format_is_not_guessed_at() -> None:
    ShardMapVersion.objects.update(format=store.FORMAT + 1, owners="?")

    with pytest.raises(ShardMapTooNew, match="Upgrade shardkit"):
        store.current_map()


def test_a_map_that_lacks_buckets_is_unreadable() -> None:
    ShardMapVersion.objects.update(bucket_count=7)

    with pytest.raises(ShardMapUnreadable, match="of 7 buckets"):
        store.current_map()


def test_another_bucket_count_in_the_settings_is_refused(settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "BUCKETS": 512}

    with pytest.raises(BucketCountChanged, match="Set it back to 1024"):
        store.current_map()


def test_a_shard_that_owns_buckets_must_not_leave_the_settings(settings: Any) -> None:
    *kept, _gone = settings.SHARDKIT["SHARDS"]
    settings.SHARDKIT = {**settings.SHARDKIT, "SHARDS": kept}

    with pytest.raises(UnknownShard, match=r"no shard 'shard_3'.*256 buckets, .* put it back"):
        store.current_map()


def test_a_shard_that_is_added_later_owns_nothing(settings: Any) -> None:
    ShardMapVersion.objects.all().delete()
    *first, added = settings.SHARDKIT["SHARDS"]
    settings.SHARDKIT = {**settings.SHARDKIT, "SHARDS": first}
    store.create_first_map()
    settings.SHARDKIT = {**settings.SHARDKIT, "SHARDS": [*first, added]}

    store.create_first_map()

    assert store.current_map().buckets_of(ShardId(added)) == frozenset()
    assert ShardMapVersion.objects.count() == 1


def test_first_migrates_that_run_at_once_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_newest_row", lambda: None)  # as the loser of the race sees it

    store.create_first_map()

    assert ShardMapVersion.objects.count() == 1


def test_without_shards_there_is_no_map_to_write(settings: Any) -> None:
    ShardMapVersion.objects.all().delete()
    settings.SHARDKIT = {}

    store.create_first_map()

    assert not ShardMapVersion.objects.exists()


@pytest.mark.django_db(databases="__all__")
def test_the_migration_makes_the_tables_that_the_models_describe() -> None:
    call_command("makemigrations", "shardkit", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(databases="__all__")
def test_only_default_holds_the_catalog() -> None:
    holders = [alias for alias in connections if holds_catalog(alias)]

    assert holders == ["default"]


def holds_catalog(alias: str) -> bool:
    if alias == "oracle":
        return False  # it stands for a project without shardkit, and what it holds is its own affair
    return ShardMapVersion._meta.db_table in connections[alias].introspection.table_names()
