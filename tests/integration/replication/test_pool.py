"""Do the connections of a request lead to the servers that the monitor has looked at?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from shardkit.consistency.pool import Pool
from shardkit.consistency.reading import Reading
from shardkit.consistency.session import Session, session_scope
from shardkit.fanout.statements import naming
from shardkit.replication import monitor
from shardkit.replication.selection import Choice, Need, choose
from shardkit.topology.nodes import Role
from shardkit.vendors.replication.base import Failure
from tests.fix_replicas import PRIMARY, REPLICAS, VENDOR, Family
from tests.waiting import wait_for


def chosen(life: str) -> Choice:
    return Choice(REPLICAS[0], Role.REPLICA, "fresh", life)


@pytest.fixture
def life(family: Family) -> str:
    """Return the life of the first replica."""
    return family.state(0).life


def driver() -> Any:
    return connections[REPLICAS[0]].connection


def test_a_connection_to_the_server_that_is_known_stays_open(life: str) -> None:
    known = driver()

    assert all(Pool().opened(PRIMARY, chosen(life)) for _ in range(2))
    assert known is driver()


def test_a_name_that_leads_to_another_server_by_now_is_followed_anew(family: Family, life: str) -> None:
    assert Pool().opened(PRIMARY, chosen(life))
    connections[REPLICAS[0]].settings_dict.update(family.entry(REPLICAS[1]))
    elsewhere = chosen(family.state(1).life)

    assert not Pool().opened(PRIMARY, elsewhere)
    assert driver() is None
    assert Pool().opened(PRIMARY, elsewhere)
    assert not Pool().opened(PRIMARY, chosen(life))


@pytest.mark.skipif(VENDOR == "sqlite", reason="a file is one database")
def test_a_name_that_leads_to_another_database_of_the_server_is_followed_anew(family: Family, life: str) -> None:
    family.sql(PRIMARY, "DROP DATABASE IF EXISTS another")
    family.sql(PRIMARY, "CREATE DATABASE another")
    family.catch_up()
    connections[REPLICAS[0]].close()
    connections[REPLICAS[0]].settings_dict["NAME"] = "another"

    assert not Pool().opened(PRIMARY, chosen(life))
    assert driver() is None


def test_a_connection_in_a_transaction_of_the_callers_is_not_read(life: str) -> None:
    """It may show what was there when that began; and it is left open."""
    with transaction.atomic(using=REPLICAS[0]):
        known = driver()

        assert not Pool().opened(PRIMARY, chosen(life))
        assert not Pool().opened(PRIMARY, chosen("another"))
        assert known is driver()
        assert not connections[REPLICAS[0]].needs_rollback
    assert Pool().opened(PRIMARY, chosen(life))
    assert known is driver()


def test_a_connection_without_autocommit_is_not_read(life: str) -> None:
    connection = connections[REPLICAS[0]]
    connection.set_autocommit(False)
    known = driver()

    assert not Pool().opened(PRIMARY, chosen(life))
    assert not Pool().opened(PRIMARY, chosen("another"))
    assert known is driver()
    connection.rollback()
    connection.set_autocommit(True)

    assert Pool().opened(PRIMARY, chosen(life))


def test_an_error_of_one_database_says_nothing_of_the_others_in_the_statement(family: Family, life: str) -> None:
    with pytest.raises(DatabaseError) as raised, naming(PRIMARY, connections[REPLICAS[0]]):
        family.sql(REPLICAS[0], "SELECT * FROM absent")

    other = replace(chosen(life), alias=REPLICAS[1])
    assert (Failure.BEHIND, None) == tuple(Pool().failure(choice, raised.value) for choice in (chosen(life), other))


def test_a_connection_that_opens_without_autocommit_is_not_read(life: str) -> None:
    connection = connections[REPLICAS[0]]
    connection.close()
    connection.settings_dict["AUTOCOMMIT"] = False

    assert not Pool().opened(PRIMARY, chosen(life))


def test_what_came_after_a_snapshot_of_the_callers_is_read_elsewhere(settings: Any, family: Family) -> None:
    """The replica has it, and the caller's transaction there does not show it."""
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICAS": {PRIMARY: [REPLICAS[0]]}, "REPLICA_INTERVAL": 0.05}
    for alias in (PRIMARY, REPLICAS[0]):
        connections[alias].close()
    with session_scope(Session()) as session, transaction.atomic(using=REPLICAS[0]):
        _fix_snapshot(family)
        assert 0 == family.count(0)
        family.write()
        session.settle_all()
        wait_for(lambda: _is_fresh(session))
        reading = Reading()
        with reading.connection(PRIMARY).cursor() as cursor:
            cursor.execute("SELECT count(*) FROM thing")
            assert (1,) == cursor.fetchone()
        assert (PRIMARY, Role.PRIMARY) == (reading.choices[PRIMARY].alias, reading.choices[PRIMARY].role)
    monitor.stop()


def _fix_snapshot(family: Family) -> None:
    if VENDOR == "postgresql":  # elsewhere it is so by default
        family.sql(REPLICAS[0], "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _is_fresh(session: Session) -> bool:
    monitor.watch(PRIMARY)
    need = session.need(PRIMARY)
    return isinstance(need, Need) and choose(PRIMARY, need).alias == REPLICAS[0]
