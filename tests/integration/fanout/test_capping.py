"""Do fan-outs of several threads keep to SHARDKIT["FANOUT_CAP"] without waiting for one another for ever?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import Error, connections

from shardkit.errors import ShardDeadlineExceeded
from shardkit.fanout import run
from shardkit.fanout.executor import _FanOut
from shardkit.fanout.permits import permits
from tests.closing import close_those_of_this_thread
from tests.integration.fanout.worlds import WORLD, everywhere, fan_out_settings, in_blocks, jobs, shards, values

pytestmark = pytest.mark.django_db(databases="__all__")


class Gauge:
    """How many statements are in flight, and how many were at most."""

    def __init__(self) -> None:
        self._lock, self._count, self.most = threading.Lock(), 0, 0

    @contextmanager
    def measuring(self, count: int) -> Iterator[None]:
        with self._lock:
            self._count += count
            self.most = max(self.most, self._count)
        yield
        with self._lock:
            self._count -= count


@pytest.fixture(autouse=True)
def gauge(monkeypatch: pytest.MonkeyPatch) -> Gauge:
    """Measure whatever is launched."""
    made, original = Gauge(), _FanOut._execute_together

    def execute_together(self: Any, lanes: Any) -> None:
        with made.measuring(len(lanes)):
            original(self, lanes)

    monkeypatch.setattr(_FanOut, "_execute_together", execute_together)
    return made


def ask() -> list[Any]:
    run(done := everywhere(WORLD.short))
    return values(done)


def in_own_connections(call: Callable[[], Any]) -> Any:
    """Call on a thread that has connections of its own, and close them."""
    try:
        return call()
    finally:
        close_those_of_this_thread()


@pytest.mark.parametrize("cap", [1, 2, 3, 4, 100])
def test_no_more_statements_run_at_once_than_the_cap_allows(cap: int, gauge: Gauge) -> None:
    with fan_out_settings(FANOUT_CAP=cap):
        run(done := everywhere("SELECT 5"))

    assert [5] * len(shards()) == values(done)
    assert min(cap, len(shards())) == gauge.most


@pytest.mark.parametrize("cap", [1, 3, 4])
def test_fan_outs_of_several_threads_share_the_cap_and_all_end(cap: int, gauge: Gauge) -> None:
    with fan_out_settings(FANOUT_CAP=cap), ThreadPoolExecutor(3) as pool:
        ended = [pool.submit(in_own_connections, ask) for _ in range(6)]
        answers = [answer for future in ended for answer in future.result()]

    assert len(answers) == 6 * len(shards())
    assert gauge.most <= cap


def test_fan_outs_of_several_tasks_share_the_cap_and_all_end(gauge: Gauge) -> None:
    async def views() -> None:
        view = sync_to_async(lambda: in_own_connections(ask), thread_sensitive=False)
        await asyncio.gather(*[view() for _ in range(3)])

    with fan_out_settings(FANOUT_CAP=2):
        async_to_sync(views)()

    assert gauge.most == 2


def test_the_deadline_holds_for_those_who_wait_for_permits() -> None:
    with (
        fan_out_settings(FANOUT_CAP=2, FANOUT_DEADLINE=0.1),
        ThreadPoolExecutor(1) as pool,
        permits.held(1, cap=2, seconds=None),
    ):
        late = pool.submit(in_own_connections, lambda: run(everywhere("SELECT 1")))
        with pytest.raises(ShardDeadlineExceeded) as caught:
            late.result()

    assert ", ".join(shards()) == caught.value.aliases


def test_permits_are_given_back_after_an_error() -> None:
    with fan_out_settings(FANOUT_CAP=2):
        for _ in range(3):
            with pytest.raises(Error), in_blocks():
                run(jobs("SELECT 1", WORLD.failing))
        run(done := everywhere("SELECT 5"))

    assert {5} == set(values(done))


def test_a_fan_out_inside_a_fan_out_needs_no_permits_of_its_own() -> None:
    def ask(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if "outer" in sql:
            run(everywhere("SELECT 1"))
        return result

    with fan_out_settings(FANOUT_CAP=1), connections[shards()[0]].execute_wrapper(ask):
        run(done := everywhere("SELECT 5 /* outer */"))

    assert 5 == values(done[1:])[0]
