"""Is what was written through a connection of Django's noted, whatever wrote it, and whatever committed it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.test.utils import CaptureQueriesContext

from shardkit.consistency import observing
from shardkit.consistency.session import JUST_WROTE, Session, session_scope
from tests.fix_replicas import PRIMARY, REPLICAS, VENDOR, Family

only_on = {
    vendor: pytest.mark.skipif(VENDOR != vendor, reason=f"it is about {vendor}")
    for vendor in ("postgresql", "mysql", "sqlite")
}
has_procedures = pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no procedures")


@pytest.fixture(autouse=True)
def session(settings: Any, family: Family) -> Iterator[Session]:  # noqa: ARG001 - it is there first
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICAS": {PRIMARY: list(REPLICAS)}}
    for alias in (PRIMARY, *REPLICAS):
        connections[alias].close()  # they were opened when nobody had replicas
    with session_scope(Session()) as session:
        yield session


def has_written(session: Session) -> bool:
    return session.need(PRIMARY) == JUST_WROTE


@pytest.fixture
def procedure(family: Family) -> str:
    """The name of one that writes a row."""
    if VENDOR == "mysql":
        family.sql(PRIMARY, "CREATE OR REPLACE PROCEDURE add_one() INSERT INTO thing VALUES (5)")
    else:
        family.sql(
            PRIMARY,
            "CREATE OR REPLACE FUNCTION add_one() RETURNS int LANGUAGE sql AS"
            " 'INSERT INTO thing VALUES (5) RETURNING 1'",
        )
    return "add_one"


@has_procedures
@pytest.mark.parametrize("is_logged", [False, True], ids=["plain", "logged"])
def test_a_procedure_is_a_write(procedure: str, is_logged: bool) -> None:  # noqa: FBT001
    with session_scope(Session()) as session:
        with CaptureQueriesContext(connections[PRIMARY]), connections[PRIMARY].cursor() as cursor:
            connections[PRIMARY].force_debug_cursor = is_logged
            cursor.callproc(procedure)

        assert has_written(session)


@has_procedures
def test_what_a_procedure_writes_in_a_transaction_counts_when_that_is_committed(procedure: str) -> None:
    with session_scope(Session()) as session:
        with transaction.atomic(using=PRIMARY), connections[PRIMARY].cursor() as cursor:
            cursor.callproc(procedure)
            before = session.changes

        assert session.changes > before
        assert has_written(session)


@only_on["mysql"]
@pytest.mark.parametrize("by", ["callproc", "execute"])
def test_a_procedure_may_write_after_its_first_rows(family: Family, by: str) -> None:
    """It goes on while they are read, and the cursor is closed when it has ended."""
    family.sql(
        PRIMARY,
        "CREATE OR REPLACE PROCEDURE show_and_add() BEGIN SELECT 1; DO SLEEP(0.2); INSERT INTO thing VALUES (5); END",
    )
    with session_scope(Session()) as session:
        cursor = connections[PRIMARY].cursor()
        cursor.callproc("show_and_add") if by == "callproc" else cursor.execute("CALL show_and_add()")
        before = session.changes
        cursor.close()

        assert session.changes == before + 1
        assert has_written(session)
        assert _is_committed(family)


@pytest.mark.skipif(VENDOR == "postgresql", reason="psycopg refuses it inside a transaction")
def test_what_is_committed_by_turning_autocommit_on_is_a_write(family: Family, session: Session) -> None:
    transaction.set_autocommit(False, using=PRIMARY)
    family.write()
    assert not has_written(session)
    transaction.set_autocommit(True, using=PRIMARY)

    assert has_written(session)
    assert _is_committed(family)


@only_on["mysql"]
def test_what_was_written_before_a_table_is_changed_is_committed_whatever_happens_to_the_transaction(
    family: Family, session: Session
) -> None:
    with transaction.atomic(using=PRIMARY):
        family.write()
        family.sql(PRIMARY, "ALTER TABLE thing ADD COLUMN colour int")
        transaction.set_rollback(True, using=PRIMARY)

    assert has_written(session)
    assert _is_committed(family)


@only_on["sqlite"]
def test_what_its_driver_begins_no_transaction_for_is_committed_at_once(family: Family, session: Session) -> None:
    transaction.set_autocommit(False, using=PRIMARY)
    family.sql(PRIMARY, "WITH one AS (SELECT 1) INSERT INTO thing SELECT * FROM one")
    transaction.rollback(using=PRIMARY)
    transaction.set_autocommit(True, using=PRIMARY)

    assert has_written(session)
    assert _is_committed(family)


def test_what_is_rolled_back_is_no_write(family: Family, session: Session) -> None:
    with transaction.atomic(using=PRIMARY):
        family.write()
        transaction.set_rollback(True, using=PRIMARY)

    assert not has_written(session)
    assert not _is_committed(family)


def _is_committed(family: Family) -> bool:
    connections[PRIMARY].close()
    return bool(family.sql(PRIMARY, "SELECT * FROM thing"))


def test_a_connection_that_is_open_already_is_watched_from_the_start(
    settings: Any, family: Family, session: Session
) -> None:
    """An app that stands before shardkit has asked the database when it got ready."""
    replicated, settings.SHARDKIT = settings.SHARDKIT, {}
    for alias in (PRIMARY, REPLICAS[0]):
        family.connection(alias)
    settings.SHARDKIT = replicated
    observing.start()

    family.write()
    assert has_written(session)
    with pytest.raises(DatabaseError):
        family.sql(REPLICAS[0], "INSERT INTO thing VALUES (2)")


def test_a_connection_is_watched_once_however_often_it_is_opened(family: Family, session: Session) -> None:
    for _ in range(3):
        connections[PRIMARY].close()
        family.connection(PRIMARY)
    connection = connections[PRIMARY]
    before = session.changes
    family.write()

    assert session.changes == before + 1
    assert type(connection) is type(connection.copy())
    assert connection.__class__.__mro__.count(observing.Watched) == 1


def test_a_copy_of_a_connection_is_watched_too(family: Family, session: Session) -> None:
    family.connection(PRIMARY)
    copy = connections[PRIMARY].copy()
    with copy.cursor() as cursor:
        cursor.execute("INSERT INTO thing VALUES (1)")
    copy.close()

    assert has_written(session)
