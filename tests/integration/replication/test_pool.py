"""Do the connections of a request lead to the servers that the monitor has looked at?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from shardkit.consistency.pool import Pool
from shardkit.fanout.statements import naming
from shardkit.replication.selection import Choice
from shardkit.topology.nodes import Role
from shardkit.vendors.replication.base import Failure
from tests.fix_replicas import PRIMARY, REPLICAS, Family


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


@pytest.mark.usefixtures("family")
def test_a_connection_that_is_in_a_transaction_is_left_open() -> None:
    with transaction.atomic(using=REPLICAS[0]):
        known = driver()

        assert not Pool().opened(PRIMARY, chosen("another"))
        assert known is driver()
        connections[REPLICAS[0]].ensure_connection()
        assert not connections[REPLICAS[0]].needs_rollback
    assert known is driver()


@pytest.mark.usefixtures("family")
def test_a_connection_without_autocommit_is_left_open() -> None:
    connection = connections[REPLICAS[0]]
    connection.set_autocommit(False)
    known = driver()

    assert not Pool().opened(PRIMARY, chosen("another"))
    assert known is driver()
    connection.rollback()
    connection.set_autocommit(True)


def test_an_error_of_one_database_says_nothing_of_the_others_in_the_statement(family: Family, life: str) -> None:
    with pytest.raises(DatabaseError) as raised, naming(PRIMARY, connections[REPLICAS[0]]):
        family.sql(REPLICAS[0], "SELECT * FROM absent")

    other = replace(chosen(life), alias=REPLICAS[1])
    assert (Failure.BEHIND, None) == tuple(Pool().failure(choice, raised.value) for choice in (chosen(life), other))
