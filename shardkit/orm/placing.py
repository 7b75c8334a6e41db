"""On which shard does this instance belong, and which id does it get?"""

from __future__ import annotations

import secrets
import time
from decimal import Decimal
from functools import cache
from os import urandom
from typing import TYPE_CHECKING, Any, Final

from django.db import Error, models

from shardkit.catalog import idranges
from shardkit.errors import (
    CrossShardQuery,
    IdBelongsElsewhere,
    ShardKeyImmutable,
    ShardKeyNotCovered,
    ShardKeyRequired,
    WrongShard,
)
from shardkit.routing import owners
from shardkit.routing.data_migrations import is_own_copy
from shardkit.routing.pins import is_expression
from shardkit.routing.plan import Single
from shardkit.routing.registry import Kind, placement_of
from shardkit.routing.transactions import join
from shardkit.topology.hashing import bucket_of
from shardkit.topology.ids import compose_id, make_uuid, sequence_of_id
from shardkit.topology.names import BucketId

if TYPE_CHECKING:
    from collections.abc import Collection

    from shardkit.routing.registry import Locator, ModelPlacement
    from shardkit.topology.names import Alias


#: Types of most keys, which are no expressions.
_PLAIN: Final = frozenset({int, str, type(None)})
#: Why a row is written to a shard.
BY_KEY: Final = "the shard key of its row places it there"


@cache
def by_key(alias: Alias) -> Single:
    """Return the plan of a write to *alias*, the shard of the row."""
    return Single(alias, BY_KEY)


def bucket_of_instance(instance: models.Model, placement: ModelPlacement, operation: str) -> BucketId:
    """Return the bucket of *instance* by its shard key, or raise `ShardKeyRequired` when it has none."""
    locator = key_of(placement)
    values = tuple([_key_value(instance, placement, attname, operation) for attname in locator.attnames])
    try:
        return locator.function.place(values, len(owners.owners()))
    except ShardKeyNotCovered as error:
        raise ShardKeyNotCovered(placement.model._meta.label, placement.key_label, error.remedy) from error


def key_of(placement: ModelPlacement) -> Locator:
    """Return the shard key of a sharded model's *placement*."""
    if placement.key is None:
        raise ShardKeyRequired(placement.model._meta.label, "placement", "shard_key")
    return placement.key


def _key_value(instance: models.Model, placement: ModelPlacement, attname: str, operation: str) -> Any:
    field: Any = instance._meta.get_field(attname)
    value = getattr(instance, attname)
    if type(value) not in _PLAIN and is_expression(value):
        raise ShardKeyRequired(placement.model._meta.label, operation, placement.key_label)
    value = field.get_prep_value(value)
    if value is None and not field.null:
        raise ShardKeyRequired(placement.model._meta.label, operation, placement.key_label)
    if isinstance(value, Decimal) and value.is_finite() and value != round(value, field.decimal_places):
        remedy = f"Round it to {field.decimal_places} decimal places first, as the database will."
        raise ShardKeyNotCovered(placement.model._meta.label, placement.key_label, remedy)
    return value


def home_of(instance: models.Model, placement: ModelPlacement, operation: str) -> Alias:
    """Return the primary that *instance* belongs on, and refuse an id that says otherwise."""
    bucket = bucket_of_instance(instance, placement, operation)
    pk = placement.model._meta.pk
    for locator in placement.locators:
        value = instance.__dict__.get(pk.attname)
        if locator is placement.key or locator.columns != (pk.column,) or value is None:
            continue
        carried = locator.function.place((pk.get_prep_value(value),), len(owners.owners()))
        if carried != bucket:
            raise IdBelongsElsewhere(placement.model._meta.label, operation, placement.key_label, carried, bucket)
    return owners.alias_of(bucket)


def home_of_saved(instance: models.Model, placement: ModelPlacement, operation: str) -> Alias:
    """Return the primary that *instance* belongs on, and refuse a key by which a loaded row would be another one's."""
    lives_on = None if instance._state.adding else shard_alias_of(instance)
    try:
        alias = home_of(instance, placement, operation)
    except IdBelongsElsewhere as error:
        if lives_on is None:
            raise
        raise ShardKeyImmutable(placement.model._meta.label, operation, placement.key_label, lives_on) from error
    if lives_on not in {None, alias}:
        raise ShardKeyImmutable(placement.model._meta.label, operation, placement.key_label, str(lives_on))
    return alias


