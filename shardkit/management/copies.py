"""Is every copy of a reference model what `default` has, and how does it become so?

A write that is on its way has reached the shards and not yet `default`. So what differs is looked at twice, and only
what differs both times in the same way is a difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeVar

from django.db import connections, models, transaction

from shardkit.management.tabulating import counted
from shardkit.orm.table_rows import Key, Row, delete_rows, insert_rows, rows_by_key, rows_on, update_rows
from shardkit.routing.registry import Kind, databases_of, models_placed
from shardkit.topology.names import LOGICAL, Alias

_R = TypeVar("_R", Row, tuple[Row, Row])

#: How long a transaction may take to commit on `default` after it has committed on the shards, in seconds.
SETTLED_SECONDS: Final = 0.5
#: Digests of rows are added up to a number of so many bytes.
DIGEST_BYTES: Final = 16
MODULUS: Final[int] = 1 << (8 * DIGEST_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the copy of one table on one shard differs from that of `default`."""

    model: type[models.Model]
    alias: Alias
    #: The rows of `default` that are not there.
    missing: Mapping[Key, Row]
    #: The rows of `default` that are another there, and those.
    changed: Mapping[Key, tuple[Row, Row]]
    #: The rows that are only there.
    extra: Mapping[Key, Row]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.extra)

    def __str__(self) -> str:
        parts = {
            "lacks {} ({})": self.missing,
            "has {} otherwise ({})": self.changed,
            "has {} more ({})": self.extra,
        }
        said = [words.format(counted(len(rows), "row"), _some(rows)) for words, rows in parts.items() if rows]
        return f"{self.model._meta.label} on {self.alias} {', '.join(said)}"

    def common(self, other: Difference) -> Difference:
        """Return what is the same in both."""
        return Difference(
            model=self.model,
            alias=self.alias,
            missing=_shared(self.missing, other.missing),
            changed=_shared(self.changed, other.changed),
            extra=_shared(self.extra, other.extra),
        )


def copied_models() -> list[type[models.Model]]:
    """List the reference models whose tables are made by migrations."""
    kept = (placed.model for placed in models_placed() if placed.kind is Kind.REFERENCE)
    return [model for model in kept if model._meta.managed and not model._meta.swapped]


def digest(model: type[models.Model], alias: Alias) -> int:
    """Return a number that two copies share if they have the same rows, in whatever order."""
    total = 0
    for rows in rows_on(model, alias):
        for row in rows:
            total += int.from_bytes(blake2b(repr(row).encode(), digest_size=DIGEST_BYTES).digest())
    return total % MODULUS


def differences(
    models: Collection[type[models.Model]],
    aliases: Collection[Alias],
    *,
    wait: Callable[[float], object] = time.sleep,
) -> list[Difference]:
    """List how the copies of *models* on *aliases* differ from those of `default`, and still do after a *wait*."""
    found = [_difference(model, alias) for model in models for alias in aliases if alias in databases_of(model)]
    if not any(found):
        return []
    wait(SETTLED_SECONDS)
    again = (each.common(_difference(each.model, each.alias)) for each in found if each)
    return [each for each in again if each]


def repair(found: Collection[Difference]) -> None:
    """Make the copies on each shard what `default` has, in one transaction for each shard."""
    for alias in dict.fromkeys(each.alias for each in found):
        here = [each for each in found if each.alias == alias]
        connection = connections[alias]
        with transaction.atomic(using=alias):
            for each in reversed(here):  # with the checks of what refers to these rows, which any table may
                delete_rows(each.model, each.extra, alias)
            with connection.constraint_checks_disabled():
                for each in here:
                    insert_rows(each.model, list(each.missing.values()), alias)
                    update_rows(each.model, [ours for ours, _theirs in each.changed.values()], alias)
            connection.check_constraints([each.model._meta.db_table for each in here])


def _difference(model: type[models.Model], alias: Alias) -> Difference:
    ours, theirs = rows_by_key(model, LOGICAL), rows_by_key(model, alias)
    return Difference(
        model=model,
        alias=alias,
        missing={key: row for key, row in ours.items() if key not in theirs},
        changed={key: (ours[key], theirs[key]) for key in ours.keys() & theirs if repr(ours[key]) != repr(theirs[key])},
        extra={key: row for key, row in theirs.items() if key not in ours},
    )


def _shared(rows: Mapping[Key, _R], others: Mapping[Key, _R]) -> dict[Key, _R]:
    return {key: row for key, row in rows.items() if key in others and repr(row) == repr(others[key])}


def _some(keys: Collection[Key]) -> str:
    """Name the first few of *keys*."""
    shown = list(_texts(keys))[:3]
    return ", ".join(shown) + ("…" if len(keys) > len(shown) else "")


def _texts(keys: Collection[Key]) -> Iterator[str]:
    for key in keys:
        yield "/".join(map(str, key))
