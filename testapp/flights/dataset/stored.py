"""Which databases hold a table's rows, and what do these rows say?

Each database is read by itself, past all routing: that is the point of looking.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from django.db import models

from shardkit.routing import owners
from shardkit.routing.registry import Kind, databases_of, placement_of
from testapp.flights.dataset.files import Part, Row, SourceTable

#: Two rows that say the same have the same digest, whichever database or file they come from.
Digest = bytes


def digest_of(row: Row) -> Digest:
    """Condense a row to 16 bytes."""
    return blake2b(repr([_canonical(value) for value in row]).encode(), digest_size=16).digest()


def _canonical(value: Any) -> Any:
    """Spell a moment in one way, however the driver spells its time zone."""
    return value.astimezone(dt.UTC).isoformat() if isinstance(value, dt.datetime) else value


def rows_in(model: type[models.Model], alias: str) -> models.QuerySet[Any]:
    """Return the rows of *model* in one database, whether they belong there or not."""
    return models.QuerySet(model, using=alias).order_by()


def is_copied(model: type[models.Model]) -> bool:
    """Say whether every database holds all rows of *model*."""
    return placement_of(model).kind is Kind.REFERENCE


def stored_rows(part: Part, alias: str) -> Iterator[tuple[Any, Row]]:
    """Yield the primary key and the values of the rows of *part* in one database."""
    rows = rows_in(part.table.model, alias).filter(**part.scope)
    for pk, *values in rows.values_list("pk", *part.table.attnames).iterator(chunk_size=5000):
        yield pk, tuple(values)


def stored_digests(part: Part) -> set[Digest]:
    """Return the digests of the rows of *part* that need not be written: those in every place they should be in."""
    found = [{digest_of(row) for _, row in stored_rows(part, alias)} for alias in databases_of(part.table.model)]
    return set.intersection(*found) if is_copied(part.table.model) else set.union(*found)


def owner_test(table: SourceTable, alias: str) -> Callable[[Any, Row], bool]:
    """Return what says whether the row with a primary key and values belongs into the database *alias*.

    A row says where it belongs by its shard key, and by an id that carries its bucket: both must name this database.
    """
    placement = placement_of(table.model)
    if placement.kind is not Kind.SHARDED:
        return lambda _pk, _row: True
    names = (table.model._meta.pk.attname, *table.attnames)
    locators = [(locator, [names.index(name) for name in locator.attnames]) for locator in placement.locators]

    def belongs(pk: Any, row: Row) -> bool:
        values = (pk, *row)
        return all(owners.find(locator, tuple(values[at] for at in places)) == alias for locator, places in locators)

    return belongs


def count_stored(table: SourceTable, alias: str) -> int:
    """Count all rows of *table* in one database."""
    return rows_in(table.model, alias).count()