def found_on(instance: models.Model, placement: ModelPlacement) -> Alias | None:
    """Return the primary that holds the row of a saved *instance*, None when only the databases can tell.

    The key of an instance made by hand is no evidence: nobody said that it is the row's.
    """
    pk = placement.model._meta.pk
    for locator in placement.locators:
        if locator.columns == (pk.column,):
            return owners.find(locator, (pk.get_prep_value(instance.pk),))
    return None if stands_for_another(instance) else shard_alias_of(instance)


def note_home(instance: models.Model, alias: Alias) -> None:
    """Note that the row of *instance* is on *alias*, and under which primary key where that does not say it."""
    state: Any = instance._state
    state.shard_alias = alias
    if not hasattr(instance._meta.pk, "carries_bucket"):
        state.shard_pk = instance.pk


def forget_home(instance: models.Model) -> bool:
    """Forget where the row of *instance* was, and say whether that was known from nothing but having seen it there."""
    state: Any = instance._state
    if getattr(state, "shard_pk", None) is None or shard_alias_of(instance) is None:
        return False
    state.shard_alias = None
    return True


def note_home_by_key(instance: models.Model) -> None:
    """Note where the row of *instance* is that came with rows of several shards: its own columns say it.

    Nothing is noted when the key was not loaded.
    """
    placement = placement_of(type(instance))
    if placement.kind is not Kind.SHARDED:
        return
    for locator in (*placement.locators, key_of(placement)):
        if all(attname in instance.__dict__ for attname in locator.attnames):
            fields: list[Any] = [instance._meta.get_field(attname) for attname in locator.attnames]
            values = [field.get_prep_value(getattr(instance, field.attname)) for field in fields]
            instance._state.shard_alias = owners.find(locator, tuple(values))  # type: ignore[attr-defined]
            return


def stands_for_another(instance: models.Model) -> bool:
    """Say whether *instance* was given another primary key than its row has, so that it stands for another row."""
    known = getattr(instance._state, "shard_pk", None)
    return known is not None and known != instance.pk


#: Where a row of a reference model belongs, as messages say it.
EVERYWHERE: Final = "every database at once"


def require_owner(model: type[models.Model], alias: str, operation: str) -> None:
    """Refuse to write one copy of a reference model alone, and a placed model anywhere but in its place."""
    placement = placement_of(model)
    if placement.kind is Kind.REFERENCE and not is_own_copy(model, alias):
        raise WrongShard(model._meta.label, operation, alias, EVERYWHERE)
    if placement.kind is Kind.PLACED and placement.alias != alias:
        raise WrongShard(model._meta.label, operation, alias, placement.alias)


def require_upsert_on_one_shard(
    placement: ModelPlacement, updated: Collection[str], unique: Collection[str], operation: str
) -> None:
    """Refuse an upsert that writes the shard key, or that looks for conflicts which may be on another shard.

    *updated* and *unique* are columns; a vendor that looks at every constraint names none as unique.
    """
    label, key = placement.model._meta.label, key_of(placement)
    if set(key.columns) & set(updated):
        raise ShardKeyImmutable(label, operation, placement.key_label, "its shard")
    if unique and not any(set(locator.columns) <= set(unique) for locator in (key, *placement.locators)):
        why = f"{', '.join(unique)} is unique on each shard alone"
        remedy = f"Name {placement.key_label!r} among the unique fields, or use update_or_create()."
        raise CrossShardQuery(f"{label}: {operation}", "every shard to look for conflicts", why, remedy)


def shard_alias_of(instance: models.Model) -> Alias | None:
    """Return the primary that *instance* was read from or written to, None when it was neither."""
    found: Alias | None = getattr(instance._state, "shard_alias", None)
    return found


def has_no_pk(instance: models.Model, placement: ModelPlacement) -> bool:
    """Say whether *instance* is without a primary key, as a new row is, and a copy of an old one."""
    return instance.__dict__.get(placement.model._meta.pk.attname) is None


