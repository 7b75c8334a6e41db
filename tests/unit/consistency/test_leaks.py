"""Does what one caller demands leak to another? A test that names a package repeats a leak of that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from shardkit import use_primary
from shardkit.consistency import session
from shardkit.consistency.reading import _must_be_primary
from shardkit.consistency.session import Session, current, session_scope
from shardkit.consistency.wishes import NO_WISH
from shardkit.replication import readings
from shardkit.replication.selection import Need
from shardkit.topology.names import Alias
from tests.forking import in_child

PRIMARY = Alias("shard_0")


@pytest.fixture(autouse=True)
def _replicas(settings: Any) -> Iterator[None]:
    settings.SHARDKIT = {"REPLICAS": {PRIMARY: ["a", "b"]}}
    readings.forget()
    with session_scope(Session()):
        yield


def is_pinned() -> bool:
    """Say whether a block or a wish makes the caller read the primary."""
    return _must_be_primary(PRIMARY, NO_WISH) is not None


def has_written() -> bool:
    return not isinstance(current().need(PRIMARY), Need)


def in_thread(act: Callable[[], bool]) -> bool:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def test_nested_blocks_as_of_django_multidb_router_that_pins_its_thread_for_ever() -> None:
    with use_primary():
        with use_primary():
            assert is_pinned()
        assert is_pinned()
    assert not is_pinned()


def test_nested_blocks_that_raise_leave_nothing() -> None:
    def fail() -> None:
        with session_scope(Session()), use_primary():
            raise LookupError

    with session_scope(Session()) as outer:
        with pytest.raises(LookupError):
            fail()
        assert outer is current()
        assert not is_pinned()


def test_a_block_as_of_django_database_routing_that_pins_the_whole_process() -> None:
    with use_primary():
        assert not in_thread(is_pinned)
    assert not is_pinned()


def test_a_thread_that_serves_the_next_request_has_nothing_of_the_last() -> None:
    def first() -> None:
        with session_scope(Session()), use_primary():
            current().note_write(PRIMARY)
            assert has_written()
            raise LookupError

    def second() -> tuple[bool, bool]:
        with session_scope(Session()):
            return has_written(), is_pinned()

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(LookupError):
            pool.submit(first).result()
        assert (False, False) == pool.submit(second).result()


def test_threads_at_the_same_time_have_sessions_of_their_own() -> None:
    barrier, found = Barrier(6), {}

    def serve(number: int) -> None:
        with session_scope(Session()):
            if number % 2:
                current().note_write(PRIMARY)
            barrier.wait()
            found[number] = has_written()

    threads = [Thread(target=serve, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: bool(number % 2) for number in range(6)} == found


def test_asyncio_gather_as_of_djanquiltdb_whose_context_is_a_thread_local() -> None:
    async def serve(*, writes: bool) -> tuple[bool, bool]:
        with session_scope(Session()):
            if not writes:
                await asyncio.sleep(0)
                return has_written(), is_pinned()
            current().note_write(PRIMARY)
            with use_primary():
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                return has_written(), is_pinned()

    async def together() -> list[tuple[bool, bool]]:
        return await asyncio.gather(*(serve(writes=number % 2 == 0) for number in range(6)))

    assert [(True, True), (False, False)] * 3 == asyncio.run(together())
    assert not is_pinned()


def test_a_thread_of_the_orm_as_of_django_tenants_router_that_does_not_know_the_request() -> None:
    async def serve() -> tuple[bool, bool]:
        with session_scope(Session()), use_primary():
            await sync_to_async(lambda: current().note_write(PRIMARY))()
            return has_written(), await sync_to_async(is_pinned)()

    assert (True, True) == async_to_sync(serve)()
    assert (False, False) == (has_written(), is_pinned())


def test_a_fork_that_takes_a_lock_along_which_nobody_in_the_child_will_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session of the process is what a child uses that has no scope; a thread of its parent may have been in it."""
    process = session._process
    monkeypatch.setattr(process, "_states", {})  # whatever tests before this one have written

    def child() -> None:
        process.note_write(PRIMARY)
        assert not isinstance(process.need(PRIMARY), Need)

    with process._lock:
        in_child(child)
    assert isinstance(process.need(PRIMARY), Need)  # what a child writes is nothing that its parent has seen
