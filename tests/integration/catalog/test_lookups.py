from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
from django.core.cache import BaseCache, caches
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from shardkit.catalog import lookupcache, lookups
from shardkit.catalog.lookups import ByLookup, assign, find, move
from shardkit.catalog.tables import DirectoryEntry
from shardkit.errors import LookupCacheUnanswered, ShardKeyNotCovered, UnknownBucket
from shardkit.topology.placements import ByHash
from testapp.servers.process import free_port
from tests.servers.caches import MEMCACHED, REDIS, memcached_server, redis_server

BUCKETS = 1024


@pytest.fixture(params=["memcached", "redis"])
def cache(request: pytest.FixtureRequest, settings: Any) -> Iterator[BaseCache]:
    """Make a real memcached, then a real Redis, the cache of lookups."""
    if request.param == "memcached":
        settings.CACHES = {"default": {"BACKEND": MEMCACHED, "LOCATION": request.getfixturevalue("memcached")}}
    else:
        settings.CACHES = {"default": {"BACKEND": REDIS, "LOCATION": request.getfixturevalue("redis_server")}}
    caches["default"].clear()
    yield caches["default"]
    caches["default"].close()


@pytest.fixture(params=["memcached", "redis"])
def cache_that_is_down(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a server where none is."""
    monkeypatch.setattr(lookupcache, "PAUSES_SECONDS", (0, 0))
    monkeypatch.setattr(lookupcache._Health, "is_failing", False)
    address = f"127.0.0.1:{free_port()}"
    if request.param == "memcached":
        settings.CACHES = {"default": {"BACKEND": MEMCACHED, "LOCATION": address}}
    else:
        settings.CACHES = {"default": {"BACKEND": REDIS, "LOCATION": f"redis://{address}"}}


def queries_of(question: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        question()
    return len(queries)


@pytest.mark.django_db
class TestDirectory:
    """A key has the bucket it was given."""

    def test_a_key_is_where_it_was_assigned(self) -> None:
        assert assign("customers", "acme", 7) == 7
        assert find("customers", "acme") == 7

    def test_a_key_that_nobody_assigned_has_no_bucket(self) -> None:
        assert find("customers", "acme") is None

    def test_of_two_assigners_the_first_decides(self) -> None:
        assign("customers", "acme", 7)

        assert assign("customers", "acme", 8) == 7

    def test_directories_are_apart(self) -> None:
        assign("customers", "acme", 7)
        assign("suppliers", "acme", 8)

        assert (find("customers", "acme"), find("suppliers", "acme")) == (7, 8)

    @pytest.mark.parametrize("other", ["ACME", "acme ", "acmé", "", None])
    def test_keys_that_a_collation_may_confuse_are_apart(self, other: str | None) -> None:
        assign("customers", "acme", 7)

        assert find("customers", other) is None

    def test_null_is_a_key_and_not_the_text_that_stands_for_it(self) -> None:
        assign("customers", None, 7)

        assert (find("customers", None), find("customers", "~")) == (7, None)

    def test_a_number_and_its_text_are_one_key(self) -> None:
        assign("customers", 4711, 7)

        assert find("customers", "4711") == 7

    def test_a_key_of_several_columns_is_a_tuple(self) -> None:
        assign("stations", ("JFK", 2013), 7)

        assert find("stations", ("JFK", 2013)) == 7
        assert find("stations", ("JFK2", 13)) is None

    def test_a_long_key_is_a_key(self) -> None:
        assign("customers", "é" * 5000, 7)

        assert find("customers", "é" * 5000) == 7

    def test_a_moved_key_is_elsewhere(self) -> None:
        assign("customers", "acme", 7)

        move("customers", "acme", 8)

        assert find("customers", "acme") == 8
        assert DirectoryEntry.objects.get().version == 2

    def test_a_key_without_a_bucket_cannot_be_moved(self) -> None:
        with pytest.raises(ShardKeyNotCovered, match=r"assign\('customers', key, bucket\)"):
            move("customers", "acme", 8)

    @pytest.mark.parametrize("bucket", [-1, BUCKETS])
    def test_a_bucket_that_the_cluster_does_not_have_is_refused(self, bucket: int) -> None:
        assign("customers", "acme", 7)

        for change in (assign, move):
            with pytest.raises(UnknownBucket):
                change("customers", "acme", bucket)

    def test_an_assignment_is_rolled_back_with_its_transaction(self) -> None:
        with transaction.atomic():
            assign("customers", "acme", 7)
            assert find("customers", "acme") == 7
            assert lookups.has_uncommitted(connections["default"])
            transaction.set_rollback(True)

        assert find("customers", "acme") is None

    def test_a_row_that_our_snapshot_does_not_show_is_read_beyond_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assign("customers", "acme", 7)
        monkeypatch.setattr(lookups, "_stored", lambda _digest: None)

        assert assign("customers", "acme", 8) == 7

    def test_a_cache_of_one_process_is_left_alone(self) -> None:
        assign("customers", "acme", 7)

        assert queries_of(lambda: find("customers", "acme")) == 1
        assert queries_of(lambda: find("customers", "acme")) == 1


@pytest.mark.django_db
class TestSharding:
    """The sharding of a model asks the directory."""

    def test_a_key_is_placed_where_the_directory_says(self) -> None:
        assign("customers", "acme", 7)

        assert ByLookup("customers").bucket_for(("acme",), BUCKETS) == 7

    def test_a_new_key_without_a_rule_names_the_function_that_assigns_one(self) -> None:
        with pytest.raises(ShardKeyNotCovered, match=r"directory 'customers' .*directories\.assign\('customers', key"):
            ByLookup("customers").bucket_for(("acme",), BUCKETS)

    def test_a_new_key_is_placed_by_the_rule_and_recorded(self) -> None:
        sharding = ByLookup("customers", new_keys=ByHash())

        assert sharding.bucket_for(("acme",), BUCKETS) == ByHash().bucket_for(("acme",), BUCKETS)
        assert DirectoryEntry.objects.get().key == "acme"

    def test_a_question_assigns_nothing(self) -> None:
        assert ByLookup("customers", new_keys=ByHash()).find(("acme",), BUCKETS) is None
        assert not DirectoryEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("cache")
class TestCached:
    """A bucket is cached, and never outlives a change."""

    def test_a_bucket_is_read_from_the_database_once(self) -> None:
        assign("customers", "acme", 7)

        assert queries_of(lambda: find("customers", "acme")) == 1
        assert queries_of(lambda: find("customers", "acme")) == 0
        assert find("customers", "acme") == 7

    def test_a_key_without_a_bucket_is_asked_for_again(self) -> None:
        find("customers", "acme")

        assign("customers", "acme", 7)

        assert find("customers", "acme") == 7

    def test_a_moved_key_is_seen_at_once(self) -> None:
        assign("customers", "acme", 7)
        find("customers", "acme")

        move("customers", "acme", 8)

        assert find("customers", "acme") == 8
        assert queries_of(lambda: find("customers", "acme")) == 0

    @pytest.mark.parametrize("key", ["two words", "é" * 300, "\t\n", "x" * 300])
    def test_any_text_is_a_key_that_memcached_takes(self, key: str) -> None:
        assign("a directory\n" * 9, key, 7)
        find("a directory\n" * 9, key)

        assert queries_of(lambda: find("a directory\n" * 9, key)) == 0

    @pytest.mark.parametrize("mishap", ["none", "the token is evicted", "everything is lost"])
    def test_a_slow_reader_cannot_cache_what_was_true_before_a_move(
        self, cache: BaseCache, monkeypatch: pytest.MonkeyPatch, mishap: str
    ) -> None:
        assign("customers", "acme", 7)
        read = lookups._stored

        def read_slowly(digest: str) -> Any:
            """Read the old row, and return it when the key has moved and others have seen that."""
            monkeypatch.setattr(lookups, "_stored", read)
            old = read(digest)
            move("customers", "acme", 8)
            if mishap == "the token is evicted":
                cache.delete(lookupcache._token_name("customers"))
            elif mishap == "everything is lost":
                cache.clear()
            return old

        monkeypatch.setattr(lookups, "_stored", read_slowly)

        assert find("customers", "acme") == 7  # it began before the move
        assert find("customers", "acme") == 8
        assert find("customers", "acme") == 8

    def test_while_a_key_is_being_moved_nobody_caches_its_directory(self) -> None:
        assign("customers", "acme", 7)
        find("customers", "acme")
        digest = DirectoryEntry.objects.get().digest

        with transaction.atomic():
            move("customers", "acme", 8)
            assert lookupcache.look("customers", digest) == lookupcache.Seen(None, None)
            assert find("customers", "acme") == 8

        assert find("customers", "acme") == 8

    def test_a_transaction_that_has_moved_a_key_sees_it_though_others_have_reopened(self) -> None:
        assign("customers", "acme", 7)
        digest = DirectoryEntry.objects.get().digest

        with transaction.atomic():
            move("customers", "acme", 8)
            lookupcache.reopen("customers")  # another move was committed
            seen = lookupcache.look("customers", digest)
            lookupcache.store(digest, 7, str(seen.token))  # and another process cached what it sees
            assert find("customers", "acme") == 8

        assert find("customers", "acme") == 8

    def test_a_move_that_is_rolled_back_leaves_the_database_to_answer(self) -> None:
        assign("customers", "acme", 7)
        find("customers", "acme")

        with transaction.atomic():
            move("customers", "acme", 8)
            transaction.set_rollback(True)

        assert find("customers", "acme") == 7

    def test_nothing_is_cached_from_inside_a_transaction_but_after_it(self) -> None:
        assign("customers", "acme", 7)
        digest = DirectoryEntry.objects.get().digest

        with transaction.atomic():
            assert find("customers", "acme") == 7
            assert lookupcache.look("customers", digest).bucket is None

        assert lookupcache.look("customers", digest).bucket == 7

    def test_what_a_transaction_missed_is_asked_for_again_after_the_commit(self) -> None:
        assign("customers", "acme", 7)

        with transaction.atomic():
            find("customers", "acme")
            find("customers", "acme")
            DirectoryEntry.objects.all().delete()

        assert find("customers", "acme") is None

    def test_a_transaction_that_missed_many_keys_caches_some(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lookups, "FILLS_PER_TRANSACTION", 2)
        for number in range(3):
            assign("customers", number, number)

        with transaction.atomic():
            for number in range(3):
                find("customers", number)

        assert [queries_of(partial(find, "customers", number)) for number in range(3)] == [0, 0, 1]

    def test_a_token_that_another_process_put_up_first_is_taken(
        self, cache: BaseCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.set(lookupcache._token_name("customers"), "theirs", None)
        monkeypatch.setattr(type(cache), "get_many", lambda *_args, **_options: {})

        assert lookupcache.look("customers", "0" * 64) == lookupcache.Seen(None, "theirs")

        lookupcache.close("customers")
        assert lookupcache.look("customers", "0" * 64) == lookupcache.Seen(None, None)


@pytest.mark.django_db
@pytest.mark.usefixtures("cache")
def test_hooks_that_a_test_runs_before_it_rolls_back_cache_nothing(django_capture_on_commit_callbacks: Any) -> None:
    assign("customers", "acme", 7)

    with django_capture_on_commit_callbacks(execute=True):
        find("customers", "acme")

    assert lookupcache.look("customers", DirectoryEntry.objects.get().digest).bucket is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("cache_that_is_down")
class TestCacheDown:
    """Without its cache a lookup is slower, and never wrong."""

    def test_the_database_answers_and_one_line_in_the_log_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        assign("customers", "acme", 7)

        with caplog.at_level(logging.INFO, logger="shardkit"):
            assert [find("customers", "acme") for _ in range(5)] == [7] * 5

        (line,) = caplog.messages
        assert line.startswith("The cache 'default' fails, so the database answers")
        assert "acme" not in line

    def test_a_key_is_not_moved_when_others_cannot_be_told(self) -> None:
        assign("customers", "acme", 7)

        with pytest.raises(LookupCacheUnanswered, match="Nothing was changed"):
            move("customers", "acme", 8)

        assert find("customers", "acme") == 7

    def test_a_move_that_was_committed_when_the_cache_went_is_an_error_in_the_log(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assign("customers", "acme", 7)
        monkeypatch.setattr(lookupcache, "close", lambda _directory: None)

        move("customers", "acme", 8)

        assert find("customers", "acme") == 8
        assert "did not answer after the directory 'customers' was changed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_cache_that_comes_back_is_used_again(
    cache: BaseCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assign("customers", "acme", 7)
    monkeypatch.setattr(lookupcache._Health, "is_failing", False)
    with monkeypatch.context() as down:
        down.setattr(type(cache), "get_many", lambda *_args, **_options: refuse())
        find("customers", "acme")

    with caplog.at_level(logging.INFO, logger="shardkit"):
        find("customers", "acme")

    assert caplog.messages[1:] == ["The cache 'default' answers again."]
    assert queries_of(lambda: find("customers", "acme")) == 0


def refuse() -> None:
    raise ConnectionRefusedError


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("backend", "server"), [(MEMCACHED, memcached_server), (REDIS, redis_server)])
def test_a_cache_that_is_killed_leaves_the_answers_right(
    backend: str, server: Callable[[], AbstractContextManager[str]], settings: Any
) -> None:
    assign("customers", "acme", 7)
    with server() as location:
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": location}}
        find("customers", "acme")
        assert queries_of(lambda: find("customers", "acme")) == 0

    assert [find("customers", "acme") for _ in range(3)] == [7] * 3
    with pytest.raises(LookupCacheUnanswered):
        move("customers", "acme", 8)
    assert find("customers", "acme") == 7
    caches["default"].close()
