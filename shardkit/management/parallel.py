"""How does one piece of work run on many databases at once?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from contextvars import copy_context
from types import TracebackType
from typing import TypeVar

from django.db import connections

from shardkit.topology.names import Alias

_T = TypeVar("_T")


class KeptError(AbstractContextManager["KeptError"]):
    """Keeps the error of its block, so that the other databases go on: a migration may run, and raise, anything."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True

    @property
    def reason(self) -> str:
        """Describe the error in one line, empty without one."""
        if self.error is None:
            return ""
        lines = str(self.error).strip().splitlines()
        return f"{type(self.error).__name__}: {lines[0]}" if lines else type(self.error).__name__


def on_each(aliases: Sequence[Alias], work: Callable[[Alias], _T], *, workers: int) -> Iterator[tuple[Alias, _T]]:
    """Do *work* on each of *aliases*, up to *workers* at a time, and yield each result when it is there.

    *work* keeps its own errors. Each thread has its own connections, which are closed when it has done its work. What
    other connections could not see is worked on in the caller's thread, first.
    """
    here = [alias for alias in aliases if _stays_here(alias)]
    for alias in here:
        yield alias, work(alias)
    elsewhere = [alias for alias in aliases if alias not in here]
    if not elsewhere:
        return
    executor = ThreadPoolExecutor(max_workers=min(workers, len(elsewhere)), thread_name_prefix="shardkit")
    try:
        futures = {executor.submit(copy_context().run, _in_thread, work, alias): alias for alias in elsewhere}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _in_thread(work: Callable[[Alias], _T], alias: Alias) -> _T:
    """Do *work* on *alias* and leave no connection behind."""
    try:
        return work(alias)
    finally:
        connections.close_all()


def _stays_here(alias: Alias) -> bool:
    """Say whether only this thread sees the database as it is: it is in memory, or has a transaction open."""
    connection = connections[alias]
    in_memory = getattr(connection, "is_in_memory_db", None)
    return connection.in_atomic_block or (in_memory is not None and in_memory())
