"""Which caches keep the sessions of a run, and how is one of them made to forget everything?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from testapp.servers.process import Home, ServerMissing, find_program, free_port, server_home, speaks
from tests.soak.breaking import Breaking

#: For each store that is a cache: the program, the account, its words before the port, and a greeting it answers.
PROGRAMS: Final[Mapping[str, tuple[str, str, tuple[str, ...], bytes]]] = {
    "memcached": ("memcached", "memcache", ("-l", "127.0.0.1", "-U", "0", "-m", "64", "-p"), b"version\r\n"),
    "redis": ("redis-server", "redis", ("--bind", "127.0.0.1", "--save", "", "--port"), b"PING\r\n"),
}
BACKENDS: Final = {
    "memcached": ("django.core.cache.backends.memcached.PyMemcacheCache", "127.0.0.1:{}"),
    "redis": ("django.core.cache.backends.redis.RedisCache", "redis://127.0.0.1:{}"),
}


@dataclass
class CacheServer:
    """One cache of a run."""

    name: str
    home: Home
    port: int = field(default_factory=free_port)
    _process: ExitStack = field(default_factory=ExitStack)

    @property
    def entry(self) -> dict[str, Any]:
        """What CACHES says of it."""
        backend, location = BACKENDS[self.name]
        return {"BACKEND": backend, "LOCATION": location.format(self.port)}

    def start(self) -> None:
        """Start it, with nothing in it."""
        program, _account, words, greeting = PROGRAMS[self.name]
        found = find_program(program)
        if found is None:
            raise ServerMissing(f"{program} not found on this machine.")
        ready = self.home.serve(found, *words, str(self.port), is_ready=lambda: speaks(self.port, greeting))
        self._process.enter_context(ready)

    def stop(self) -> None:
        """Stop it; it forgets everything."""
        self._process.close()


@contextmanager
def running_caches(stores: Iterable[str]) -> Iterator[dict[str, CacheServer]]:
    """Run the caches among *stores* inside the block."""
    with ExitStack() as stack:
        made = {}
        for name in set(stores) & PROGRAMS.keys():
            made[name] = CacheServer(name, stack.enter_context(server_home(PROGRAMS[name][1])))
            made[name].start()
            stack.callback(made[name].stop)
        yield made


@dataclass
class Forgetting(Breaking):
    """A thread that now and then restarts a cache."""

    cache: CacheServer

    @property
    def name(self) -> str:
        return self.cache.name

    def _run(self) -> None:
        # Mostly longer than a token lives, else the primaries would answer all the time.
        while not self.wait(self.dice.uniform(6, 40)):
            with self._told("the_cache_is_restarted"):
                self.cache.stop()
                self.wait(self.dice.uniform(0, 2))
                self.cache.start()
