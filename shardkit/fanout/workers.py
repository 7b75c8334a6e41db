"""How does a thread wait for statements that other threads execute?

The cursors are the caller's own, opened on its connections: a worker executes and never opens anything, because a
connection that it opened would be outside the caller's transaction. The pool is the process's, and a forked child
makes its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from typing import Any, Final, TypeVar

from shardkit.fanout.statements import Lane

_T = TypeVar("_T")

#: More threads than this never run statements at once; they are started when needed and then kept.
THREADS: Final = 256


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="shardkit-fanout")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def submit(function: Callable[..., _T], *args: Any) -> Future[_T]:
    """Call *function* on another thread, in this thread's context; on this one where no thread can be started."""
    try:
        return _pool().submit(copy_context().run, function, *args)
    except RuntimeError:  # the interpreter is ending, or the system has no thread left
        future: Future[_T] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - a pool's future takes any error, and gives it to whoever asks
            future.set_exception(error)
        return future


class Workers:
    """Lanes that threads of the pool run."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._running: dict[Future[Any], Lane] = {}
        #: The lanes that failed, in the order in which it was noticed.
        self.failed: list[Lane] = []

    @property
    def running(self) -> list[Lane]:
        """The lanes that have not ended."""
        return list(self._running.values())

    def launch(self) -> None:
        """Give each lane to a thread."""
        for lane in self._lanes:
            self._running[submit(lane.execute)] = lane

    def wait(self, seconds: float | None) -> None:
        """Wait until every lane has ended, one has failed, or *seconds* are over."""
        self._collect(wait(self._running, seconds, FIRST_EXCEPTION).done)

    def drain(self, seconds: float | None) -> None:
        """Wait until every lane has ended, or *seconds* are over."""
        self._collect(wait(self._running, seconds).done)

    def close(self) -> None:
        """Keep the threads for the next fan-out."""

    def _collect(self, done: set[Future[Any]]) -> None:
        for future in done:
            lane = self._running.pop(future)
            if future.exception() is not None:
                self.failed.append(lane)