def give_id(instance: models.Model, placement: ModelPlacement) -> Alias | None:
    """Allocate the primary key of *instance* and return where it belongs; None when it has one or is to get none.

    No shard may number its rows by itself: the numbers of two shards would collide.
    """
    pk: Any = placement.model._meta.auto_field
    if pk is None or not has_no_pk(instance, placement):
        return None
    require_map()
    (sequence,) = idranges.allocate(placement.model._meta.label_lower, 1)
    if getattr(pk, "carries_bucket", None):
        bucket = _bucket_of_new(instance, placement, sequence)
        setattr(instance, pk.attname, compose_id(sequence, bucket))
        return owners.alias_of(bucket)
    setattr(instance, pk.attname, sequence)  # first, for it may be the shard key
    try:
        return home_of(instance, placement, "save()")
    except Error:
        setattr(instance, pk.attname, None)
        raise


def require_map() -> None:
    """Say by name that there is no shard map, before the lack of the catalog's other tables says it otherwise."""
    owners.owners()


def with_bucket(instance: models.Model, placement: ModelPlacement, sequence: int) -> int:
    """Return the id of number *sequence* for *instance*; it carries the bucket if the primary key is of that kind."""
    if not getattr(placement.model._meta.pk, "carries_bucket", None):
        return sequence
    return compose_id(sequence, _bucket_of_new(instance, placement, sequence))


def _bucket_of_new(instance: models.Model, placement: ModelPlacement, sequence: int) -> BucketId:
    if places_itself(placement):
        return bucket_of((sequence,), len(owners.owners()))
    return bucket_of_instance(instance, placement, "save()")


def new_uuid(instance: models.Model, placement: ModelPlacement) -> Any:
    """Make a UUID that carries the bucket of *instance*; one that places itself gets any bucket."""
    if places_itself(placement):
        bucket = BucketId(secrets.randbelow(len(owners.owners())))
    else:
        bucket = bucket_of_instance(instance, placement, "save()")
    return make_uuid(bucket, random=urandom, milliseconds=milliseconds())


def milliseconds() -> int:
    """Return the time since 1970. It only sorts UUIDs: that they are unique does not hang on a clock."""
    return time.time_ns() // 1_000_000


def places_itself(placement: ModelPlacement) -> bool:
    """Say whether the primary key is the shard key, so that a new row may live anywhere."""
    return key_of(placement).columns == (placement.model._meta.pk.column,)


def stays_put(instance: models.Model, placement: ModelPlacement, update_fields: Any) -> bool:
    """Say whether this save cannot change the shard key: it leaves the key out, or the key was never loaded."""
    attnames = key_of(placement).attnames
    if any(attname not in instance.__dict__ for attname in attnames):
        return True
    if update_fields is None:
        return False
    written = set(update_fields)
    fields: list[Any] = [instance._meta.get_field(attname) for attname in attnames]
    return not any(field.name in written or field.attname in written for field in fields)


def require_known(instance: models.Model, placement: ModelPlacement, alias: Alias) -> None:
    """Refuse a hand-made *instance* whose primary key is that of a row on another shard.

    Saving would update nothing on *alias* and insert there: two rows with one primary key. Only asking the other
    shards can tell, and only where the primary key does not say its shard.
    """
    if placement.carries_bucket:
        return
    model = placement.model
    for other in owners.all_aliases():
        if other != alias and all_rows(model, other).filter(pk=instance.pk).exists():
            raise ShardKeyImmutable(model._meta.label, "save()", placement.key_label, other)


def all_rows(model: type[models.Model], alias: Alias) -> models.QuerySet[Any]:
    """Return the rows of *model* on one database; its managers, the base manager too, may hide some."""
    join(alias)
    return models.QuerySet(model, using=alias)


def catch_up(model: type[models.Model]) -> None:
    """Move the range of *model*'s ids beyond those that its rows have, because rows came with ids of their own."""
    placement = placement_of(model)
    pk = placement.model._meta.pk
    if not isinstance(pk, models.AutoField):
        return
    rows = [all_rows(placement.model, alias) for alias in owners.all_aliases()]
    highest = [found.aggregate(highest=models.Max("pk"))["highest"] for found in rows]
    known = [value for value in highest if value is not None]
    if known:
        carries = getattr(pk, "carries_bucket", None)
        idranges.raise_to(placement.model._meta.label_lower, sequence_of_id(max(known)) if carries else max(known))
