"""What is wrong with the settings, as facts with a remedy?

Pure: reads the values of SHARDKIT, DATABASES, DATABASE_ROUTERS and CACHES, and asks no server.

==============  ======================================================================================
shardkit.E001   SHARDKIT is not a dictionary                                              (nothing can go on)
shardkit.E002   SHARDKIT has an unknown key
shardkit.E003   SHARDS cannot be read                                                     (nothing can go on)
shardkit.E004   PLACEMENT cannot be read                                                  (nothing can go on)
shardkit.E005   REPLICAS cannot be read                                                   (nothing can go on)
shardkit.E006   BUCKETS is not a whole number from 1 to 4096                              (nothing can go on)
shardkit.E007   ID_BLOCK or MIGRATE_WORKERS is not a whole number above 0                 (nothing can go on)
shardkit.E008   one app or model is placed twice                                          (nothing can go on)
shardkit.E009   DATABASES has no "default"
shardkit.E010   an alias is not in DATABASES
shardkit.E011   "default" is listed as a shard
shardkit.E012   two shards are on one database
shardkit.E013   a shard or a placed database is on the database of another primary
shardkit.E014   a replica is also a primary
shardkit.E015   a replica is listed twice
shardkit.E016   a replica is on the database of another primary
shardkit.E017   there are fewer buckets than shards
shardkit.E018   the engine of "default" is not a logical one, though there are shards
shardkit.E019   the engine of another database is a logical one
shardkit.E020   "default" and the shards are of different vendors
shardkit.E021   DATABASE_ROUTERS lacks the ShardRouter
shardkit.E022   LOOKUP_CACHE is not in CACHES
shardkit.E023   AUTOCOMMIT is off
shardkit.E024   ATOMIC_REQUESTS is on for a shard or a replica
shardkit.E025   PLACEMENT names a replica
shardkit.E026   a FANOUT_… or GATHER_… option is not what it has to be                    (nothing can go on)
shardkit.E027   GATHER_COORDINATOR is no PostgreSQL database of its own
shardkit.E028   a REPLICA_… or STICKY_… option is not what it has to be                   (nothing can go on)
shardkit.W004   ATOMIC_REQUESTS is on, and there are replicas
shardkit.W005   a replica has another NAME than its primary
==============  ======================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import combinations
from typing import Any, Final

from shardkit.conf.databases import identity, is_logical, logical_engine, vendor_word
from shardkit.conf.shapes import (
    DEFAULT_LOOKUP_CACHE,
    KNOWN_KEYS,
    Problem,
    placement_in,
    replicas_in,
    shape_problems,
    shards_in,
)
from shardkit.topology.names import DEFAULT_BUCKETS, LOGICAL, Alias
from shardkit.topology.nodes import Shard

#: The router that answers for sharded, reference and placed models.
ROUTER: Final = "shardkit.routers.ShardRouter"

Databases = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class _Given:
    """The settings, read."""

    raw: Mapping[str, Any]
    databases: Databases
    routers: Collection[str]
    caches: Collection[str]

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The shards."""
        return shards_in(self.raw)

    @cached_property
    def placement(self) -> dict[str, Alias]:
        """The placed apps and models."""
        return placement_in(self.raw)

    @cached_property
    def replicas(self) -> dict[Alias, tuple[Alias, ...]]:
        """The replicas of each primary."""
        return replicas_in(self.raw)

    @cached_property
    def replica_aliases(self) -> tuple[Alias, ...]:
        """Every alias that takes no writes, as often as it is listed."""
        return tuple(name for names in self.replicas.values() for name in names)

    @cached_property
    def primaries(self) -> tuple[Alias, ...]:
        """Every alias that takes writes, once."""
        named = (LOGICAL, *(shard.primary for shard in self.shards), *self.placement.values(), *self.replicas)
        return tuple(dict.fromkeys(named))

    @cached_property
    def shard_primaries(self) -> frozenset[Alias]:
        """The primaries of the shards."""
        return frozenset(shard.primary for shard in self.shards)

    def config(self, alias: str) -> Mapping[str, Any]:
        """Return the entry of *alias* in DATABASES, empty for an unknown one."""
        return self.databases.get(alias) or {}

    def identity(self, alias: str) -> tuple[str, ...] | None:
        """Return which database *alias* is; None where that cannot be told."""
        return identity(self.config(alias)) if self.config(alias) else None


