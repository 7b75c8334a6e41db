"""Where does a row live, and why there?

Every database that has the table is asked for the row, past all routing; the reason comes from the row itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import models

from shardkit.routing import owners
from shardkit.routing.functions import CarriedById
from shardkit.routing.registry import Kind, ModelPlacement, databases_of, placement_of
from testapp.demo.watching import NewRow
from testapp.flights.dataset.stored import rows_in

#: How many characters of a key are shown: those of a session are long, and secret.
KEY_LENGTH = 12


@dataclass(frozen=True)
class Dwelling:
    """A row, and where it was found."""

    row: str
    aliases: tuple[str, ...]
    bucket: int | None
    why: str


def dwellings_of(new: NewRow) -> Iterator[Dwelling]:
    """Ask all databases for *new* rows, and explain what they answer."""
    found: dict[object, tuple[models.Model, list[str]]] = {}
    for alias in databases_of(new.model):
        for row in rows_in(new.model, alias).filter(**new.lookup):
            found.setdefault(row.pk, (row, []))[1].append(alias)
    for row, aliases in found.values():
        placement = placement_of(new.model)
        bucket = bucket_of(row, placement)
        yield Dwelling(name_of(row), tuple(aliases), bucket, _why(row, placement, bucket))


def bucket_of(row: models.Model, placement: ModelPlacement) -> int | None:
    """Return the bucket of *row*, None unless its table is sharded."""
    if placement.key is None:
        return None
    values = tuple(row.serializable_value(attname) for attname in placement.key.attnames)
    return placement.key.function.find(values, len(owners.owners()))


def name_of(row: models.Model) -> str:
    """Call *row* by its table and primary key."""
    key = str(row.pk)
    return f"{row._meta.object_name} {key if len(key) <= KEY_LENGTH else key[: KEY_LENGTH - 1] + '…'}"


def _why(row: models.Model, placement: ModelPlacement, bucket: int | None) -> str:
    match placement.kind:
        case Kind.SHARDED if placement.key is not None and bucket is not None:
            names = zip(placement.key_names, placement.key.attnames, strict=True)
            key = ", ".join(f"{name} {row.serializable_value(attname)}" for name, attname in names)
            verb = "carries" if isinstance(placement.key.function, CarriedById) else "hashes to"
            return f"{key} {verb} bucket {bucket}, which {owners.owners()[bucket]} owns"
        case Kind.PLACED:
            return f"the model says: database = {placement.alias!r}"
        case Kind.REFERENCE:
            return "a reference table: every database keeps a copy"
        case _:
            return "a global table, which only default has"
