"""Do the statements of several shards run at the same time, on the caller's own connections?"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections, transaction
from django.db.backends import utils
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory

from shardkit.fanout import Job, run
from tests.integration.fanout.worlds import (
    IS_IN_FLIGHT,
    WORLD,
    asked,
    everywhere,
    job,
    jobs,
    runs_together,
    shards,
    values,
)
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(databases="__all__")

flies = pytest.mark.skipif(not IS_IN_FLIGHT, reason="only psycopg 3 says when it waits")


@pytest.fixture
def meeting() -> Iterator[list[str]]:
    """Return statements that only end when all of them run."""
    token, members = f"meet-{uuid.uuid4().hex[:8]}", len(shards())
    yield [WORLD.meeting(token, number, members) for number in range(members)]
    for alias in shards():
        if connections[alias].vendor == "mysql":
            asked(alias, "SELECT RELEASE_ALL_LOCKS()")
        else:
            asked(alias, "SELECT set_config('application_name', '', false)")


def test_each_statement_runs_on_its_own_cursor() -> None:
    done = [job(alias, "SELECT %s", [number]) for number, alias in enumerate(shards())]

    run(done)

    assert list(range(len(done))) == values(done)


def test_a_statement_without_parameters_keeps_its_per_cent_signs() -> None:
    done = everywhere("SELECT '%s'")

    run(done)

    assert {"%s"} == set(values(done))


def test_no_job_and_one_job_are_fan_outs_too() -> None:
    done = jobs("SELECT 5")

    run([])
    run(done)

    assert [5] == values(done)


@runs_together
def test_the_statements_run_at_the_same_time(meeting: list[str]) -> None:
    run(jobs(*meeting))


@runs_together
def test_they_do_so_under_execute_wrappers(meeting: list[str]) -> None:
    seen: list[Any] = []

    def note(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        seen.append(context["connection"].alias)
        return execute(sql, params, many, context)

    with connections[shards()[0]].execute_wrapper(note), connections[shards()[1]].execute_wrapper(note):
        run(jobs(*meeting))

    assert shards()[:2] == seen


@runs_together
def test_they_do_so_on_cursors_of_a_tool(meeting: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Tool(utils.CursorWrapper):
        def execute(self, sql: Any, params: Any = None) -> Any:
            seen.append(self.db.alias)
            return super().execute(sql, params)

    for alias in shards():
        connection = connections[alias]
        monkeypatch.setattr(connection, "make_cursor", lambda cursor, connection=connection: Tool(cursor, connection))

    run(jobs(*meeting))

    assert shards() == sorted(seen)


@flies
def test_psycopg_needs_no_thread(meeting: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("shardkit.fanout.workers._pool")

    run(jobs(*meeting))


@flies
def test_a_tool_that_patches_psycopg_is_left_to_threads(meeting: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = psycopg.Cursor.execute

    def execute(self: Any, query: Any, params: Any = None) -> Any:
        seen.append(threading.current_thread().name)
        return original(self, query, params)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)

    run(jobs(*meeting))

    assert len(shards()) == len(seen)
    assert threading.main_thread().name not in seen


@flies
def test_a_tool_that_patches_django_sees_every_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = utils.CursorWrapper.execute

    def execute(self: Any, sql: str, params: Any = None) -> Any:
        seen.append(self.db.alias)
        return original(self, sql, params)

    monkeypatch.setattr(utils.CursorWrapper, "execute", execute)

    run(everywhere("SELECT 1"))

    assert shards() == sorted(seen)


def test_cursors_on_the_server_are_left_to_threads() -> None:
    done = [job(alias, "SELECT %s", [number], chunked=True) for number, alias in enumerate(shards())]

    run(done)

    assert list(range(len(done))) == values(done)
    for each in done:
        each.cursor.close()


def test_several_statements_of_one_connection_take_turns() -> None:
    first, second = shards()[:2]
    done = [job(alias, "SELECT %s", [number]) for number, alias in enumerate([first, second, first, second, first])]

    run(done)

    assert list(range(5)) == values(done)


def test_statements_of_one_connection_alone_take_turns() -> None:
    done = [job(shards()[0], "SELECT %s", [number]) for number in range(3)]

    run(done)

    assert list(range(3)) == values(done)


def test_they_see_what_the_caller_has_not_committed() -> None:
    Customer.objects.bulk_create(Customer(name=f"{n}", email=f"{n}@example.org") for n in range(40))
    counting = f"SELECT COUNT(*) FROM {Customer._meta.db_table}"  # noqa: S608
    with transaction.atomic():
        Customer.objects.bulk_create(Customer(name=f"{n}", email=f"{n}@example.org") for n in range(40, 60))
        done = everywhere(counting)

        run(done)

    assert 60 == sum(values(done))


def test_a_statement_may_write_in_the_callers_transaction() -> None:
    Customer.objects.bulk_create(Customer(name="a", email=f"{n}@example.org") for n in range(40))
    updating = f"UPDATE {Customer._meta.db_table} SET name = %s"  # noqa: S608
    with transaction.atomic(using=shards()[1]):
        run(everywhere(updating, ["b"]))
        transaction.set_rollback(True, using=shards()[1])

    assert [True, False] == [Customer.objects.using(alias).filter(name="b").exists() for alias in shards()[:2]]


def test_an_asynchronous_view_fans_out() -> None:
    async def view(_request: HttpRequest) -> HttpResponse:
        def ask() -> list[Any]:
            done = everywhere("SELECT 3")
            run(done)
            return values(done)

        return HttpResponse(str(sum(await sync_to_async(ask)())))

    async def request() -> HttpResponse:
        asgi: ASGIRequest = AsyncRequestFactory().get("/")
        return await view(asgi)

    assert str(3 * len(shards())).encode() == async_to_sync(request)().content


def test_a_job_says_what_it_is() -> None:
    assert ("shard_0", None, "SELECT 1", ()) == (
        (made := Job(shards()[0], None, "SELECT 1", ())).alias,
        made.cursor,
        made.sql,
        made.params,
    )