def problems(
    raw: object,
    databases: Databases,
    *,
    routers: Collection[str] = (ROUTER,),
    caches: Collection[str] = (DEFAULT_LOOKUP_CACHE,),
) -> list[Problem]:
    """List what is wrong with *raw*, the value of SHARDKIT, beside the other settings.

    *routers* are dotted names, of the entries of DATABASE_ROUTERS and of their base classes.
    """
    if found := shape_problems(raw):
        return found
    if not isinstance(raw, Mapping):  # pragma: no cover  (shape_problems has said so)
        return found
    given = _Given(raw, databases, routers, caches)
    found.extend(_unknown_keys(given))
    if given.shards or given.placement or given.replicas:
        for rule in RULES:
            found.extend(rule(given))
    return found


def _unknown_keys(given: _Given) -> Iterator[Problem]:
    """Find keys of SHARDKIT that mean nothing."""
    for key in given.raw:
        if key not in KNOWN_KEYS:
            near = get_close_matches(str(key).upper(), KNOWN_KEYS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The keys are: {', '.join(KNOWN_KEYS)}."
            yield Problem("shardkit.E002", f"SHARDKIT has an unknown key {key!r}.", hint)


def _unknown_aliases(given: _Given) -> Iterator[Problem]:
    """Find names that DATABASES does not have."""
    if LOGICAL not in given.databases:
        yield Problem(
            "shardkit.E009",
            "DATABASES has no 'default'.",
            "Global tables and the shard map live there: add it, or set DATABASE_URL.",
        )
    named: list[tuple[str, str]] = [(f"['SHARDS'][{shard.name!r}]", shard.primary) for shard in given.shards]
    named += [(f"['PLACEMENT'][{key!r}]", alias) for key, alias in given.placement.items()]
    named += [(f"['REPLICAS'][{alias!r}]", alias) for alias in given.raw.get("REPLICAS") or {}]
    named += [(f"'s replicas of {alias!r}", name) for alias, names in given.replicas.items() for name in names]
    for where, alias in named:
        if alias not in given.databases and alias != LOGICAL:
            near = get_close_matches(alias, list(given.databases), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Add it to DATABASES."
            yield Problem("shardkit.E010", f"SHARDKIT{where} names {alias!r}, which is not in DATABASES.", hint)


def _default_as_shard(given: _Given) -> Iterator[Problem]:
    """Find the logical alias among the shards."""
    for shard in given.shards:
        if LOGICAL in (shard.primary, *shard.replicas):
            yield Problem(
                "shardkit.E011",
                f"SHARDKIT['SHARDS'][{shard.name!r}] lists 'default'.",
                "'default' is the whole cluster, and the database of the global tables. Give the shard its own.",
            )


def _shared_databases(given: _Given) -> Iterator[Problem]:
    """Find two primaries on one database."""
    for alias, times in Counter(shard.primary for shard in given.shards).items():
        if times > 1:
            names = " and ".join(repr(str(shard.name)) for shard in given.shards if shard.primary == alias)
            yield Problem(
                "shardkit.E012", f"The shards {names} are on one database, {alias!r}.", "Give each shard its own."
            )
    for one, other in combinations(given.primaries, 2):
        if given.identity(one) is None or given.identity(one) != given.identity(other):
            continue
        both_shards = {one, other} <= given.shard_primaries
        yield Problem(
            "shardkit.E012" if both_shards else "shardkit.E013",
            f"{one!r} and {other!r} are one database: {_place(given.config(other))}.",
            "Each shard, each placed database and 'default' need a database of their own: their tables and their "
            "records of migrations would be mixed.",
        )


def _place(config: Mapping[str, Any]) -> str:
    """Describe where a database is, without its password."""
    name, host = config.get("NAME") or "the default name", config.get("HOST")
    return f"{name} on {host}" if host else str(name)


def _replicas(given: _Given) -> Iterator[Problem]:
    """Find replicas that are primaries, or replicas of two, or that show another's rows."""
    listed = Counter(given.replica_aliases)
    for alias, times in listed.items():
        if times > 1:
            yield Problem("shardkit.E015", f"The replica {alias!r} is listed {times} times.", "A replica follows one.")
        if alias in given.shard_primaries or alias in given.replicas or alias == LOGICAL:
            yield Problem(
                "shardkit.E014",
                f"{alias!r} is listed as a replica and is a primary.",
                "Nothing may be written to a replica: list it on one side only.",
            )
    for primary, names in given.replicas.items():
        others = {given.identity(alias): alias for alias in given.primaries if alias != primary and alias not in listed}
        others.pop(None, None)
        for name in names:
            if (other := others.get(given.identity(name))) is not None:
                yield Problem(
                    "shardkit.E016",
                    f"{name!r} is listed as a replica of {primary!r} and is the database of {other!r}.",
                    "It would answer with the rows of another database. Correct its entry in DATABASES.",
                )


def _names_of_replicas(given: _Given) -> Iterator[Problem]:
    """Find replicas that may be another database of the right server."""
    for primary, aliases in given.replicas.items():
        wanted = given.config(primary).get("NAME")
        for alias in aliases:
            found = given.config(alias).get("NAME")
            if wanted and found and found != wanted and vendor_word(given.config(alias)) in {"postgresql", "mysql"}:
                yield Problem(
                    "shardkit.W005",
                    f"The replica {alias!r} has the NAME {found!r}, and its primary {primary!r} has {wanted!r}.",
                    "A replica has the databases of its primary under the same names, and one that turns out to be "
                    "another is not read. Give both one NAME, or silence this where a pooler calls one of them so.",
                )


def _placement_on_replica(given: _Given) -> Iterator[Problem]:
    """Find apps and models placed where nothing may be written."""
    for key, alias in given.placement.items():
        if alias in given.replica_aliases:
            yield Problem(
                "shardkit.E025", f"SHARDKIT['PLACEMENT'][{key!r}] names the replica {alias!r}.", "Name its primary."
            )


def _few_buckets(given: _Given) -> Iterator[Problem]:
    """Find a cluster in which some shards must stay empty for ever."""
    buckets = given.raw.get("BUCKETS", DEFAULT_BUCKETS)
    if buckets < len(given.shards):
        yield Problem(
            "shardkit.E017",
            f"SHARDKIT['BUCKETS'] is {buckets} and there are {len(given.shards)} shards.",
            "A shard without a bucket gets no rows, and the number can never be changed later. "
            f"Leave it out for {DEFAULT_BUCKETS}.",
        )


def _engines(given: _Given) -> Iterator[Problem]:
    """Find engines on the wrong side of the logical connection."""
    default = given.config(LOGICAL)
    if (given.shards or given.placement or given.replicas) and default and not is_logical(default):
        wanted = ", ".join(f"{key!r}: {value!r}" for key, value in logical_engine(default).items())
        yield Problem(
            "shardkit.E018",
            f"DATABASES['default'] has the engine {default.get('ENGINE')!r}, which knows nothing of the others.",
            f"Write {wanted}.",
        )
    for alias in (*given.primaries, *given.replica_aliases):
        if alias != LOGICAL and is_logical(given.config(alias)):
            yield Problem(
                "shardkit.E019",
                f"DATABASES[{alias!r}] has the engine {given.config(alias)['ENGINE']!r}.",
                "Only 'default' is a logical connection. Give the others Django's own engine.",
            )


def _vendors(given: _Given) -> Iterator[Problem]:
    """Find shards whose answers could differ from those of the others."""
    wanted = vendor_word(given.config(LOGICAL))
    for shard in given.shards:
        found = vendor_word(given.config(shard.primary))
        if wanted and found and wanted != found:
            yield Problem(
                "shardkit.E020",
                f"'default' is {wanted} and the shard {shard.name!r} is {found}.",
                "SQL compiled for the one runs on the other: use one vendor for 'default' and every shard.",
            )


def _router(given: _Given) -> Iterator[Problem]:
    """Find the router missing."""
    if ROUTER not in given.routers:
        yield Problem(
            "shardkit.E021",
            "DATABASE_ROUTERS lacks the ShardRouter, so tables and rows would go to the wrong databases.",
            f"Write DATABASE_ROUTERS = [{ROUTER!r}].",
        )


def _lookup_cache(given: _Given) -> Iterator[Problem]:
    """Find a cache that is not there."""
    alias = given.raw.get("LOOKUP_CACHE", DEFAULT_LOOKUP_CACHE)
    if alias not in given.caches:
        yield Problem(
            "shardkit.E022",
            f"SHARDKIT['LOOKUP_CACHE'] names {alias!r}, which is not in CACHES.",
            "Name a key of CACHES, or add it there.",
        )


def _transactions(given: _Given) -> Iterator[Problem]:
    """Find settings that take transactions out of the hands of the logical connection, or keep replicas in one."""
    primaries = (LOGICAL, *(shard.primary for shard in given.shards)) if given.shards else ()
    in_turn = "Leave it on: transaction.atomic() decides what is committed together, on every shard."
    frozen = "A transaction on a replica shows what was there when it began, so that replica is read by nobody."
    for alias in dict.fromkeys((*primaries, *given.replica_aliases)):
        config, is_replica = given.config(alias), alias in given.replica_aliases
        if config.get("AUTOCOMMIT", True) is False:
            hint = f"Leave it on. {frozen}" if is_replica else in_turn
            yield Problem("shardkit.E023", f"DATABASES[{alias!r}] has AUTOCOMMIT off.", hint)
        if alias != LOGICAL and config.get("ATOMIC_REQUESTS"):
            own = frozen if is_replica else "Its transactions take in the shards that they touch."
            yield Problem(
                "shardkit.E024",
                f"DATABASES[{alias!r}] has ATOMIC_REQUESTS on, so every request opens a transaction there.",
                f"Set it on 'default' only. {own}",
            )


def _atomic_views(given: _Given) -> Iterator[Problem]:
    """Find primaries whose replicas no view reads."""
    for alias in (LOGICAL, *given.replicas) if given.replicas else ():
        if given.config(alias).get("ATOMIC_REQUESTS") and alias not in given.shard_primaries:
            whose = "replicas" if alias == LOGICAL else f"replicas of {alias!r}"
            yield Problem(
                "shardkit.W004",
                f"DATABASES[{alias!r}] has ATOMIC_REQUESTS on: views are inside a transaction, and so read no {whose}.",
                "Turn it off and put transaction.atomic() around what belongs together, or put "
                "transaction.non_atomic_requests on views that only read.",
            )


def _coordinator(given: _Given) -> Iterator[Problem]:
    """Find a coordinator that could not read the shards, or would be one of the databases that it reads."""
    alias = given.raw.get("GATHER_COORDINATOR")
    if alias is None:
        return
    names = f"SHARDKIT['GATHER_COORDINATOR'] names {alias!r}"
    known = dict.fromkeys((*given.primaries, *given.replica_aliases))
    others = [name for name in known if given.identity(name) == given.identity(alias)]
    if alias not in given.databases:
        yield Problem("shardkit.E027", f"{names}, which is not in DATABASES.", "Add it there, as an empty database.")
    elif vendor_word(given.config(alias)) != "postgresql" or vendor_word(given.config(LOGICAL)) != "postgresql":
        yield Problem("shardkit.E027", f"{names}, and not everything is PostgreSQL.", "Leave the coordinator out.")
    elif is_logical(given.config(alias)):
        yield Problem("shardkit.E027", f"{names}, whose engine is a logical one.", "Give it Django's own engine.")
    elif others:
        yield Problem("shardkit.E027", f"{names}, the database of {others[0]!r}.", "Give it a database of its own.")


RULES: Final[tuple[Callable[[_Given], Iterator[Problem]], ...]] = (
    _unknown_aliases,
    _default_as_shard,
    _shared_databases,
    _replicas,
    _names_of_replicas,
    _placement_on_replica,
    _few_buckets,
    _engines,
    _vendors,
    _router,
    _lookup_cache,
    _transactions,
    _atomic_views,
    _coordinator,
)
