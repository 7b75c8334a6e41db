"""Do the tokens of a user stay in a cache, whatever he uses, and whatever happens to the cache? On real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context
from hashlib import sha256
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.cache import BaseCache, caches
from django.http import HttpRequest
from django.test import AsyncClient, Client
from pytest_django.fixtures import Settings

from shardkit.consistency.jobs import brought_by, restored
from shardkit.consistency.session import Session, session_scope
from shardkit.consistency.stores import caching
from shardkit.consistency.stores.choosing import chosen_store
from shardkit.consistency.stores.cookies import CookieStore
from shardkit.consistency.stores.headers import HeaderStore
from shardkit.testing import SimulatedReplicas, assert_reads, simulated_replicas
from tests.servers import caches as servers
from tests.shop.models import Customer

SHARDS: Final = ("shard_0", "shard_1", "shard_2", "shard_3")

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.urls("tests.integration.replication.pages"),
]


@pytest.fixture(params=["memcached", "redis_server"])
def cache(request: pytest.FixtureRequest, settings: Settings) -> Iterator[BaseCache]:
    backend = servers.MEMCACHED if request.param == "memcached" else servers.REDIS
    location = request.getfixturevalue(request.param)
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": location}}
    caches["default"].clear()
    yield caches["default"]
    servers.close_caches()


@pytest.fixture
def replicas(cache: BaseCache, settings: Settings) -> Iterator[SimulatedReplicas]:  # noqa: ARG001 - it is there first
    settings.MIDDLEWARE = [
        "shardkit.middleware.StickyPrimaryMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    settings.SHARDKIT = {**settings.SHARDKIT, "STICKY_STORE": "cache"}
    with simulated_replicas({"default": 1, **dict.fromkeys(SHARDS, 2)}) as replicas:
        yield replicas


@pytest.fixture
def customer(replicas: SimulatedReplicas) -> Customer:  # noqa: ARG001 - they are there first
    with session_scope(Session()):
        User.objects.create(username="ada")
        return Customer.objects.create(name="Ada", email="ada@example.org")


@pytest.fixture
def shard(customer: Customer) -> str:
    return str(customer.shard)


@pytest.fixture
def sticky(settings: Settings) -> Callable[..., None]:
    def set_options(**options: str) -> None:
        settings.SHARDKIT = {**settings.SHARDKIT, **{f"STICKY_{key}": value for key, value in options.items()}}

    return set_options


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache have known every user for longer than a lifetime."""
    monkeypatch.setattr(caching, "_born", lambda _mark: 0)


@pytest.fixture(params=["127.0.0.1:1", "redis://127.0.0.1:1"])
def away(request: pytest.FixtureRequest, settings: Settings, customer: Customer) -> None:  # noqa: ARG001 - it is there
    """Let nobody answer where the cache should be."""
    backend = servers.REDIS if request.param.startswith("redis") else servers.MEMCACHED
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": request.param}}


def entered() -> Client:
    """Return a browser whose user has logged in, as the cache knows."""
    client = Client()
    client.get("/enter/ada")
    client.get("/nothing")  # the cache learns whose the session is
    client.get("/nothing")  # and that it knows all of that user
    return client


def key_of_the_request(request: HttpRequest) -> str | None:
    return request.headers.get("Authorization")


