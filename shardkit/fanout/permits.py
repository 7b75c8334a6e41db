"""How do fan-outs of several threads share a number of statements in flight?

A fan-out takes all its permits at once, or waits without holding any: two that each held half of what both need would
wait for ever. Whoever came first is served first, so that a wide fan-out is not overtaken by narrow ones without end.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event, Lock

#: Set while permits are held: a fan-out inside a fan-out, from a tool that wraps cursors, needs none of its own.
_is_holding: ContextVar[bool] = ContextVar("shardkit_holds_permits", default=False)


@dataclass(slots=True, eq=False)
class _Waiter:
    count: int
    cap: int
    is_served: Event = field(default_factory=Event)


class Permits:
    """The statements that may be in flight, counted over all threads of the process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must: it has none of the threads that hold permits."""
        self._lock = Lock()
        self._taken = 0
        self._queue: deque[_Waiter] = deque()

    @contextmanager
    def held(self, count: int, *, cap: int, seconds: float | None) -> Iterator[bool]:
        """Hold *count* of *cap* permits inside the block; yield whether they were given within *seconds*."""
        if _is_holding.get():
            yield True
            return
        waiter = _Waiter(count, cap)
        try:
            with self._lock:
                self._queue.append(waiter)
                self._serve()
            is_served = waiter.is_served.wait(seconds)
            token = _is_holding.set(is_served)
            try:
                yield is_served
            finally:
                _is_holding.reset(token)
        finally:
            self._give_back(waiter)

    def _give_back(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter.is_served.is_set():
                self._taken -= waiter.count
            elif waiter in self._queue:
                self._queue.remove(waiter)
            self._serve()

    def _serve(self) -> None:
        """Give permits to those who wait, in their order, as far as they go."""
        while self._queue and self._taken + self._queue[0].count <= self._queue[0].cap:
            waiter = self._queue.popleft()
            self._taken += waiter.count
            waiter.is_served.set()


permits = Permits()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=permits.forget)
