"""Where do a model's rows live, and which columns say so?

A model is exactly one of sharded, reference, placed and global. What is found here is found once per process (and
again when settings change), by class and by table name: the planner sees tables, not classes.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from shardkit import conf
from shardkit.routing.functions import BucketFunction, ByKey, CarriedById, CarriedByUuid
from shardkit.routing.history import todays_model
from shardkit.topology.names import LOGICAL, Alias
from shardkit.topology.placements import ByHash
from shardkit.vendors.base import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

#: True while dumpdata and loaddata ask whether a model belongs to the logical database: there it does.
serializing: ContextVar[bool] = ContextVar("shardkit_serializing", default=False)


class Kind(StrEnum):
    """The four ways in which a table can be spread over databases."""

    SHARDED = "sharded"
    REFERENCE = "reference"
    PLACED = "placed"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Locator:
    """Columns whose values say the bucket of a row, and the function that does."""

    columns: tuple[str, ...]
    attnames: tuple[str, ...]
    function: BucketFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlacement:
    """Where one concrete model's rows live."""

    model: type[models.Model]
    kind: Kind
    #: The database of a placed or a global model.
    alias: Alias = LOGICAL
    #: How an instance of a sharded model says its bucket.
    key: Locator | None = None
    #: How the model's own table says it: the shard key where it is in this table, and an id that carries its bucket.
    locators: tuple[Locator, ...] = ()
    #: Names of the fields of the shard key, for messages.
    key_names: tuple[str, ...] = ()

    @property
    def key_label(self) -> str:
        """Name the shard key as messages do."""
        return ", ".join(self.key_names)

    @property
    def carries_bucket(self) -> bool:
        """Say whether the primary key alone finds the row's shard."""
        columns = {field.column for field in self.model._meta.pk_fields}
        return any(set(locator.columns) <= columns for locator in self.locators)


class PlacementError(ImproperlyConfigured):
    """A model's declaration gives no placement; the system checks say the same with an id."""


def placement_of(model: type[models.Model]) -> ModelPlacement:
    """Return where *model*'s rows live. Historical models of migrations are known by their label."""
    return _by_label(model._meta.concrete_model or model)


def placement_of_table(table: str) -> ModelPlacement | None:
    """Return where the rows of the table called *table* live, None when no model has such a table."""
    return _by_table().get(table)


def placement_of_rows(model: type[models.Model]) -> ModelPlacement:
    """Return where *model*'s rows live: an unmanaged model may map the table of one that says it."""
    placement = placement_of(model)
    return (placement_of_table(model._meta.db_table) or placement) if placement.kind is Kind.GLOBAL else placement


def folded(name: str) -> str:
    """Return what the names of tables have in common that a database may take for one: no quotes, and no case."""
    return name.replace('"', "").replace("`", "").casefold()


def tables_called(name: str) -> tuple[str, ...]:
    """Return the tables of models that SQL may mean by *name*: some databases fold the case of names, some do not."""
    return _by_folded_name().get(folded(name), ())


def oddly_named_tables() -> tuple[tuple[str, str], ...]:
    """Return the folded name of each table, and the table, that is called by more than one word."""
    return _oddly_named()


def databases_of(model: type[models.Model]) -> tuple[Alias, ...]:
    """List every primary database that has *model*'s table."""
    placement = placement_of(model)
    primaries = conf.get_settings().topology.primaries
    match placement.kind:
        case Kind.SHARDED:
            return primaries
        case Kind.REFERENCE:
            return (LOGICAL, *primaries)
        case Kind.PLACED | Kind.GLOBAL:
            return (placement.alias,)


def models_placed() -> Iterable[ModelPlacement]:
    """List the placement of every concrete model that is installed, auto-created ones included."""
    return _by_table().values()


def forget() -> None:
    """Forget everything, because settings or the installed apps changed."""
    _by_label.cache_clear()
    _by_table.cache_clear()
    _by_folded_name.cache_clear()
    _oddly_named.cache_clear()


conf.settings_reset.append(forget)


@cache
def _by_table() -> dict[str, ModelPlacement]:
    found: dict[str, ModelPlacement] = {}
    for model in apps.get_models(include_auto_created=True, include_swapped=True):
        placement, table = placement_of(model), model._meta.db_table
        known = found.get(table)
        # An unmanaged model may map the table of one that says where its rows live: that one knows.
        if not model._meta.proxy and (known is None or known.kind is Kind.GLOBAL):
            found[table] = placement
    return found


@cache
def _by_folded_name() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for table in _by_table():
        found[folded(table)] = (*found.get(folded(table), ()), table)
    return found


@cache
def _oddly_named() -> tuple[tuple[str, str], ...]:
    return tuple((folded(table), table) for table in _by_table() if not re.fullmatch(r"\w+", table))


@cache
def _by_label(model: type[models.Model]) -> ModelPlacement:
    declaring = model._meta.auto_created or model
    if model._meta.apps is not apps and not hasattr(declaring, "placement_kind"):
        known = todays_model(model._meta.app_label, model._meta.object_name or "")
        if known is None:
            return ModelPlacement(model=model, kind=Kind.GLOBAL)
        model = known
    return _find(model)


def _find(model: type[models.Model]) -> ModelPlacement:
    if not conf.get_settings().active:
        return ModelPlacement(model=model, kind=Kind.GLOBAL)
    if model._meta.auto_created:
        return _find_through(model)
    alias = declared_alias(model)
    if alias is not None and alias != LOGICAL:
        return ModelPlacement(model=model, kind=Kind.PLACED, alias=alias)
    return _find_by_class(model)


