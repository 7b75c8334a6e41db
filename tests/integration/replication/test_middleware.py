"""Does each request of a user see what his earlier ones wrote and saw? With replicas that stand still until told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from pytest_django.fixtures import Settings

from shardkit.consistency import tokens
from shardkit.consistency.session import Session, current, session_scope
from shardkit.consistency.stores import cookies
from shardkit.consistency.stores.protocol import lifetime, now
from shardkit.consistency.vectors import UNKNOWN, Entry, Vector
from shardkit.middleware import StickyPrimaryMiddleware
from shardkit.testing import SimulatedReplicas, assert_reads, simulated_replicas
from shardkit.topology.names import Alias
from tests.fix_queries import queries_by_database
from tests.shop.models import Customer

SHARDS: Final = ("shard_0", "shard_1", "shard_2", "shard_3")

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.urls("tests.integration.replication.pages"),
]


@pytest.fixture
def replicas(settings: Settings) -> Iterator[SimulatedReplicas]:
    settings.MIDDLEWARE = [
        "shardkit.middleware.StickyPrimaryMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    with simulated_replicas({"default": 1, **dict.fromkeys(SHARDS, 2)}) as replicas:
        yield replicas


@pytest.fixture
def sticky(settings: Settings) -> Callable[..., None]:
    def set_options(**options: str) -> None:
        settings.SHARDKIT = {**settings.SHARDKIT, **{f"STICKY_{key}": value for key, value in options.items()}}

    return set_options


@pytest.fixture
def customer(replicas: SimulatedReplicas) -> Customer:  # noqa: ARG001 - they are there first
    with session_scope(Session()):
        return Customer.objects.create(name="Ada", email="ada@example.org")


@pytest.fixture
def shard(customer: Customer) -> str:
    return str(customer.shard)


def jar(client: Client | AsyncClient) -> dict[str, str]:
    """Return the tokens that *client* would send: those whose time is not over."""
    return {
        name: morsel.value
        for name, morsel in client.cookies.items()
        if name.startswith("shardkit_") and morsel["max-age"] != 0
    }


def test_who_wrote_reads_the_primary_until_a_replica_has_it(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content
    replicas.resume(shard)
    with assert_reads(**{shard: "replica"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content


@pytest.mark.parametrize("page", ["block", "blunt", "ablock"])
def test_what_a_view_wrote_in_a_block_of_its_own_is_seen_in_a_transaction_of_a_test(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client, page: str
) -> None:
    """There nothing commits, and the block has ended all the same."""
    replicas.pause(shard)
    client.get(f"/{page}/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content


@pytest.mark.usefixtures("replicas")
def test_what_an_asynchronous_site_wrote_in_a_block_of_its_own_is_seen_in_a_transaction_of_a_test(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    client = AsyncClient()
    replicas.pause(shard)
    async_to_sync(client.get)(f"/ablock/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == async_to_sync(client.get)(f"/aread/{customer.pk}").content


def test_somebody_else_reads_a_replica_meanwhile(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{shard: "replica"}):
        Client().get(f"/read/{customer.pk}")


def test_a_write_to_one_shard_does_not_pin_the_others(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    with session_scope(Session()):
        others = (Customer.objects.create(name="B", email=f"{at}@example.org") for at in range(99))
        elsewhere = next(other for other in others if str(other.shard) != shard)
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{str(elsewhere.shard): "replica"}):
        client.get(f"/read/{elsewhere.pk}")


@pytest.mark.usefixtures("replicas")
def test_a_request_without_reads_costs_nothing(client: Client) -> None:
    with queries_by_database() as queries:
        response = client.get("/nothing")

    assert not queries
    assert not response.cookies
    assert not response.headers.get("Vary")


def test_a_session_that_reads_the_same_replica_sets_one_cookie(customer: Customer, client: Client) -> None:
    first, second = (client.get(f"/read/{customer.pk}") for _ in range(2))

    assert 1 == len(first.cookies) == len(jar(client))
    assert not second.cookies
    assert "Cookie" == first.headers["Vary"] == second.headers["Vary"]


def test_a_session_stays_with_its_replica(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    replicas.lose(f"{shard}_replica_1")
    client.get(f"/read/{customer.pk}")
    replicas.resume(f"{shard}_replica_1")

    with assert_reads(**{shard: f"{shard}_replica_2"}):
        client.get(f"/read/{customer.pk}")


def test_the_cookie_is_for_the_server_alone(customer: Customer, client: Client) -> None:
    plain = next(iter(client.get(f"/read/{customer.pk}").cookies.values()))
    secure = next(iter(Client().get(f"/read/{customer.pk}", secure=True).cookies.values()))

    assert ("/", True, "Lax") == (plain["path"], plain["httponly"], plain["samesite"])
    assert 0 < plain["max-age"] <= lifetime() + 1
    assert ("", True) == (plain["secure"], secure["secure"])


def test_what_a_view_wrote_before_it_raised_is_seen(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    client = Client(raise_request_exception=False)
    replicas.pause(shard)
    assert 500 == client.get(f"/fail/{customer.pk}/Grace").status_code

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content


def test_responses_that_cross_lose_nothing(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    """Two writes leave with the same jar, and the later one's response arrives first."""
    twin = Client()
    client.get(f"/read/{customer.pk}")
    twin.cookies.update(client.cookies)
    replicas.pause(shard)
    first = twin.get(f"/write/{customer.pk}/Grace")
    second = client.get(f"/write/{customer.pk}/Barbara")
    client.cookies.update(second.cookies)
    client.cookies.update(first.cookies)

    assert 2 == len(jar(client))
    with assert_reads(**{shard: "primary"}):
        assert b"Barbara" == client.get(f"/read/{customer.pk}").content
    assert 1 == len(jar(client))


