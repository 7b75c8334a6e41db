"""Does a request that sends too many statements to shards hear of it, and from which line?"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from shardkit.budgets import fanout_budget, spend
from shardkit.calling import UNKNOWN, calling_line
from shardkit.errors import FanoutBudgetExceeded
from shardkit.routing.plan import Gather, Local, Merge, Single
from shardkit.topology.names import Alias
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop
from tests.shop.models import Country, Customer, Order

pytestmark = pytest.mark.django_db(databases="__all__")

FOUR = tuple(Alias(f"shard_{number}") for number in range(4))
MERGE = Merge(FOUR, "it does not say the key")


def scatter(times: int = 1) -> None:
    for _ in range(times):
        spend(MERGE, Order, "select")


def view(_request: HttpRequest) -> HttpResponse:
    with pytest.raises(FanoutBudgetExceeded):
        scatter(3)
    return HttpResponse("over")


def free_view(_request: HttpRequest) -> HttpResponse:
    with fanout_budget() as tally:
        scatter(3)
    return HttpResponse(str(tally.statements))


async def async_view(_request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(asyncio.create_task(sync_to_async(scatter)()) for _ in range(2)))
    with pytest.raises(FanoutBudgetExceeded) as raised:
        await sync_to_async(spend)(MERGE, Order, "select")  # the line is here, and the spending on another thread
    return HttpResponse(raised.value.line)


urlpatterns = [path("sync/", view), path("free/", free_view), path("async/", async_view)]


def budget(statements: int, action: str) -> Any:
    return override_settings(
        SHARDKIT={**settings.SHARDKIT, "FANOUT_BUDGET": {"statements": statements, "action": action}},
        ROOT_URLCONF=__name__,
    )


def test_a_statement_counts_once_for_each_shard(shop: Shop) -> None:
    del shop

    with fanout_budget() as tally, queries_by_database() as seen:
        list(Customer.objects.filter(name="Ada"))

    assert tally.statements == sum(seen.values()) == 4


def test_what_asks_one_database_costs_nothing(shop: Shop) -> None:
    with fanout_budget(statements=0, action="raise") as tally:
        list(Order.objects.filter(customer=shop.customers[0]))
        list(Country.objects.all())
        spend(Local(), Country, "select")
        spend(Single(FOUR[0], "its key"), Order, "select")

    assert tally.statements == 0


def test_beyond_the_budget_nothing_is_sent(shop: Shop) -> None:
    del shop

    with fanout_budget(statements=4, action="raise"), queries_by_database() as seen:
        list(Customer.objects.filter(name="Ada"))
        with pytest.raises(FanoutBudgetExceeded) as raised:
            list(Customer.objects.filter(name="Bob"))

    assert sum(seen.values()) == 4
    assert (raised.value.statements, raised.value.limit) == (8, 4)
    assert raised.value.line.startswith(__file__)
    assert "shop.Customer: select, a Merge over 4 shards because it does not say" in str(raised.value)


def test_writes_count_too(shop: Shop) -> None:
    del shop

    with fanout_budget() as tally:
        Order.objects.update(status="x")

    assert tally.statements == 4


def test_a_warning_names_each_line_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "shardkit.fanout"), fanout_budget(statements=3, action="warn"):
        scatter(times=3)
        spend(Gather(FOUR, "it joins"), None, "select")

    first, second = caplog.records
    extra: dict[str, Any] = vars(first)
    assert (extra["statements"], extra["limit"], extra["plan"]) == (4, 3, MERGE)
    assert extra["line"].startswith(f"{__file__}:")
    assert extra["line"] in first.getMessage()
    assert "a query: select, a Gather over 4 shards because it joins" in second.getMessage()


def test_a_block_inside_counts_for_the_one_around_it() -> None:
    with fanout_budget(statements=100) as outer:
        with fanout_budget() as inner:
            scatter()
        scatter()

    assert (inner.statements, outer.statements) == (4, 8)


def test_outside_of_requests_nothing_counts() -> None:
    with budget(1, "raise"):
        scatter(times=5)


def test_without_a_budget_a_request_may_send_any_number() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        assert Client().get("/free/").content == b"12"


def test_every_request_has_a_budget_of_its_own() -> None:
    with budget(8, "raise"):
        assert [Client().get("/sync/").content for _ in range(2)] == [b"over", b"over"]
        scatter(times=9)


def test_a_request_to_an_asgi_server_has_one_budget_for_all_its_tasks() -> None:
    async def ask() -> list[str]:
        return [await answer("/async/") for _ in range(2)]

    with budget(8, "raise"):
        lines = async_to_sync(ask)()

    assert len(lines) == 2
    if sys.flags.dev_mode:  # asyncio's debug mode often hides the coroutine that waits for a thread
        lines = [line for line in lines if line != UNKNOWN]
    for file, _colon, number in (line.partition(":") for line in lines):
        assert "sync_to_async(spend)" in Path(file).read_text().splitlines()[int(number) - 1]


async def answer(url: str) -> str:
    scope = {"type": "http", "method": "GET", "path": url, "headers": [(b"host", b"testserver")], "query_string": b""}
    communicate: Any = ApplicationCommunicator
    asked = communicate(ASGIHandler(), scope)
    await asked.send_input({"type": "http.request", "body": b""})
    start = await asked.receive_output(timeout=5)
    assert start["status"] == 200
    body: bytes = (await asked.receive_output(timeout=5))["body"]
    await asked.wait()
    return body.decode()


def test_a_task_that_a_request_runs_at_once_counts_for_it_too() -> None:
    tasks: Any = pytest.importorskip("django.tasks", reason="Django has tasks from 6.0")
    with fanout_budget() as tally:
        tasks.task(scatter).enqueue(times=3)
        scatter()

    assert tally.statements == 16


def test_the_line_is_the_innermost_of_the_application() -> None:
    assert calling_line().startswith(f"{__file__}:")


def test_a_stack_without_a_line_of_the_application_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardkit.calling._LIBRARIES", ("/", "<"))

    assert calling_line() == UNKNOWN
