"""Can this model's declaration work?

==============  ======================================================================================
shardkit.E030   a sharded model declares no shard key, or one that is not among its fields
shardkit.E031   a shard key refers to rows whose place cannot be told from what it refers to
shardkit.E032   a shard key is of a kind that has no canonical text
shardkit.E033   a shard key is text that the database compares otherwise than byte for byte
shardkit.E034   a foreign key with a database constraint leaves its database
shardkit.E035   a foreign key leaves the cascade to the database, which sees one shard only
shardkit.E036   deleting what a shard key refers to would change the key
shardkit.E037   a model inherits from one that lives elsewhere
shardkit.E038   the declared sharding does not fit the cluster or the key
shardkit.E039   a model is placed twice
shardkit.E040   PLACEMENT names an app or a model that is not installed
shardkit.E041   a model is placed on a database that cannot hold it
shardkit.E042   order_with_respect_to counts rows of several shards
shardkit.E043   the database computes the shard key
shardkit.W001   a unique field or constraint holds on each shard alone
shardkit.W002   a primary key is unique on each shard alone
==============  ======================================================================================
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.db import connections, models

from shardkit import conf
from shardkit.errors import ShardKeyUnhashable
from shardkit.routing.registry import (
    Kind,
    ModelPlacement,
    PlacementError,
    databases_of,
    placement_of,
    shard_key_names,
    source_of,
)
from shardkit.topology.names import LOGICAL
from shardkit.topology.placements import ByHash
from shardkit.vendors.base import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Collations that take no two texts for equal. Others may, as those of PostgreSQL that an application has created; on
#: MariaDB and MySQL even ``utf8mb4_bin`` ignores trailing blanks.
_BYTEWISE: Final = defaultdict(
    lambda: re.compile("^$"),
    postgresql=re.compile(r"^(C|POSIX|default|ucs_basic|pg_c_utf8)$|^C\.|-x-icu$|^[a-z]{2,3}_[A-Z]{2}\b"),
    mysql=re.compile("_nopad_bin$|_0900_bin$|^binary$"),
    sqlite=re.compile("^binary$", re.IGNORECASE),
)
_CHANGES_KEY: Final = (models.SET_NULL, models.SET_DEFAULT)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a model, and what to do."""

    id: str
    fact: str
    hint: str
    subject: Any


def findings(model: type[models.Model]) -> Iterator[Finding]:
    """Yield what is wrong with the placement of *model*."""
    broken = list(_key_findings(model))
    yield from broken
    if broken:
        return
    placement = placement_of(model)
    for look in (_twice, _unreachable, _parents, _relations, _sharded_only):
        yield from look(model, placement)


def placement_findings() -> Iterator[Finding]:
    """Yield the entries of ``SHARDKIT["PLACEMENT"]`` that name nothing."""
    for name in conf.get_settings().placement:
        label, _, model = name.partition(".")
        known = any(config.label.lower() == label for config in apps.get_app_configs())
        if known and model:
            known = model in apps.get_app_config(_real_label(label)).models
        if not known:
            hint = "Use the app's label, or app_label.ModelName, of something in INSTALLED_APPS."
            yield Finding("shardkit.E040", f"SHARDKIT['PLACEMENT'] names {name!r}, which is not installed.", hint, None)


def _real_label(lowered: str) -> str:
    return next(config.label for config in apps.get_app_configs() if config.label.lower() == lowered)


def _key_findings(model: type[models.Model]) -> Iterator[Finding]:
    """Yield why the shard key gives no placement at all."""
    if getattr(model, "placement_kind", None) is not Kind.SHARDED:
        return
    label, names = model._meta.label, shard_key_names(model)
    fields = {field.name: field for field in model._meta.concrete_fields}
    fields |= {field.attname: field for field in model._meta.concrete_fields}
    unknown = [name for name in names if name not in fields]
    if unknown or not names:
        fact = f"{label}.shard_key names no field {unknown[0]!r}." if unknown else f"{label} declares no shard_key."
        yield Finding("shardkit.E030", fact, f"Name one of: {', '.join(sorted(fields))}.", model)
        return
    for name in names:
        yield from _field_findings(model, fields[name])
    if len(names) == 1:
        try:
            placement_of(model)
        except PlacementError as error:
            yield Finding("shardkit.E031", str(error), "See docs/how-to/choose-a-shard-key.md.", model)
        except ShardKeyUnhashable:
            return


