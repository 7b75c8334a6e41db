"""How is every database of the cluster doing?

What cannot be asked is a fact too: a database that is down is reported, and the others are asked all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db import DatabaseError, connections, models

from shardkit import conf
from shardkit.catalog.store import read_map
from shardkit.errors import CatalogError, UnknownShard
from shardkit.management.copies import copied_models, differences, digest
from shardkit.management.migrating import unapplied
from shardkit.management.parallel import KeptError, on_each
from shardkit.management.tabulating import counted
from shardkit.management.targets import Target, all_targets
from shardkit.routing.registry import Kind, databases_of, models_placed
from shardkit.topology.names import LOGICAL, Alias, ShardId
from shardkit.topology.shardmap import ShardMap

#: Rows of these kinds are in one place; those of reference models are copied to every one.
AT_HOME: Final = frozenset({Kind.SHARDED, Kind.PLACED})
COPIED: Final = frozenset({Kind.REFERENCE})

# Each database is asked for what it holds itself: the planner has nothing to add.
COUNT_SQL = "SELECT COUNT(*) FROM {table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one database says of itself."""

    error: str = ""
    unapplied: tuple[str, ...] = ()
    missing_tables: tuple[str, ...] = ()
    #: The rows of each model that live here and nowhere else; None for one that has no table here.
    rows: Mapping[str, int | None] = field(default_factory=dict)
    #: The rows of each model that is copied to every database, and a number that says which rows they are.
    copies: Mapping[str, int | None] = field(default_factory=dict)
    digests: Mapping[type[models.Model], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """One database of the cluster: what the settings and the map say of it, and what it says itself."""

    target: Target
    shard: ShardId | None
    buckets: int | None
    place: str
    replicas: tuple[Alias, ...]
    reading: Reading
    #: The models of which it has another copy than `default`.
    differing: tuple[str, ...] = ()

    @property
    def total_rows(self) -> int | None:
        """Count the rows that live here, None where nobody counted or could."""
        counted = [rows for rows in self.reading.rows.values() if rows is not None]
        return sum(counted) if counted else None

    @property
    def problem(self) -> str:
        """Say the worst that is wrong with it, nothing when it is well."""
        if self.reading.error:
            return f"does not answer: {self.reading.error}"
        if self.reading.unapplied:
            return f"lacks {counted(len(self.reading.unapplied), 'migration')}"
        if self.reading.missing_tables:
            return f"lacks the tables {', '.join(self.reading.missing_tables)}"
        if self.differing:
            return f"has other rows of {', '.join(self.differing)} than default: see `manage.py shards copies`"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON says."""
        reading = self.reading
        answers = not reading.error
        return {
            "database": self.target.alias,
            "role": self.target.part.value,
            "shard": self.shard,
            "buckets": self.buckets,
            "place": self.place,
            "replicas": list(self.replicas),
            "reachable": answers,
            "error": reading.error,
            "unapplied": list(reading.unapplied) if answers else None,
            "missing_tables": list(reading.missing_tables) if answers else None,
            "rows": dict(reading.rows) if answers else None,
            "copies": dict(reading.copies) if answers else None,
            "differing_copies": list(self.differing) if answers else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """All of it."""

    map_version: int | None
    buckets: int
    map_error: str
    databases: tuple[DatabaseStatus, ...]

    @property
    def problems(self) -> list[str]:
        """List what is wrong, in sentences."""
        found = [f"The shard map: {self.map_error}"] if self.map_error else []
        return found + [f"{each.target.alias} {each.problem}." for each in self.databases if each.problem]

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON says."""
        return {
            "ok": not self.problems,
            "map_version": self.map_version,
            "buckets": self.buckets,
            "problems": self.problems,
            "databases": [each.as_dict() for each in self.databases],
        }


def cluster_status(*, count_rows: bool, workers: int) -> ClusterStatus:
    """Ask the catalog and every database."""
    settings = conf.get_settings()
    shard_map, map_error = _map()
    targets = all_targets()
    readings = dict(
        on_each([target.alias for target in targets], lambda alias: read(alias, count_rows=count_rows), workers=workers)
    )
    differing = _differing(readings)
    return ClusterStatus(
        map_version=shard_map.version if shard_map else None,
        buckets=settings.buckets,
        map_error=map_error,
        databases=tuple(
            replace(
                _status(target, shard_map, readings[target.alias]), differing=tuple(differing.get(target.alias, ()))
            )
            for target in targets
        ),
    )


def read(alias: Alias, *, count_rows: bool) -> Reading:
    """Ask the database called *alias*."""
    reading = Reading()
    with KeptError() as kept:
        here = [placed.model for placed in models_placed() if alias in databases_of(placed.model)]
        tables = set(connections[alias].introspection.table_names())
        managed = [model._meta.db_table for model in here if model._meta.managed and not model._meta.swapped]
        reading = Reading(
            unapplied=tuple(unapplied(alias)),
            missing_tables=tuple(sorted(set(managed) - tables)),
            rows=_rows(alias, tables, AT_HOME) if count_rows else {},
            copies=_rows(alias, tables, COPIED) if count_rows else {},
            digests=_digests(alias, here, tables) if count_rows else {},
        )
    return Reading(error=kept.reason) if kept.error else reading


def _digests(alias: Alias, here: Collection[type[models.Model]], tables: set[str]) -> dict[type[models.Model], int]:
    return {
        model: digest(model, alias) for model in copied_models() if model in here and model._meta.db_table in tables
    }


def _differing(readings: Mapping[Alias, Reading]) -> dict[Alias, list[str]]:
    """Return of which models each database has another copy than `default`."""
    wanted = readings[LOGICAL].digests
    found: dict[Alias, list[str]] = {}
    for alias, reading in readings.items():
        suspects = [model for model, number in reading.digests.items() if wanted.get(model, number) != number]
        for difference in differences(suspects, [alias]):
            found.setdefault(alias, []).append(difference.model._meta.label)
    return found


def _rows(alias: Alias, tables: set[str], kinds: frozenset[Kind]) -> dict[str, int | None]:
    """Count the rows of each model of one of *kinds*."""
    counted: dict[str, int | None] = {}
    for placed in models_placed():
        if placed.kind in kinds and alias in databases_of(placed.model):
            there = placed.model._meta.db_table in tables
            counted[placed.model._meta.label] = _count(alias, placed.model) if there else None
    return counted


def _count(alias: Alias, model: type[models.Model]) -> int:
    """Count the rows of *model* on *alias*."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute(COUNT_SQL.format(table=connection.ops.quote_name(model._meta.db_table)))
        count: int = cursor.fetchone()[0]
        return count


def _map() -> tuple[ShardMap | None, str]:
    """Read the shard map, or say why not."""
    if not conf.get_settings().topology.shards:
        return None, ""
    try:
        return read_map(), ""
    except (CatalogError, UnknownShard, DatabaseError) as error:
        return None, str(error).strip()


def _status(target: Target, shard_map: ShardMap | None, reading: Reading) -> DatabaseStatus:
    """Join what the settings and the map say of *target* with what it says itself."""
    settings = conf.get_settings()
    shard = settings.topology.by_primary.get(target.alias)
    return DatabaseStatus(
        target=target,
        shard=shard.name if shard else None,
        buckets=len(shard_map.buckets_of(shard.name)) if shard and shard_map else None,
        place=_place(connections[target.alias].settings_dict),
        replicas=settings.replicas.get(target.alias, ()),
        reading=reading,
    )


def _place(config: Mapping[str, Any]) -> str:
    """Say where a database is, without its password."""
    host, port = config.get("HOST"), config.get("PORT")
    server = f"{host}:{port}" if host and port else host
    return f"{config['NAME']} on {server}" if server else str(config["NAME"])