@pytest.mark.usefixtures("aged")
def test_what_a_user_wrote_on_his_laptop_he_sees_on_his_phone(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    laptop, phone = entered(), entered()
    replicas.pause(shard)
    laptop.get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == phone.get(f"/read/{customer.pk}").content
    replicas.resume(shard)
    with assert_reads(**{shard: "replica"}):
        assert b"Grace" == phone.get(f"/read/{customer.pk}").content
    assert {"sessionid"} == set(laptop.cookies) == set(phone.cookies)


@pytest.mark.usefixtures("aged")
def test_by_session_each_browser_sees_its_own(
    replicas: SimulatedReplicas, customer: Customer, shard: str, sticky: Callable[..., None]
) -> None:
    sticky(KEY="session")
    laptop, phone = entered(), entered()
    replicas.pause(shard)
    laptop.get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        laptop.get(f"/read/{customer.pk}")
    with assert_reads(**{shard: "replica"}):
        phone.get(f"/read/{customer.pk}")


def test_of_a_session_that_was_just_made_all_is_known(
    customer: Customer, shard: str, sticky: Callable[..., None]
) -> None:
    sticky(KEY="session")
    client = Client()
    client.get("/enter/ada")

    with assert_reads(**{shard: "replica"}):
        client.get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_a_function_of_the_project_may_say_whose_request_it_is(
    replicas: SimulatedReplicas, customer: Customer, shard: str, sticky: Callable[..., None]
) -> None:
    sticky(KEY=f"{__name__}.key_of_the_request")
    mine, other = {"Authorization": "Bearer mine"}, {"Authorization": "Bearer other"}
    for headers in (mine, other):
        Client(headers=headers).get("/nothing")
    replicas.pause(shard)
    Client(headers=mine).get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        Client(headers=mine).get(f"/read/{customer.pk}")
    with assert_reads(**{shard: "replica"}):
        Client(headers=other).get(f"/read/{customer.pk}")


def test_who_cannot_be_told_reads_the_primary(customer: Customer, shard: str) -> None:
    client = Client(headers={"Authorization": "Bearer of something"})

    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_what_nobody_had_a_name_for_goes_with_him_who_logs_in_and_out(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    entered()
    client = Client()
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")
    anonymous = set(client.cookies)
    client.get("/enter/ada")

    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")
    assert {""} == {client.cookies[name].value for name in anonymous}
    client.get("/leave")
    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")
    with assert_reads(**{shard: "primary"}):
        entered().get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_a_cache_that_forgot_everything_is_believed_after_a_lifetime(
    replicas: SimulatedReplicas, customer: Customer, shard: str, cache: BaseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = entered()
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")
    cache.clear()
    monkeypatch.undo()

    for _time in range(2):
        with assert_reads(**{shard: "primary"}):
            client.get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_a_number_without_a_token_means_the_primary(customer: Customer, shard: str, cache: BaseCache) -> None:
    client = entered()
    client.get(f"/read/{customer.pk}")
    count = caching._count_name(f"shardkit:user:{digest(User.objects.get().pk)}", caching._slot())
    with assert_reads(**{shard: "replica"}):
        client.get(f"/read/{customer.pk}")
    cache.incr(count)

    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_more_numbers_than_anybody_reads_mean_the_primary(
    customer: Customer, shard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = entered()
    client.get(f"/read/{customer.pk}")
    monkeypatch.setattr(caching, "MOST_NUMBERS", 0)

    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_a_token_that_is_none_means_the_primary(customer: Customer, shard: str, settings: Settings) -> None:
    client = entered()
    client.get(f"/read/{customer.pk}")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", []

    with assert_reads(**{shard: "primary"}):
        client.get(f"/read/{customer.pk}")


@pytest.mark.usefixtures("aged")
def test_a_request_that_changes_nothing_only_loads(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = entered()
    client.get(f"/read/{customer.pk}")
    called: list[str] = []
    for name in ("get", "get_many", "set", "set_many", "add", "incr", "touch", "delete"):
        monkeypatch.setattr(type(caches["default"]), name, noted(called, getattr(type(caches["default"]), name)))

    client.get(f"/read/{customer.pk}")

    assert ["get", "get_many", "get_many"] == called


@pytest.mark.usefixtures("away")
def test_while_the_cache_is_away_tokens_travel_in_cookies(
    replicas: SimulatedReplicas, customer: Customer, shard: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    client.get("/enter/ada")
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == client.get(f"/read/{customer.pk}").content
    assert any(name.startswith("shardkit_") for name in client.cookies)
    assert {"shardkit.consistency"} == {line.name for line in caplog.records}


@pytest.mark.usefixtures("aged")
def test_what_a_stream_has_written_is_seen_before_its_next_part_arrives(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    laptop, phone = entered(), entered()
    replicas.pause(shard)
    response: Any = laptop.get(f"/stream/{customer.pk}/Grace")
    parts = iter(response.streaming_content)

    assert b"begun;" == next(parts)
    with assert_reads(**{shard: "replica"}):
        phone.get(f"/read/{customer.pk}")
    assert b"written;" == next(parts)
    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == phone.get(f"/read/{customer.pk}").content
    assert [b"Grace"] == list(parts)


@pytest.mark.usefixtures("aged")
def test_an_async_stream_does_the_same(replicas: SimulatedReplicas, customer: Customer, shard: str) -> None:
    async def visit() -> None:
        phone = AsyncClient()
        phone.cookies.update(browser.cookies)
        response: Any = await phone.get(f"/astream/{customer.pk}/Grace")
        parts = aiter(response.streaming_content)
        assert [b"begun;", b"written;"] == [await anext(parts), await anext(parts)]
        with assert_reads(**{shard: "primary"}):
            assert b"Grace" == (await phone.get(f"/aread/{customer.pk}")).content
        assert [b"Grace"] == [part async for part in parts]

    browser = entered()
    replicas.pause(shard)
    async_to_sync(visit)()


@pytest.mark.usefixtures("aged")
def test_a_view_that_raises_through_everything_is_remembered(
    replicas: SimulatedReplicas, customer: Customer, shard: str, settings: Settings
) -> None:
    client = entered()
    replicas.pause(shard)
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with pytest.raises(RuntimeError):
        client.get(f"/fail/{customer.pk}/Grace")
    again = Client()
    again.cookies.update(client.cookies)

    with assert_reads(**{shard: "primary"}):
        assert b"Grace" == again.get(f"/read/{customer.pk}").content


@pytest.mark.parametrize(
    ("cache_settings", "others"),
    [
        ({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, {}),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}, {}),
        ({"BACKEND": servers.REDIS, "LOCATION": ["redis://127.0.0.1:1", "redis://127.0.0.1:2"]}, {}),
        ({"BACKEND": servers.REDIS, "LOCATION": "redis://127.0.0.1:1,redis://127.0.0.1:2"}, {}),
        (
            {"BACKEND": servers.REDIS, "LOCATION": "redis://127.0.0.1:1"},
            {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"},
        ),
    ],
    ids=["of one process", "that does not count in one step", "with replicas", "with replicas in a text", "keyless"],
)
def test_a_cache_that_would_lose_tokens_is_not_used(
    settings: Settings, caplog: pytest.LogCaptureFixture, cache_settings: dict[str, Any], others: dict[str, Any]
) -> None:
    settings.CACHES = {"default": cache_settings}
    settings.SHARDKIT = {**settings.SHARDKIT, "STICKY_STORE": "cache"}
    for name, value in others.items():
        setattr(settings, name, value)

    assert isinstance(chosen_store(), CookieStore)
    assert 1 == len(caplog.records)


def test_a_store_of_the_project_may_be_named(settings: Settings) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "STICKY_STORE": "shardkit.consistency.stores.headers.HeaderStore"}

    assert isinstance(chosen_store(), HeaderStore)


def test_choosing_leaves_no_client_that_all_requests_of_an_asgi_server_would_share(settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": servers.MEMCACHED, "LOCATION": "127.0.0.1:1"}}
    settings.SHARDKIT = {**settings.SHARDKIT, "STICKY_STORE": "cache"}

    def chosen_and_left() -> tuple[type, list[BaseCache]]:
        return type(chosen_store()), list(caches.all(initialized_only=True))

    assert (caching.CacheStore, []) == Context().run(chosen_and_left)


def digest(text: object) -> str:
    return sha256(str(text).encode()).hexdigest()[:32]


def noted(called: list[str], method: Callable[..., Any]) -> Callable[..., Any]:
    def note(*args: Any, **options: Any) -> Any:
        called.append(method.__name__)
        return method(*args, **options)

    return note


def test_a_websocket_begins_with_what_the_cache_holds(
    replicas: SimulatedReplicas, customer: Customer, shard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "_born", lambda _mark: 0)  # the cache has not forgotten anything lately
    client = entered()
    replicas.pause(shard)
    client.get(f"/write/{customer.pk}/Grace")
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}

    with session_scope(Session()), restored(brought_by(cookies)), assert_reads(**{shard: "primary"}):
        assert "Grace" == Customer.objects.get(pk=customer.pk).name
    with session_scope(Session()), restored(brought_by({})), assert_reads(**{shard: "replica"}):
        Customer.objects.get(pk=customer.pk)
