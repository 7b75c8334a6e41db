"""Which databases does a command about the whole cluster cover?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.core.management.base import CommandError

from shardkit import conf
from shardkit.routing.registry import Kind, models_placed
from shardkit.topology.names import LOGICAL, Alias


class Part(StrEnum):
    """What a database is to the cluster."""

    DEFAULT = "default"
    SHARD = "shard"
    PLACED = "placed"


@dataclass(frozen=True, slots=True)
class Target:
    """One database that takes writes."""

    alias: Alias
    part: Part


def all_targets() -> tuple[Target, ...]:
    """List `default`, the shards and the placed databases, each once; replicas get theirs from their primary."""
    found = {target.alias: target for target in _placed()}
    found |= {shard.primary: Target(shard.primary, Part.SHARD) for shard in conf.get_settings().topology.shards}
    found.pop(LOGICAL, None)
    in_order = sorted(found.values(), key=lambda target: target.part is Part.PLACED)
    return (Target(LOGICAL, Part.DEFAULT), *in_order)


def targets_named(aliases: Collection[str]) -> tuple[Target, ...]:
    """List the targets called *aliases*, all of them where none is named; raise `CommandError` for any other."""
    targets = all_targets()
    known = [target.alias for target in targets]
    for alias in aliases:
        if alias not in known:
            why = "a replica, which follows its primary" if alias in conf.get_settings().replica_aliases else "unknown"
            raise CommandError(f"The database {alias!r} is {why}. This cluster has: {', '.join(known)}.")
    return tuple(target for target in targets if not aliases or target.alias in aliases)


def _placed() -> Iterator[Target]:
    """Find the databases that SHARDKIT["PLACEMENT"] and the models name."""
    named = {placement.alias for placement in models_placed() if placement.kind is Kind.PLACED}
    for alias in sorted(named | conf.get_settings().placed_aliases):
        yield Target(alias, Part.PLACED)