def _field_findings(model: type[models.Model], field: Any) -> Iterator[Finding]:
    label = f"{model._meta.label}.{field.name}"
    if field.generated or field.has_db_default():
        hint = "Compute the key in Python: it must be known before the row is sent to a shard."
        yield Finding("shardkit.E043", f"{label} is a shard key that the database computes.", hint, model)
    try:
        kind = kind_of(field)
    except ShardKeyUnhashable as error:
        yield Finding("shardkit.E032", f"{label}: {error}", "Choose another shard key.", model)
        return
    if kind == "text" and not _compares_bytes(field):
        hint = "Use ShardKeyCharField, or a binary db_collation."
        fact = f"{label} is a shard key that the database compares without case, accents or trailing blanks."
        yield Finding("shardkit.E033", fact, hint, model)
    if field.remote_field is not None and _may_change(field.remote_field.on_delete):
        hint = "Use CASCADE, PROTECT, RESTRICT or DO_NOTHING."
        fact = f"{label} is a shard key that on_delete would change, so that rows would have to move."
        yield Finding("shardkit.E036", fact, hint, model)


def _compares_bytes(field: Any) -> bool:
    """Say whether the database takes two texts for equal only when every byte is."""
    connection = connections[LOGICAL]
    # Not field.db_parameters(): on MariaDB that connects, and workers must start while no database answers.
    column = source_of(field)
    collation = getattr(column, "db_collation", None)
    if not collation:
        return connection.vendor != "mysql" or bool(getattr(column, "text_is_binary", False))
    return bool(_BYTEWISE[connection.vendor].search(collation))


def _may_change(on_delete: Any) -> bool:
    return on_delete in _CHANGES_KEY or getattr(on_delete, "__qualname__", "").startswith("SET.")


def _twice(model: type[models.Model], placement: ModelPlacement) -> Iterator[Finding]:
    placed = conf.get_settings().placement
    named = placed.get(model._meta.label_lower) or placed.get(model._meta.app_label.lower())
    declared = getattr(model, "placement_kind", None)
    own = getattr(model, "database", None) if declared is Kind.PLACED else None
    if named is None or declared is None or own == named or model._meta.label_lower not in placed:
        return
    hint = "Remove one of the two."
    fact = f"{placement.model._meta.label} is {declared} by its class and placed on {named!r} by SHARDKIT['PLACEMENT']."
    yield Finding("shardkit.E039", fact, hint, model)


def _unreachable(model: type[models.Model], placement: ModelPlacement) -> Iterator[Finding]:
    if placement.kind is not Kind.PLACED:
        return
    shards = conf.get_settings().topology.by_primary
    if placement.alias not in django_settings.DATABASES:
        fact = f"{model._meta.label} is placed on {placement.alias!r}, which is not in DATABASES."
        yield Finding("shardkit.E041", fact, f"Name one of: {', '.join(sorted(django_settings.DATABASES))}.", model)
    elif placement.alias in shards:
        fact = f"{model._meta.label} is placed on {placement.alias!r}, which is a shard."
        yield Finding("shardkit.E041", fact, "Give it a database of its own, or make it a sharded model.", model)


def _parents(model: type[models.Model], placement: ModelPlacement) -> Iterator[Finding]:
    for parent in model._meta.parents:
        other = placement_of(parent)
        fact = f"{model._meta.label} inherits from {parent._meta.label}, "
        if other.kind is not placement.kind or other.alias != placement.alias:
            fact += f"which is {other.kind}, and is itself {placement.kind}."
            yield Finding("shardkit.E037", fact, "Declare both alike, or use a foreign key.", model)
        elif placement.kind is Kind.SHARDED and not other.carries_bucket:
            fact += "whose primary key does not say its shard."
            yield Finding("shardkit.E037", fact, "Give the parent the default ShardedAutoField.", model)


def _relations(model: type[models.Model], placement: ModelPlacement) -> Iterator[Finding]:
    local: list[Any] = [field for field in model._meta.local_fields if isinstance(field, models.ForeignKey)]
    leaving = [field for field in local if not field.remote_field.parent_link and not stays_home(field, placement)]
    constrained = [field for field in leaving if field.db_constraint]
    if constrained and model._meta.auto_created:
        yield _constrained_many(model, constrained)
        return
    for field in leaving:
        label = f"{model._meta.label}.{field.name}"
        target = field.related_model._meta.label
        if field.db_constraint:
            hint = "Add db_constraint=False: Django goes on enforcing on_delete, over all databases."
            yield Finding(
                "shardkit.E034", f"{label} has a constraint to {target}, whose rows live elsewhere.", hint, model
            )
        if getattr(field.remote_field.on_delete, "__name__", "").startswith("DB_"):
            hint = "Use Django's own CASCADE or SET_NULL, which reach every shard."
            yield Finding("shardkit.E035", f"{label} leaves its cascade to the database.", hint, model)