def _find_by_class(model: type[models.Model]) -> ModelPlacement:
    match getattr(model, "placement_kind", None):
        case Kind.SHARDED if conf.get_settings().topology.shards:
            return _find_sharded(model)
        case Kind.REFERENCE as kind:
            return ModelPlacement(model=model, kind=kind)
        case _:
            return ModelPlacement(model=model, kind=Kind.GLOBAL)


def declared_alias(model: type[models.Model]) -> Alias | None:
    """Return the database that the model itself or ``SHARDKIT["PLACEMENT"]`` names, None when neither does."""
    placed = conf.get_settings().placement
    options = model._meta
    own = getattr(model, "database", None) if getattr(model, "placement_kind", None) is Kind.PLACED else None
    return own or placed.get(options.label_lower) or placed.get(options.app_label.lower())


def _find_through(model: type[models.Model]) -> ModelPlacement:
    """Let an auto-created many-to-many table live where it is made: with the model that declares it.

    That of a copied model is made on every database, so it lives with what the other side has.
    """
    owner: type[models.Model] = model._meta.auto_created  # type: ignore[assignment]
    declaring = placement_of(owner)
    if declaring.kind in {Kind.GLOBAL, Kind.PLACED}:
        return ModelPlacement(model=model, kind=declaring.kind, alias=declaring.alias)
    sides = [field for field in model._meta.local_fields if isinstance(field, models.ForeignKey)]
    sides.sort(key=lambda field: field.related_model is not owner)
    placements = [placement_of(side.related_model) for side in sides]
    for side, placement in zip(sides, placements, strict=True):
        if placement.kind is Kind.SHARDED:
            locator = _locator((side,), placement.model, None)
            return ModelPlacement(
                model=model, kind=Kind.SHARDED, key=locator, locators=(locator,), key_names=(side.name,)
            )
    is_copied = all(placement.kind is Kind.REFERENCE for placement in placements)
    return ModelPlacement(model=model, kind=Kind.REFERENCE if is_copied else Kind.GLOBAL)


def _find_sharded(model: type[models.Model]) -> ModelPlacement:
    names = shard_key_names(model)
    if not names:
        raise PlacementError(f"{model._meta.label} is sharded but declares no shard_key.")
    fields = tuple(model._meta.get_field(name) for name in names)
    sharding = getattr(model, "sharding", None)
    key = _locator(fields, model, sharding)
    locators = [key] if all(field in model._meta.local_fields for field in fields) else []
    for locator in _carried(model):
        if locator not in locators:
            locators.append(locator)
    return ModelPlacement(model=model, kind=Kind.SHARDED, key=key, locators=tuple(locators), key_names=names)


def shard_key_names(model: type[models.Model]) -> tuple[str, ...]:
    """Return the declared names of *model*'s shard key fields, ``()`` when it declares none."""
    declared = getattr(model, "shard_key", None)
    if declared is None:
        return ()
    names = (declared,) if isinstance(declared, str) else tuple(declared)
    return tuple(model._meta.pk.name if name == "pk" else name for name in names)


def _carried(model: type[models.Model]) -> Iterable[Locator]:
    """Yield the primary key's locator, when the primary key carries the bucket."""
    pk: Any = model._meta.pk
    function = carried_function(pk)
    if function is None and pk.remote_field is not None and pk.remote_field.parent_link:
        parent = placement_of(pk.related_model)
        function = next(
            (found.function for found in parent.locators if found.columns == (pk.target_field.column,)), None
        )
    if function is not None:
        yield Locator((pk.column,), (pk.attname,), function)


def carried_function(field: Any) -> BucketFunction | None:
    """Return the function of a field whose values carry their bucket, None for any other field."""
    match getattr(field, "carries_bucket", None):
        case "id":
            return CarriedById()
        case "uuid":
            return CarriedByUuid()
        case _:
            return None


def _locator(fields: tuple[Any, ...], model: type[models.Model], sharding: Any) -> Locator:
    return Locator(
        tuple(field.column for field in fields),
        tuple(field.attname for field in fields),
        _function(fields, model, sharding),
    )


def _function(fields: tuple[Any, ...], model: type[models.Model], sharding: Any) -> BucketFunction:
    if len(fields) == 1:
        (field,) = fields
        carried = carried_function(field) if field.primary_key else None
        if carried is not None:
            return carried
        if field.remote_field is not None and placement_of(field.related_model).kind is Kind.SHARDED:
            return _function_of_target(field, model)
    text_is_binary = all(getattr(source_of(field), "text_is_binary", False) for field in fields)
    return ByKey(sharding or ByHash(), tuple(kind_of(field) for field in fields), text_is_binary)


def source_of(field: Any) -> Any:
    """Follow a foreign key to the field whose values it holds."""
    while field.remote_field is not None:
        field = field.target_field
    return field


def _function_of_target(field: Any, model: type[models.Model]) -> BucketFunction:
    """Place a row where the row is that its key refers to: the same bucket, by the same function."""
    target = placement_of(field.related_model)
    for locator in target.locators:
        if locator.columns == (field.target_field.column,):
            return locator.function
    raise PlacementError(
        f"{model._meta.label}.{field.name} is a shard key that refers to {target.model._meta.label}, whose "
        f"{field.target_field.name!r} does not say where its row lives. Give {target.model._meta.label} the default "
        f"ShardedAutoField, or make {field.target_field.name!r} its shard key."
    )
