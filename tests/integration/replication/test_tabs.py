"""Do two tabs of one browser see the same, while one of them leaves its replica and the other goes on reading it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from shardkit.consistency import tokens
from shardkit.consistency.session import Session, session_scope
from shardkit.consistency.vectors import LEFT_FOR, Entry
from shardkit.testing import SimulatedReplicas, assert_reads, simulated_replicas
from shardkit.topology.names import Alias
from tests.shop.models import Customer

MIDDLEWARE: Final = ["shardkit.middleware.StickyPrimaryMiddleware"]

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.urls("tests.integration.replication.pages"),
]


@pytest.fixture(autouse=True)
def replicas(settings: Any) -> Iterator[SimulatedReplicas]:
    settings.MIDDLEWARE = MIDDLEWARE
    with simulated_replicas(dict.fromkeys(("shard_0", "shard_1", "shard_2", "shard_3"), 2)) as replicas:
        yield replicas


@pytest.fixture
def customer() -> Customer:
    with session_scope(Session()):
        return Customer.objects.create(name="Ada", email="ada@example.org")


@pytest.fixture
def first(customer: Customer) -> str:
    """The replica that a session reads first."""
    return f"{customer.shard}_replica_1"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the time of the day be later by so many seconds."""
    now = timezone.now

    def put(seconds: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(seconds=seconds))

    return put


def entry(client: Client, customer: Customer) -> Entry:
    """Return what the one cookie of *client* says of the shard of *customer*."""
    (token,) = (morsel.value for morsel in client.cookies.values() if morsel["max-age"] != 0)
    return tokens.loads(token).entries[Alias(str(customer.shard))]


def test_who_left_a_replica_reads_no_other_one_for_a_while(
    replicas: SimulatedReplicas, customer: Customer, first: str, client: Client, later: Callable[[float], None]
) -> None:
    shard = str(customer.shard)
    client.get(f"/read/{customer.pk}")
    replicas.lose(first)

    for _request in range(3):
        with assert_reads(**{shard: "primary"}):
            client.get(f"/read/{customer.pk}")
    assert (first, True) == (entry(client, customer).replica, entry(client, customer).left > 0)
    later(LEFT_FOR + 1)
    client.get(f"/read/{customer.pk}")  # demands what the primary has now
    with assert_reads(**{shard: f"{shard}_replica_2"}):
        client.get(f"/read/{customer.pk}")
    assert 0 == entry(client, customer).left


def test_the_replica_that_was_left_is_read_as_soon_as_it_can_be(
    replicas: SimulatedReplicas, customer: Customer, first: str, client: Client
) -> None:
    shard = str(customer.shard)
    client.get(f"/read/{customer.pk}")
    replicas.pause(first)
    client.get(f"/write/{customer.pk}/Grace")
    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")
    replicas.resume(first)

    with assert_reads(**{shard: first}):
        client.get(f"/read/{customer.pk}")
    assert 0 == entry(client, customer).left


def test_what_a_slow_tab_read_is_told_again(
    replicas: SimulatedReplicas, customer: Customer, first: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before the other tab left the replica, and ends when nobody waits any more."""
    shard = str(customer.shard)
    client.get(f"/read/{customer.pk}")
    slow = Client()
    slow.cookies.update(client.cookies)
    replicas.lose(first)
    client.get(f"/read/{customer.pk}")
    replicas.resume(first)
    monkeypatch.setattr("shardkit.consistency.requests.SHORT", -1.0)
    with assert_reads(**{shard: first}):
        response = slow.get(f"/read/{customer.pk}")
    client.cookies.update(response.cookies)

    assert 1 == len(response.cookies)
    with assert_reads(**{shard: first}):
        client.get(f"/read/{customer.pk}")


def test_two_tabs_that_read_two_replicas_read_the_primary(
    replicas: SimulatedReplicas, customer: Customer, first: str, client: Client
) -> None:
    shard, other = str(customer.shard), Client()
    client.get(f"/read/{customer.pk}")
    replicas.lose(first)
    client.cookies.update(other.get(f"/read/{customer.pk}").cookies)
    replicas.resume(first)

    for _request in range(2):
        with assert_reads(**{shard: "primary"}):
            client.get(f"/read/{customer.pk}")
    assert ("", True) == (entry(client, customer).replica, entry(client, customer).left > 0)
