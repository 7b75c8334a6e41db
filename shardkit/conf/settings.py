"""What do the settings of this process say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from shardkit.conf.databases import is_logical
from shardkit.conf.problems import problems
from shardkit.conf.shapes import (
    DEFAULT_GATHER_BYTES,
    DEFAULT_GATHER_CTE_ROWS,
    DEFAULT_GATHER_ROWS,
    DEFAULT_ID_BLOCK,
    DEFAULT_LOOKUP_CACHE,
    DEFAULT_MIGRATE_WORKERS,
    DEFAULT_REPLICA_INTERVAL,
    DEFAULT_REPLICA_MAX_LAG,
    DEFAULT_REPLICA_WAIT,
    DEFAULT_STICKY,
    WHEN_STALE,
    Problem,
    by_primary_in,
    placement_in,
    replicas_in,
    shape_problems,
    shards_in,
    sticky_in,
)
from shardkit.errors import SettingsInvalid
from shardkit.topology.names import DEFAULT_BUCKETS, LOGICAL, Alias
from shardkit.topology.nodes import Topology

#: Settings that `get_settings` depends on.
WATCHED: Final = frozenset({"SHARDKIT", "DATABASES"})
#: Called after `get_settings` has forgotten what it read: caches of what follows from the settings are cleared here.
settings_reset: Final[list[Callable[[], object]]] = []


@dataclass(frozen=True, kw_only=True)
class Settings:
    """SHARDKIT, read and complete."""

    topology: Topology = field(default_factory=Topology)
    buckets: int = DEFAULT_BUCKETS
    #: An app or ``app.model``, in lower case, to the alias that holds its tables.
    placement: Mapping[str, Alias] = field(default_factory=lambda: MappingProxyType({}))
    #: The replicas of each primary that has some, be it a shard, a placed database or the default one.
    replicas: Mapping[Alias, tuple[Alias, ...]] = field(default_factory=lambda: MappingProxyType({}))
    id_block: int = DEFAULT_ID_BLOCK
    lookup_cache: str = DEFAULT_LOOKUP_CACHE
    migrate_workers: int = DEFAULT_MIGRATE_WORKERS
    #: What a request may send to shards: ``{"statements": n, "action": "warn" or "raise"}``.
    fanout_budget: Mapping[str, Any] | None = None
    #: How many statements of this process may run on shards at once.
    fanout_cap: int | None = None
    #: After how many seconds statements on several shards are cancelled.
    fanout_deadline: float | None = None
    gather_rows: int = DEFAULT_GATHER_ROWS
    gather_bytes: int = DEFAULT_GATHER_BYTES
    gather_cte_rows: int = DEFAULT_GATHER_CTE_ROWS
    #: The database that reads all shards itself, for what outgrows one process.
    gather_coordinator: Alias | None = None
    #: How often, in seconds, the monitor compares positions.
    lag_interval: float = DEFAULT_REPLICA_INTERVAL
    #: Nobody reads a replica that is further behind than this many seconds; `max_lags` names exceptions by primary.
    max_lag: float = DEFAULT_REPLICA_MAX_LAG
    max_lags: Mapping[Alias, float] = field(default_factory=lambda: MappingProxyType({}))
    #: How much of the reading each replica takes, beside the others of its primary; 1 where nothing is said.
    weights: Mapping[Alias, float] = field(default_factory=lambda: MappingProxyType({}))
    #: Replicas are read; if not, sessions are carried all the same, for processes that do.
    reads_replicas: bool = True
    #: What a read does for which no replica is fresh enough, and how long it waits; the same with exceptions.
    when_stale: str = WHEN_STALE[0]
    when_stales: Mapping[Alias, str] = field(default_factory=lambda: MappingProxyType({}))
    stale_wait: float = DEFAULT_REPLICA_WAIT
    stale_waits: Mapping[Alias, float] = field(default_factory=lambda: MappingProxyType({}))
    #: How many reads at once a primary takes over from replicas that all are lost.
    primary_read_cap: int | None = None
    #: How a session's positions travel from one request to the next: STORE, COOKIE, HEADER, CACHE and KEY.
    sticky: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(DEFAULT_STICKY))
    #: The engine of "default" is a logical one. If it is not, every model is plain Django on one database.
    active: bool = False

    @cached_property
    def placed_aliases(self) -> frozenset[Alias]:
        """The aliases that SHARDKIT["PLACEMENT"] names."""
        return frozenset(self.placement.values())

    @cached_property
    def replica_aliases(self) -> frozenset[Alias]:
        """Every alias that nothing may be written to."""
        return frozenset(self.primary_of)

    @cached_property
    def primary_of(self) -> Mapping[Alias, Alias]:
        """Map every replica to its primary."""
        return {name: primary for primary, names in self.replicas.items() for name in names}


def read_settings(raw: Mapping[str, Any], *, active: bool = True) -> Settings:
    """Build the settings from *raw*, the value of SHARDKIT, or raise `SettingsInvalid`."""
    for problem in shape_problems(raw):
        raise SettingsInvalid(problem.id, problem.fact, problem.hint)
    max_lag, max_lags = by_primary_in(raw, "REPLICA_MAX_LAG", DEFAULT_REPLICA_MAX_LAG)
    when_stale, when_stales = by_primary_in(raw, "REPLICA_WHEN_STALE", WHEN_STALE[0])
    stale_wait, stale_waits = by_primary_in(raw, "REPLICA_WAIT", DEFAULT_REPLICA_WAIT)
    return Settings(
        topology=Topology(shards=shards_in(raw)),
        buckets=raw.get("BUCKETS", DEFAULT_BUCKETS),
        placement=MappingProxyType(placement_in(raw)),
        replicas=MappingProxyType(replicas_in(raw)),
        id_block=raw.get("ID_BLOCK", DEFAULT_ID_BLOCK),
        lookup_cache=raw.get("LOOKUP_CACHE", DEFAULT_LOOKUP_CACHE),
        migrate_workers=raw.get("MIGRATE_WORKERS", DEFAULT_MIGRATE_WORKERS),
        fanout_budget=raw.get("FANOUT_BUDGET"),
        fanout_cap=raw.get("FANOUT_CAP"),
        fanout_deadline=raw.get("FANOUT_DEADLINE"),
        gather_rows=raw.get("GATHER_ROWS", DEFAULT_GATHER_ROWS),
        gather_bytes=raw.get("GATHER_BYTES", DEFAULT_GATHER_BYTES),
        gather_cte_rows=raw.get("GATHER_CTE_ROWS", DEFAULT_GATHER_CTE_ROWS),
        gather_coordinator=raw.get("GATHER_COORDINATOR"),
        lag_interval=raw.get("REPLICA_INTERVAL", DEFAULT_REPLICA_INTERVAL),
        max_lag=max_lag,
        max_lags=MappingProxyType(max_lags),
        weights=MappingProxyType(dict(raw.get("REPLICA_WEIGHTS") or {})),
        reads_replicas=raw.get("REPLICA_READS", True),
        when_stale=when_stale,
        when_stales=MappingProxyType(when_stales),
        stale_wait=stale_wait,
        stale_waits=MappingProxyType(stale_waits),
        primary_read_cap=raw.get("REPLICA_PRIMARY_CAP"),
        sticky=MappingProxyType(sticky_in(raw)),
        active=active,
    )


@cache
def get_settings() -> Settings:
    """Return what the settings of this process say; the answer is kept until a test overrides them."""
    return read_settings(_raw(), active=is_logical(settings.DATABASES.get(LOGICAL, {})))


def current_problems() -> list[Problem]:
    """List what is wrong with the settings of this process."""
    return problems(_raw(), settings.DATABASES, routers=set(_router_names()), caches=settings.CACHES)


def _raw() -> Any:
    """Return the value of SHARDKIT; empty where there is none."""
    value = getattr(settings, "SHARDKIT", None)
    return {} if value is None else value


def _router_names() -> Iterator[str]:
    """Name the classes, and their base classes, of the routers in the settings."""
    entries: Sequence[Any] = settings.DATABASE_ROUTERS  # dotted names, or instances
    for router in entries:
        kind = import_string(router) if isinstance(router, str) else type(router)
        for ancestor in getattr(kind, "__mro__", ()):
            yield f"{ancestor.__module__}.{ancestor.__qualname__}"


def _forget(*, setting: str, **_kwargs: object) -> None:
    """Forget what was read when a test overrides a setting."""
    if setting in WATCHED:
        get_settings.cache_clear()
        for reset in settings_reset:
            reset()


setting_changed.connect(_forget, dispatch_uid="shardkit.conf")
