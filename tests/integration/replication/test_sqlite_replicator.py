"""Is a copied SQLite file a replica: whole, behind, and never somebody else's?"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shardkit.errors import CopyRefused
from shardkit.replication.sqlite_replicator import SqliteReplicator
from shardkit.vendors.replication import sqlite as counter

pytestmark = pytest.mark.any_vendor


@pytest.fixture
def primary(tmp_path: Path) -> Path:
    """A file with two accounts whose sum never changes."""
    file = tmp_path / "primary.sqlite3"
    execute(file, "PRAGMA journal_mode = WAL", "CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER)")
    execute(file, "INSERT INTO account VALUES (1, 500), (2, 500)")
    return file


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "replica.sqlite3"


@pytest.fixture
def replicator(primary: Path, replica: Path) -> Iterator[SqliteReplicator]:
    made = SqliteReplicator(primary, replica, lag=0.05)
    yield made
    made.stop()


def copy_once(primary: Path, replica: Path) -> None:
    replicator = SqliteReplicator(primary, replica)
    replicator.step()
    replicator.stop()


def execute(file: Path, *statements: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]


def pay(file: Path, amount: int) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE account SET amount = ? WHERE id = 1", [amount])


def amounts(file: Path) -> list[int]:
    return [amount for (amount,) in execute(file, "SELECT amount FROM account ORDER BY id")]


def holds(file: Path, amount: int) -> bool:
    return amounts(file) == [amount, 500]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestAStep:
    def test_the_first_copies_everything(self, replicator: SqliteReplicator, replica: Path):
        assert replicator.step()

        assert [500, 500] == amounts(replica)

    def test_a_replica_is_behind_until_the_next(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        replicator.step()
        pay(primary, 7)
        before = amounts(replica)

        assert replicator.step()

        assert ([500, 500], [7, 500]) == (before, amounts(replica))

    def test_nothing_is_copied_when_nothing_has_changed(self, replicator: SqliteReplicator):
        replicator.step()

        assert not replicator.step()

    def test_an_open_connection_sees_the_next_copy(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        replicator.step()
        with closing(sqlite3.connect(replica, isolation_level=None)) as reader:
            reader.execute("SELECT * FROM account").fetchall()
            execute(primary, "CREATE TABLE later (id INTEGER)", "INSERT INTO later VALUES (1)")
            replicator.step()

            assert [(1,)] == reader.execute("SELECT id FROM later").fetchall()

    def test_an_open_transaction_keeps_its_snapshot(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        replicator.step()
        with closing(sqlite3.connect(replica, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM account").fetchall()
            pay(primary, 7)

            assert replicator.step()

            assert [(500,), (500,)] == reader.execute("SELECT amount FROM account").fetchall()
            reader.execute("COMMIT")
            assert [(7,), (500,)] == reader.execute("SELECT amount FROM account").fetchall()

    def test_the_counter_comes_with_the_rows(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        replicator.step()
        execute(primary, "UPDATE shardkit_commits SET count = count + 41")
        replicator.step()

        assert execute(primary, counter.READ) == execute(replica, counter.READ)
        assert execute(replica, counter.READ)[0][1] == 42

    def test_the_log_of_the_replica_does_not_grow(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        execute(primary, "CREATE TABLE pad (b BLOB)", "INSERT INTO pad VALUES (zeroblob(1000000))")
        for number in range(5):
            pay(primary, number)
            replicator.step()

        assert replica.with_name("replica.sqlite3-wal").stat().st_size < 1_000_000

    def test_a_primary_without_a_log_is_copied_too(self, tmp_path: Path, replica: Path):
        plain = tmp_path / "plain.sqlite3"
        execute(plain, "PRAGMA page_size = 1024", "CREATE TABLE account (id INTEGER, amount INTEGER)")
        with SqliteReplicator(plain, replica, lag=60) as replicator:
            with closing(sqlite3.connect(replica, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM account").fetchall()
                execute(plain, "INSERT INTO account VALUES (1, 3)")

                assert replicator.step()

            assert [3] == amounts(replica)


class TestAThread:
    def test_it_copies_again_and_again(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        with replicator:
            for amount in (1, 2):
                pay(primary, amount)
                wait_until(partial(holds, replica, amount))

        pay(primary, 3)
        assert [2, 500] == amounts(replica)
        assert not [thread for thread in threading.enumerate() if thread.name == "shardkit-replica"]

    def test_readers_see_whole_copies_in_their_order(self, replicator: SqliteReplicator, primary: Path, replica: Path):
        replicator.lag = 0.005
        torn, reads, stopped = [], [], threading.Event()

        def read() -> None:
            with closing(sqlite3.connect(replica, isolation_level=None)) as reader:
                while not stopped.is_set():
                    first, second = (amount for (amount,) in reader.execute("SELECT amount FROM account ORDER BY id"))
                    torn.extend([(first, second)] if first + second != 1000 else [])
                    reads.append(second)

        with replicator, closing(sqlite3.connect(primary, isolation_level=None)) as writer:
            readers = [threading.Thread(target=read) for _ in range(2)]
            for reader in readers:
                reader.start()
            until = time.monotonic() + 1
            while time.monotonic() < until:
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("UPDATE account SET amount = amount - 1 WHERE id = 1")
                writer.execute("UPDATE account SET amount = amount + 1 WHERE id = 2")
                writer.execute("COMMIT")
                time.sleep(0.001)
            stopped.set()
            for reader in readers:
                reader.join()

        assert [] == torn
        assert len(set(reads)) > 2
        assert [("ok",)] == execute(replica, "PRAGMA integrity_check")

    def test_it_goes_on_after_a_failure(
        self, replicator: SqliteReplicator, primary: Path, replica: Path, caplog: pytest.LogCaptureFixture
    ):
        away = primary.with_name("away")
        with replicator:
            primary.rename(away)
            wait_until(lambda: "unable to open database file" in caplog.text)
            away.rename(primary)
            pay(primary, 7)

            wait_until(partial(holds, replica, 7))

        assert len(caplog.records) == 1


class TestWhatIsRefused:
    def test_a_database_that_is_no_copy_is_left_alone(self, replicator: SqliteReplicator, replica: Path):
        replica.parent.mkdir()
        execute(replica, "CREATE TABLE precious (id INTEGER)")

        with pytest.raises(CopyRefused, match="holds tables and is no copy"):
            replicator.step()

        assert [("precious",)] == execute(replica, "SELECT name FROM sqlite_master")

    def test_so_is_a_copy_of_another_database(self, replicator: SqliteReplicator, tmp_path: Path, replica: Path):
        execute(tmp_path / "other.sqlite3", "CREATE TABLE account (id INTEGER, amount INTEGER)")
        copy_once(tmp_path / "other.sqlite3", replica)

        with pytest.raises(CopyRefused, match="holds tables and is no copy"):
            replicator.step()

        assert [] == amounts(replica)

    def test_a_replica_goes_on_where_the_last_replicator_stopped(
        self, replicator: SqliteReplicator, primary: Path, replica: Path
    ):
        replicator.step()
        replicator.stop()
        pay(primary, 7)

        copy_once(primary, replica)

        assert [7, 500] == amounts(replica)

    def test_a_primary_that_was_made_anew_is_another_database(
        self, replicator: SqliteReplicator, primary: Path, replica: Path
    ):
        replicator.step()
        for file in primary.parent.glob("primary.sqlite3*"):
            file.unlink()
        execute(primary, "CREATE TABLE account (id INTEGER, amount INTEGER)")

        with pytest.raises(CopyRefused):
            replicator.step()

        assert [500, 500] == amounts(replica)

    def test_a_file_is_not_its_own_replica(self, primary: Path):
        with pytest.raises(CopyRefused, match="one file"):
            SqliteReplicator(primary, primary).step()

    def test_a_primary_that_is_not_there_is_not_made(self, tmp_path: Path, replica: Path):
        with pytest.raises(sqlite3.OperationalError):
            SqliteReplicator(tmp_path / "none.sqlite3", replica).step()

        assert not (tmp_path / "none.sqlite3").exists()
