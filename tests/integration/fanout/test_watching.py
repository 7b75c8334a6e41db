"""Do Django's execute wrappers and its log of queries see each statement of a fan-out as they would see it alone?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any

import pytest
from django.db import Error, OperationalError, connections
from django.test.utils import CaptureQueriesContext

from shardkit.fanout import executor, run
from tests.integration.fanout.worlds import IS_SERIAL, WORLD, everywhere, in_blocks, jobs, shards, values

pytestmark = pytest.mark.django_db(databases="__all__")

Wrapper = Callable[..., Any]
current: ContextVar[list[str]] = ContextVar("current")


@pytest.fixture
def wrap() -> Iterator[Callable[[Wrapper, Any], None]]:
    """Return what installs an execute wrapper on a shard, or on all of them."""
    with ExitStack() as stack:

        def install(wrapper: Wrapper, *aliases: Any) -> None:
            for alias in aliases or shards():
                stack.enter_context(connections[alias].execute_wrapper(wrapper))

        yield install


def test_every_wrapper_runs_on_the_callers_thread_and_in_its_context(wrap: Any) -> None:
    threads, trace = [], list[str]()
    current.set(trace)

    def note(execute: Wrapper, sql: str, params: Any, many: Any, context: Any) -> Any:
        threads.append(threading.current_thread())
        current.get().append(context["connection"].alias)
        return execute(sql, params, many, context)

    wrap(note)
    run(everywhere("SELECT 1"))

    assert shards() == trace
    assert {threading.current_thread()} == set(threads)


def test_a_wrapper_may_use_the_connection_before_and_after(wrap: Any) -> None:
    seen: list[Any] = []

    def ask(execute: Wrapper, sql: str, params: Any, many: Any, context: Any) -> Any:
        for _ in range(2):
            with context["connection"].cursor() as cursor:
                cursor.cursor.execute("SELECT 8")
                seen.append(cursor.cursor.fetchone()[0])
        return execute(sql, params, many, context)

    wrap(ask)
    run(done := everywhere("SELECT 9"))

    assert [8] * 2 * len(shards()) == seen
    assert {9} == set(values(done))


def test_wrappers_of_one_connection_are_nested_as_django_nests_them(wrap: Any) -> None:
    seen: list[str] = []

    def named(name: str) -> Wrapper:
        def note(execute: Wrapper, sql: str, params: Any, many: Any, context: Any) -> Any:
            seen.append(f"{name} begins")
            result = execute(sql, params, many, context)
            seen.append(f"{name} ends")
            return result

        return note

    wrap(named("outer"), shards()[1])
    wrap(named("inner"), shards()[1])
    run(everywhere("SELECT 1"))

    with connections[shards()[1]].cursor() as cursor:
        cursor.execute("SELECT 1")
    assert seen[:4] == seen[4:]


def test_a_wrapper_may_change_the_statement(wrap: Any) -> None:
    wrap(lambda execute, sql, params, many, context: execute(f"{sql} + 1 /* told */", params, many, context))

    run(done := everywhere("SELECT %s", [4]))

    assert {5} == set(values(done))


def test_a_wrapper_gets_what_the_driver_returns(wrap: Any) -> None:
    seen: list[Any] = []

    def note(*args: Any) -> Any:
        seen.append(args[0](*args[1:]))
        return seen[-1]

    wrap(note)
    run(everywhere("SELECT 1"))
    with connections[shards()[0]].cursor() as cursor:
        cursor.execute("SELECT 1")

    assert len({type(each) for each in seen}) == 1


def test_a_wrapper_may_answer_by_itself(wrap: Any) -> None:
    wrap(lambda *_: None, shards()[1])

    run(done := everywhere("SELECT 6"))

    assert {6} == set(values(done[:1] + done[2:]))
    assert not done[1].cursor.description


def test_a_wrapper_that_refuses_is_heard_and_nothing_runs(wrap: Any) -> None:
    def refuse(*_: Any) -> None:
        raise LookupError("no queries here")

    wrap(refuse, shards()[2])
    done = everywhere("SELECT 1")

    with pytest.raises(LookupError, match="no queries here"):
        run(done)

    assert not any(job.cursor.description for job in done)


def test_a_wrapper_sees_the_error_of_its_own_statement(wrap: Any) -> None:
    seen: list[tuple[Any, str]] = []

    def note(execute: Wrapper, sql: str, params: Any, many: Any, context: Any) -> Any:
        try:
            return execute(sql, params, many, context)
        except Error as error:
            seen.append((context["connection"].alias, type(error).__name__))
            raise

    wrap(note)
    with pytest.raises(Error) as caught, in_blocks():
        run(jobs("SELECT 1", WORLD.failing))

    assert [(shards()[1], type(caught.value).__name__)] == seen


def test_a_wrapper_may_say_it_in_other_words(wrap: Any) -> None:
    def translate(*args: Any) -> Any:
        try:
            return args[0](*args[1:])
        except Error as error:
            raise LookupError("in other words") from error

    wrap(translate, shards()[1])
    with pytest.raises(LookupError, match="in other words"), in_blocks():
        run(jobs("SELECT 1", WORLD.failing))


def test_an_error_is_an_error_though_a_wrapper_keeps_it_to_itself(wrap: Any) -> None:
    def keep(*args: Any) -> Any:
        try:
            return args[0](*args[1:])
        except Error:
            return None

    wrap(keep, shards()[1])
    with pytest.raises(Error), in_blocks():
        run(jobs("SELECT 1", WORLD.failing))


@pytest.mark.skipif(IS_SERIAL, reason="what has not begun needs no end")
def test_a_wrapper_of_a_cancelled_statement_sees_that_it_failed(wrap: Any) -> None:
    seen: list[Any] = []

    def note(*args: Any) -> Any:
        try:
            return args[0](*args[1:])
        except OperationalError:
            seen.append(args[-1]["connection"].alias)
            raise

    wrap(note, shards()[0])
    with pytest.raises(Error), in_blocks():
        run(jobs(WORLD.endless, WORLD.failing))

    assert [shards()[0]] == seen


def test_a_wrapper_may_try_again(wrap: Any) -> None:
    def twice(*args: Any) -> Any:
        args[0](*args[1:])
        return args[0](*args[1:])

    wrap(twice)
    run(done := everywhere("SELECT 3"))

    assert {3} == set(values(done))


def test_more_wrapped_connections_than_python_can_nest_run_in_groups(
    wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "NESTED", 3)
    seen: list[str] = []

    def note(*args: Any) -> Any:
        seen.append(args[-1]["connection"].alias)
        return args[0](*args[1:])

    wrap(note)
    run(done := everywhere("SELECT 2"))

    assert (shards(), [2] * len(shards())) == (seen, values(done))


def test_the_log_holds_each_statement_once() -> None:
    with ExitStack() as stack:
        logs = {alias: stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in shards()}
        run(everywhere("SELECT %s", ["logged"]))

    for log in logs.values():
        assert ["SELECT 'logged'"] == [query["sql"] for query in log.captured_queries]


def test_the_log_holds_each_statement_once_under_wrappers_too(wrap: Any) -> None:
    wrap(lambda execute, sql, *rest: execute(f"{sql} /* told */", *rest))

    with ExitStack() as stack:
        logs = {alias: stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in shards()}
        run(everywhere("SELECT %s", ["logged"]))

    for log in logs.values():
        assert ["SELECT 'logged' /* told */"] == [query["sql"] for query in log.captured_queries]


def test_the_log_holds_a_statement_that_failed_as_django_logs_it() -> None:
    connection = connections[shards()[1]]
    with CaptureQueriesContext(connection) as log, pytest.raises(Error), in_blocks():
        run(jobs("SELECT 1", WORLD.failing))
    with CaptureQueriesContext(connection) as plain_log, pytest.raises(Error), in_blocks():
        connection.cursor().execute(WORLD.failing)

    assert [query["sql"] for query in plain_log.captured_queries][1] == log.captured_queries[1]["sql"]


def test_what_is_logged_is_told_to_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "django.db.backends")
    with ExitStack() as stack:
        for alias in shards():
            stack.enter_context(CaptureQueriesContext(connections[alias]))
        run(everywhere("SELECT 1"))

    assert shards() == sorted(vars(record)["alias"] for record in caplog.records)
