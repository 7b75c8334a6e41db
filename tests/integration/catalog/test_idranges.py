from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from shardkit.catalog import idranges
from shardkit.catalog.idranges import allocate, has_uncommitted, raise_to
from shardkit.catalog.tables import IdRange
from shardkit.conf import get_settings
from tests.closing import close_those_of_this_thread

pytestmark = pytest.mark.django_db

#: The default of SHARDKIT["ID_BLOCK"].
BLOCK = 1000


@pytest.fixture
def name() -> str:
    """Return a name that no other test counts."""
    return f"test.{uuid4().hex}"


@pytest.fixture
def file_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Treat SQLite's test database, which is in memory, like a file that other processes write to."""
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite has one writer per database.")
    monkeypatch.setattr(idranges, "_is_in_memory", lambda _connection: False)
    yield
    idranges.discard_all()


def stored(name: str) -> int:
    return IdRange.objects.get(name=name).next_sequence


def test_numbers_begin_at_one_and_follow_each_other(name: str) -> None:
    assert get_settings().id_block == BLOCK

    assert [*allocate(name), *allocate(name, 2)] == [1, 2, 3]


def test_names_are_counted_apart(name: str) -> None:
    assert list(allocate(name)) == list(allocate(name + "x")) == [1]


def test_no_number_is_none_at_all(name: str) -> None:
    assert list(allocate(name, 0)) == []


def test_numbers_of_a_block_cost_no_sql(name: str) -> None:
    allocate(name)

    with CaptureQueriesContext(connection) as queries:
        numbers = list(allocate(name, BLOCK - 1))

    assert numbers == list(range(2, BLOCK + 1))
    assert len(queries) == 0


def test_more_numbers_than_a_block_take_what_is_left_and_one_range_more(name: str) -> None:
    allocate(name)

    numbers = allocate(name, 5 * BLOCK)

    assert len(set(numbers)) == 5 * BLOCK
    assert list(numbers) == list(range(2, 5 * BLOCK + 2))


def test_the_size_of_a_block_is_a_setting(name: str, settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "ID_BLOCK": 3}
    allocate(name)

    idranges.discard_all()

    assert list(allocate(name)) == [4]


@pytest.mark.django_db(transaction=True)
def test_what_is_not_given_is_lost_and_not_reused(name: str) -> None:
    allocate(name, 3)

    idranges.discard_all()

    assert list(allocate(name)) == [BLOCK + 1]
    assert stored(name) == 2 * BLOCK + 1


def test_a_forked_child_gives_numbers_of_its_own(name: str) -> None:
    allocate(name)
    reader, writer = os.pipe()

    if not (child := os.fork()):
        counter = idranges._counter_of(connection, name)
        os.write(writer, str(len(counter.take(1))).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 10) == b"0"
    os.close(reader)
    os.close(writer)


def test_numbers_given_in_a_transaction_that_is_rolled_back_are_not_given_again(name: str) -> None:
    with transaction.atomic():
        lost = [*allocate(name, 3)]
        transaction.set_rollback(True)

    assert not set(lost) & set(allocate(name, 3))


@pytest.mark.django_db(transaction=True)
def test_a_block_taken_in_a_transaction_that_is_rolled_back_is_of_use_afterwards(name: str) -> None:
    with transaction.atomic():
        allocate(name)
        transaction.set_rollback(True)

    with CaptureQueriesContext(connection) as queries:
        assert list(allocate(name)) == [2]
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_a_server_gives_a_block_without_waiting_for_the_transaction(name: str) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite takes the block in the caller's own transaction.")
    IdRange.objects.create(name=name, next_sequence=7)

    with transaction.atomic():
        other = IdRange.objects.create(name=name + "x", next_sequence=1)
        assert list(allocate(name)) == [7]
        assert not has_uncommitted(connections["default"])
        assert in_another_connection(lambda: stored(name)) == BLOCK + 7
        transaction.set_rollback(True)

    assert not IdRange.objects.filter(pk=other.pk).exists()
    assert stored(name) == BLOCK + 7


