from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest

from shardkit.fanout.permits import Permits


class Holder:
    """A thread that asks for permits, and holds them until it is told."""

    def __init__(self, pool: ThreadPoolExecutor, permits: Permits, count: int, *, cap: int = 4) -> None:
        self.has_begun, self.may_end = Event(), Event()
        self.ended: Future[None] = pool.submit(self._hold, permits, count, cap)

    def _hold(self, permits: Permits, count: int, cap: int) -> None:
        with permits.held(count, cap=cap, seconds=10) as are_held:
            assert are_held
            self.has_begun.set()
            assert self.may_end.wait(10)

    def end(self) -> None:
        self.may_end.set()
        self.ended.result(10)


@pytest.fixture
def waiting(wait_until: Callable[..., None]) -> Callable[[Permits, int], None]:
    """Return what waits until so many wait for permits."""
    return lambda permits, count: wait_until(lambda: len(permits._queue) == count)


def test_permits_are_given_while_there_are_some() -> None:
    permits = Permits()

    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        stack.enter_context(permits.held(3, cap=4, seconds=0))
        second = Holder(pool, permits, 1)
        assert second.has_begun.wait(10)
        second.end()


def test_who_needs_more_than_is_left_waits_holding_none(waiting: Callable[[Permits, int], None]) -> None:
    permits = Permits()

    with ThreadPoolExecutor() as pool:
        first, second = Holder(pool, permits, 3), Holder(pool, permits, 3)
        waiting(permits, 1)
        assert permits._taken == 3
        first.end() if first.has_begun.is_set() else second.end()
        (second if first.ended.done() else first).end()

    assert permits._taken == 0


def test_who_came_first_is_served_first(waiting: Callable[[Permits, int], None]) -> None:
    permits = Permits()

    with ThreadPoolExecutor() as pool:
        first = Holder(pool, permits, 2)
        assert first.has_begun.wait(10)
        wide = Holder(pool, permits, 4)
        waiting(permits, 1)
        narrow = Holder(pool, permits, 1)
        waiting(permits, 2)
        assert not narrow.has_begun.is_set(), "there is a permit for it, and somebody before it"
        first.end()
        assert wide.has_begun.wait(10)
        assert not narrow.has_begun.is_set()
        wide.end()
        narrow.end()


def test_who_gives_up_makes_way_for_the_next(waiting: Callable[[Permits, int], None]) -> None:
    permits = Permits()

    with ThreadPoolExecutor() as pool:
        first = Holder(pool, permits, 2)
        assert first.has_begun.wait(10)
        with permits.held(4, cap=4, seconds=0) as are_held:
            assert not are_held
            narrow = Holder(pool, permits, 2)
            waiting(permits, 2)
        assert narrow.has_begun.wait(10)
        first.end()
        narrow.end()

    assert permits._taken == 0


def test_a_cap_that_was_changed_holds_for_those_who_come_then() -> None:
    permits = Permits()

    with permits.held(2, cap=2, seconds=0), ThreadPoolExecutor() as pool:
        wider = Holder(pool, permits, 2, cap=4)
        assert wider.has_begun.wait(10)
        wider.end()


def test_an_error_inside_gives_the_permits_back() -> None:
    permits = Permits()

    with pytest.raises(LookupError), permits.held(2, cap=2, seconds=0):
        raise LookupError

    assert permits._taken == 0