def _constrained_many(through: type[models.Model], constrained: list[Any]) -> Finding:
    """Say of a table that nobody wrote a model for what to write in the model that has the field."""
    owner: type[models.Model] = through._meta.auto_created  # type: ignore[assignment]
    field = next(field for field in owner._meta.local_many_to_many if field.remote_field.through is through)
    label = f"{owner._meta.label}.{field.name}"
    targets = " and ".join(side.related_model._meta.label for side in constrained)
    return Finding(
        "shardkit.E034",
        f"The table of {label} has a constraint to {targets}, whose rows live elsewhere.",
        f"Add db_constraint=False to the ManyToManyField {label}: Django goes on cascading, over all databases.",
        field,
    )


def stays_home(field: Any, placement: ModelPlacement) -> bool:
    """Say whether what *field* refers to is always on the database of the row itself."""
    target = placement_of(field.related_model)
    match placement.kind, target.kind:
        case (Kind.SHARDED, Kind.SHARDED):
            theirs = [found.function for found in target.locators if found.columns == (field.target_field.column,)]
            mine = [found.function for found in placement.locators if found.columns == (field.column,)]
            return any(function in theirs for function in mine)
        case (_, Kind.REFERENCE):
            return set(databases_of(placement.model)) <= set(databases_of(target.model))
        case (Kind.PLACED, Kind.PLACED) | (Kind.GLOBAL, Kind.GLOBAL):
            return placement.alias == target.alias
        case _:
            return False


def _sharded_only(model: type[models.Model], placement: ModelPlacement) -> Iterator[Finding]:
    if placement.kind is not Kind.SHARDED or model._meta.proxy:
        return
    sharding = getattr(model, "sharding", None) or ByHash()
    for problem in sharding.problems(conf.get_settings().buckets, columns=len(placement.key_names)):
        yield Finding("shardkit.E038", f"{model._meta.label}.sharding: {problem}", "Correct the sharding.", model)
    ordered_by: Any = model._meta.order_with_respect_to
    if ordered_by is not None and not any(found.columns == (ordered_by.column,) for found in placement.locators):
        fact = f"{model._meta.label} is ordered with respect to {ordered_by.name!r}, whose rows are on several shards."
        yield Finding("shardkit.E042", fact, "Order by a field of your own.", model)
    yield from _locally_unique(model, placement)


def _locally_unique(model: type[models.Model], placement: ModelPlacement) -> Iterator[Finding]:
    key = set(placement.key.columns) if placement.key is not None else set()
    hint = (
        "Add the shard key to it, keep the value in a global model, which one database judges, or silence this check "
        "where a duplicate on another shard does no harm."
    )
    if not placement.carries_bucket and not isinstance(model._meta.pk, models.AutoField):
        fact = f"{model._meta.label}'s primary key {model._meta.pk.name!r} is unique on each shard alone."
        yield Finding("shardkit.W002", fact, "Make it the shard key, or silence this check.", model)
    for label, names in _uniques(model):
        columns = {model._meta.get_field(name).column for name in names}  # type: ignore[union-attr]
        located = any(set(found.columns) <= columns for found in placement.locators)
        if not located and not key <= columns:
            fact = f"{model._meta.label}: {label} is unique on each shard alone."
            yield Finding("shardkit.W001", fact, hint, model)


def _uniques(model: type[models.Model]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what is unique, as people call it, and the fields whose values are a part of it as they are."""
    for field in model._meta.local_fields:
        if field.unique and not field.primary_key:
            yield field.name, (field.name,)
    yield from ((", ".join(names), tuple(names)) for names in model._meta.unique_together)
    known = {field.name for field in model._meta.concrete_fields}
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            parts = [getattr(part, "name", "") for part in constraint.expressions]
            plain = [name for name in parts if name in known]
            yield ", ".join(constraint.fields) or constraint.name, (*constraint.fields, *plain)