def test_a_transaction_in_memory_needs_no_sql_but_the_first(name: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite's test database is in memory.")
    allocate(name)

    with CaptureQueriesContext(connection) as queries:
        numbers = [*allocate(name, 2 * BLOCK)]

    assert numbers == list(range(2, 2 * BLOCK + 2))
    assert len(queries) == 0
    assert not has_uncommitted(connections["default"])
    assert not IdRange.objects.filter(name=name).exists()


@pytest.mark.django_db(transaction=True)
def test_the_count_of_a_database_in_memory_is_written_down_on_commit(name: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite's test database is in memory.")
    with transaction.atomic():
        allocate(name)

    assert stored(name) == BLOCK + 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("file_rules")
class TestSQLiteFile:
    """A block that is taken inside a transaction belongs to it."""

    def test_the_block_is_used_up_by_its_transaction_without_further_sql(self, name: str) -> None:
        with transaction.atomic():
            allocate(name)
            with CaptureQueriesContext(connection) as queries:
                assert list(allocate(name, BLOCK)) == list(range(2, BLOCK + 2))
            assert len(queries) == 1

    def test_the_catalog_must_be_committed_first_while_the_block_is_uncommitted(self, name: str) -> None:
        with transaction.atomic():
            assert not has_uncommitted(connections["default"])
            allocate(name)
            assert has_uncommitted(connections["default"])

        assert not has_uncommitted(connections["default"])

    def test_a_block_from_before_the_transaction_is_committed_already(self, name: str) -> None:
        allocate(name)

        with transaction.atomic():
            assert list(allocate(name)) == [2]
            assert not has_uncommitted(connections["default"])

    def test_after_the_commit_everybody_uses_what_is_left(self, name: str) -> None:
        with transaction.atomic():
            allocate(name)

        with CaptureQueriesContext(connection) as queries:
            assert list(allocate(name)) == [2]
        assert len(queries) == 0

    def test_a_rollback_drops_the_block_and_goes_on_above_it(self, name: str) -> None:
        with transaction.atomic():
            allocate(name)
            transaction.set_rollback(True)

        assert not IdRange.objects.filter(name=name).exists()
        assert list(allocate(name)) == [BLOCK + 1]
        assert stored(name) == 2 * BLOCK + 1

    def test_a_savepoint_that_is_rolled_back_drops_the_block_and_the_rest_is_still_uncommitted(self, name: str) -> None:
        with transaction.atomic():
            with transaction.atomic():
                allocate(name)
                transaction.set_rollback(True)
            assert has_uncommitted(connections["default"])
            assert list(allocate(name)) == [BLOCK + 1]

        assert stored(name) == 2 * BLOCK + 1

    def test_a_connection_that_was_closed_in_its_transaction_has_lost_the_block(self, name: str) -> None:
        with transaction.atomic():
            allocate(name)
            idranges._uncommitted[connections["default"]].session = "the connection before it broke"

            assert not has_uncommitted(connections["default"])
            assert list(allocate(name)) == [BLOCK + 1]

    def test_a_number_from_elsewhere_is_skipped_in_the_transaction_too(self, name: str) -> None:
        with transaction.atomic():
            allocate(name)
            raise_to(name, 10)
            assert list(allocate(name)) == [11]


@pytest.mark.django_db(transaction=True)
class TestRaiseTo:
    """Rows that come with ids of their own move the range on."""

    def test_numbers_begin_above_the_one_that_was_loaded(self, name: str) -> None:
        raise_to(name, 4711)

        assert list(allocate(name)) == [4712]

    def test_a_number_of_our_own_block_is_not_given_any_more(self, name: str) -> None:
        allocate(name)

        raise_to(name, 500)

        assert list(allocate(name)) == [501]

    def test_a_range_is_never_lowered(self, name: str) -> None:
        raise_to(name, 5000)
        raise_to(name, 3)

        assert stored(name) == 5001
        assert list(allocate(name)) == [5001]

    def test_other_processes_begin_above_it_too_whatever_becomes_of_the_transaction(self, name: str) -> None:
        if connection.vendor == "sqlite":
            pytest.skip("SQLite rolls it back together with the row it came with.")
        with transaction.atomic():
            raise_to(name, 4711)
            transaction.set_rollback(True)

        assert stored(name) == 4712


@pytest.mark.django_db(transaction=True)
def test_threads_share_a_block_and_give_no_number_twice(name: str, settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "ID_BLOCK": 10}

    def give(_thread: int) -> list[int]:
        try:
            return [number for count in range(50) for number in allocate(name, count % 3)]
        finally:
            close_those_of_this_thread()

    if connection.vendor == "sqlite":
        allocate(name)  # threads that open one database in memory get in each other's way
        settings.SHARDKIT = {**settings.SHARDKIT, "ID_BLOCK": BLOCK}
        allocate(name, BLOCK)
    with ThreadPoolExecutor(8) as threads:
        given = [number for numbers in threads.map(give, range(8)) for number in numbers]

    assert len(given) == len(set(given)) == 8 * 49


def test_a_transaction_that_gets_in_the_way_is_tried_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite waits for the lock by itself.")
    update, failures = idranges._update, [OperationalError("deadlock")] * 3
    monkeypatch.setattr(idranges, "_update", lambda *args: fail(failures.pop()) if failures else update(*args))

    assert list(allocate(name)) == [1]


def test_a_catalog_that_stays_away_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("Allocating in memory asks nobody.")
    monkeypatch.setattr(idranges, "_update", lambda *_args: fail(OperationalError("gone")))

    with pytest.raises(OperationalError, match="gone"):
        allocate(name)


def fail(error: Exception) -> None:
    raise error


def in_another_connection(question: Callable[[], int]) -> int:
    def ask() -> int:
        try:
            return question()
        finally:
            close_those_of_this_thread()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()
