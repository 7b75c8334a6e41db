"""How are real memcached and Redis servers started for the tests?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from testapp.servers.process import ServerMissing, find_program, free_port, server_home, speaks


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
        yield f"127.0.0.1:{port}"


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
        yield f"redis://127.0.0.1:{port}"


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise ServerMissing(f"{name} not found on this machine.")
    return found
