"""Does any process read an old bucket once a move has returned, while caches forget and readers are slow?"""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.fix_programs import Programs

MOVER = "tests.integration.catalog.mover"
MOVES = 150
BACKENDS = {
    "memcached": "django.core.cache.backends.memcached.PyMemcacheCache",
    "redis_server": "django.core.cache.backends.redis.RedisCache",
}


@pytest.mark.parametrize("server", BACKENDS)
def test_a_move_is_seen_by_every_process_as_soon_as_it_has_returned(
    programs: Programs, request: pytest.FixtureRequest, server: str
) -> None:
    cache = {"BACKEND": BACKENDS[server], "LOCATION": request.getfixturevalue(server)}
    config = {"name": uuid4().hex, "moves": MOVES, "caches": {"default": cache}}

    processes = [programs.start(MOVER, habit, **config) for habit in ("move", "read", "read", "read", "forget")]

    for process in processes:
        programs.finish(process)
    assert (programs.directory / "done").read_text() == str(MOVES)