@pytest.mark.parametrize("forged", ["x", "AQEAAA.c2lnbmF0dXJl", "ÿ" * 9])
def test_a_forged_cookie_means_the_primary_and_one_line(
    customer: Customer, shard: str, client: Client, caplog: pytest.LogCaptureFixture, forged: str
) -> None:
    client.cookies["shardkit_forged"], client.cookies["shardkit_other"] = forged, forged

    with assert_reads(**{shard: "primary"}):
        response = client.get(f"/read/{customer.pk}")

    assert 200 == response.status_code
    assert [("shardkit.consistency", logging.WARNING)] == [(line.name, line.levelno) for line in caplog.records]
    assert "" == response.cookies["shardkit_forged"].value == response.cookies["shardkit_other"].value


def test_who_lost_his_token_reads_the_primary_for_a_lifetime(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client, settings: Settings
) -> None:
    """Nobody knows what a token demanded that was signed with another key."""
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")
    settings.SECRET_KEY = "another"  # noqa: S105
    client.get("/nothing")

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content
    assert now() < tokens.loads(*jar(client).values()).open_until <= now() + lifetime()


def test_a_cookie_whose_demands_have_passed_goes_with_the_next_news(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    client.cookies["shardkit_old"] = tokens.dumps(Vector(open_until=now() - 1))
    assert not client.get("/nothing").cookies
    assert {"shardkit_old"} < set(client.get(f"/read/{customer.pk}").cookies)
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")

    assert 1 == len(jar(client))


def test_positions_that_no_cookie_holds_let_the_primary_answer(
    replicas: SimulatedReplicas,
    customer: Customer,
    shard: str,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A browser would drop it without a word."""
    monkeypatch.setattr(cookies, "MOST_BYTES", 70)
    replicas.pause(shard)
    response = client.get(f"/write/{customer.pk}/Grace")

    assert tokens.loads(*jar(client).values()).open_until > now()
    assert all(len(morsel.value) <= 70 for morsel in response.cookies.values())
    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content


@pytest.mark.usefixtures("replicas")
def test_a_request_asks_no_primary_that_it_has_not_used(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs would hold up every page of who has written to it."""
    asked: list[str] = []
    monkeypatch.setattr(SimulatedReplicas, "sampled_after", lambda *_: None)
    monkeypatch.setattr(SimulatedReplicas, "capture", lambda _, primary: asked.append(primary))
    unknown = Vector({Alias(name): Entry(UNKNOWN, since=now()) for name in SHARDS})
    client.cookies["shardkit_abcdef"] = tokens.dumps(unknown)

    client.get("/nothing")

    assert not asked


def test_replicas_that_are_not_read_yet_are_left_to_processes_that_do(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client, settings: Settings
) -> None:
    read, settings.SHARDKIT = settings.SHARDKIT, {**settings.SHARDKIT, "REPLICA_READS": False}
    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")

    settings.SHARDKIT = read
    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content


def test_the_next_requests_of_a_stream_read_the_primary(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client
) -> None:
    replicas.pause(shard)
    response: Any = client.get(f"/stream/{customer.pk}/Grace")
    parts = iter(response.streaming_content)
    assert [b"begun;", b"written;"] == [next(parts), next(parts)]

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content
    with assert_reads(**{shard: "primary"}):
        assert [b"Grace"] == list(parts)


def test_a_stream_leaves_nothing_behind_in_its_thread(customer: Customer, client: Client) -> None:
    before = current()
    response: Any = client.get(f"/stream/{customer.pk}/Grace")
    parts = iter(response.streaming_content)
    next(parts)

    assert before is current()
    assert b"written;Grace" == b"".join(parts)
    assert before is current()


def test_a_stream_that_outlives_its_token_is_named(
    customer: Customer, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    response: Any = client.get(f"/stream/{customer.pk}/Grace")
    later = now() + lifetime()
    monkeypatch.setattr("shardkit.consistency.requests.now", lambda: later)
    list(response.streaming_content)

    assert [f"/stream/{customer.pk}/Grace"] == [line.args[0] for line in caplog.records if isinstance(line.args, tuple)]


@pytest.mark.usefixtures("replicas")
def test_a_file_is_no_stream(client: Client) -> None:
    response: Any = client.get("/file")

    assert not response.cookies
    assert b"The pages of a site" in b"".join(response.streaming_content)


def test_a_client_of_the_api_sends_back_what_it_got(
    replicas: SimulatedReplicas, customer: Customer, shard: str, client: Client, sticky: Callable[..., None]
) -> None:
    sticky(STORE="header", HEADER="X-Seen")
    replicas.pause(shard)
    got = [client.get(f"/write/{customer.pk}/{name}").headers["X-Seen"] for name in ("Grace", "Barbara")]

    with assert_reads(**{shard: "primary"}):
        response = client.get(f"/read/{customer.pk}", headers={"X-Seen": ", ".join(reversed(got))})
    with assert_reads(**{shard: "replica"}):
        client.get(f"/read/{customer.pk}")
    assert (b"Barbara", "X-Seen") == (response.content, response.headers["Vary"])


def test_a_forged_header_means_the_primary_and_one_line(
    customer: Customer, shard: str, client: Client, sticky: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    sticky(STORE="header")

    with assert_reads(**{shard: "primary"}):
        response = client.get(f"/read/{customer.pk}", headers={"X-Shardkit-Session": "forged, forged"})

    assert 1 == len(caplog.records)
    assert tokens.loads(response.headers["X-Shardkit-Session"]).open_until


def test_without_replicas_nothing_is_carried(client: Client, settings: Settings) -> None:
    settings.MIDDLEWARE = ["shardkit.middleware.StickyPrimaryMiddleware"]
    pk = Customer.objects.create(name="Ada", email="ada@example.org").pk

    assert not client.get(f"/write/{pk}/Grace").cookies


def test_async_requests_see_what_earlier_ones_wrote(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    async def visit() -> None:
        client = AsyncClient()
        await client.get(f"/awrite/{customer.pk}/Grace")
        with assert_reads(**{shard: "primary"}):
            assert b"Grace" == (await client.get(f"/aread/{customer.pk}")).content
        with assert_reads(**{shard: "replica"}):
            await AsyncClient().get(f"/aread/{customer.pk}")

    replicas.pause(shard)
    async_to_sync(visit)()


@pytest.mark.usefixtures("replicas")
def test_an_async_request_that_lasts_longer_than_what_it_wrote_is_answered(settings: Settings) -> None:
    async def view(_request: HttpRequest) -> HttpResponse:
        current().note_write(Alias("shard_0"))
        current().today = lambda: now() + lifetime() + 1
        return HttpResponse()

    async def visit() -> Any:
        answer: Any = StickyPrimaryMiddleware(view)
        return await answer(RequestFactory().get("/"))

    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_MAX_LAG": 1}
    assert 200 == async_to_sync(visit)().status_code


def test_an_async_stream_runs_in_its_session(replicas: SimulatedReplicas, customer: Customer, shard: str) -> None:
    async def visit() -> None:
        client, before = AsyncClient(), current()
        response: Any = await client.get(f"/astream/{customer.pk}/Grace")
        parts = aiter(response.streaming_content)
        assert [b"begun;", b"written;"] == [await anext(parts), await anext(parts)]
        assert before is current()
        with assert_reads(**{shard: "primary"}):
            assert b"Grace" == (await client.get(f"/aread/{customer.pk}")).content
        with assert_reads(**{shard: "primary"}):
            assert [b"Grace"] == [part async for part in parts]

    replicas.pause(shard)
    async_to_sync(visit)()


@pytest.mark.usefixtures("replicas")
def test_requests_at_the_same_time_have_sessions_of_their_own() -> None:
    sessions: dict[str, list[Session]] = {}

    async def view(request: HttpRequest) -> HttpResponse:
        for _step in range(3):
            sessions.setdefault(request.path, []).append(current())
            await asyncio.sleep(0)
        return HttpResponse()

    async def visit() -> None:
        answer: Any = StickyPrimaryMiddleware(view)
        await asyncio.gather(*(answer(RequestFactory().get(f"/{name}")) for name in "abc"))

    before = current()
    async_to_sync(visit)()

    assert before is current()
    assert [1, 1, 1] == [len(set(map(id, seen))) for seen in sessions.values()]
    assert 4 == len({id(before), *(id(seen[0]) for seen in sessions.values())})
