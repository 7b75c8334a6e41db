"""Do the tests talk to the servers that they say they do?"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.core.cache.backends.base import BaseCache
from django.db import connections

from tests.servers.caches import Memcached, Redis

CACHES: dict[str, Callable[[str], BaseCache]] = {
    "memcached": lambda location: Memcached(location, {}),
    "redis_server": lambda location: Redis(location, {}),
}


def test_every_database_is_of_the_vendor_under_test() -> None:
    vendor = os.environ.get("TESTAPP_VENDOR", "sqlite")

    assert {vendor} == {connection.vendor for connection in connections.all()}


@pytest.mark.parametrize("server", CACHES)
def test_a_cache_is_a_real_one(server: str, request: pytest.FixtureRequest) -> None:
    location = request.getfixturevalue(server)
    writer, reader = CACHES[server](location), CACHES[server](location)

    writer.set("key", "value")

    assert reader.get("key") == "value"
    writer.close()
    reader.close()
