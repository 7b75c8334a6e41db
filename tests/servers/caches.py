"""How are real memcached and Redis servers started for the tests, and which caches leave no socket behind?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.memcached import PyMemcacheCache
from django.core.cache.backends.redis import RedisCache

from testapp.servers.process import ServerMissing, find_program, free_port, server_home, speaks

MEMCACHED = "tests.servers.caches.Memcached"
REDIS = "tests.servers.caches.Redis"


class _Remembered(BaseCache):
    """A cache that `close_caches` closes, whichever thread made it: Django closes those of its own thread, at most."""

    made: list[BaseCache] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made.append(self)


class Memcached(_Remembered, PyMemcacheCache):
    """Django's cache on memcached."""


class Redis(_Remembered, RedisCache):
    """Django's cache on Redis, whose `close` closes: Django leaves its sockets to the garbage collector."""

    def close(self, **_kwargs: Any) -> None:
        """Close the sockets of this cache."""
        self._cache.get_client(write=True).connection_pool.disconnect()


def close_caches() -> None:
    """Close every cache that was made so far."""
    while _Remembered.made:
        _Remembered.made.pop().close()


@contextmanager
def memcached_server() -> Iterator[str]:
    """Run one memcached inside the block, and yield its location for ``CACHES``."""
    program, port = _program("memcached"), free_port()
    with (
        server_home("memcache") as home,
        home.serve(
            program,
            *("-l", "127.0.0.1"),
            *("-p", str(port)),
            *("-U", "0"),
            *("-m", "16"),
            is_ready=lambda: speaks(port, b"version\r\n"),
        ),
    ):
        try:
            yield f"127.0.0.1:{port}"
        finally:
            close_caches()


@contextmanager
def redis_server() -> Iterator[str]:
    """Run one Redis inside the block, and yield its location for ``CACHES``."""
    program, port = _program("redis-server"), free_port()
    with (
        server_home("redis") as home,
        home.serve(
            program,
            *("--bind", "127.0.0.1"),
            *("--port", str(port)),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--dir", home.directory),
            is_ready=lambda: speaks(port, b"PING\r\n"),
        ),
    ):
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            close_caches()


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise ServerMissing(f"{name} not found on this machine.")
    return found
