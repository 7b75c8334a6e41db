"""How do several servers start at the same time, and stop so?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def running_together(servers: Sequence[AbstractContextManager[str]]) -> Iterator[list[str]]:
    """Run *servers* inside the block, and yield their addresses.

    The threads that start them live as long as they do: the kernel, asked to stop a server when its parent is gone,
    takes the thread for the parent.
    """
    with ThreadPoolExecutor(len(servers)) as pool:
        starting = [pool.submit(server.__enter__) for server in servers]
        try:
            yield [start.result() for start in starting]
        finally:
            wait(starting)
            started = [server for server, start in zip(servers, starting, strict=True) if not start.exception()]
            wait([pool.submit(server.__exit__, None, None, None) for server in started])
