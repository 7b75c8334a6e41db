"""Real servers beside the database, one of each kind per session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from testapp.servers.process import ServerMissing
from tests.servers import caches, skip_or_fail


@pytest.fixture(scope="session")
def memcached() -> Iterator[str]:
    """Yield the location of a running memcached."""
    yield from _running(caches.memcached_server)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Yield the location of a running Redis."""
    yield from _running(caches.redis_server)


def _running(server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            location = stack.enter_context(server())
        except ServerMissing as missing:
            skip_or_fail(missing)
        yield location
