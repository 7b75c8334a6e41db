"""Which ids do many new rows get, and where do they belong?

All ids come from one range, and each key is worked out once: rows that are written together often share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import models

from shardkit.catalog import idranges
from shardkit.orm.placing import bucket_of_instance, home_of, key_of, places_itself, require_map, with_bucket
from shardkit.routing import owners
from shardkit.topology.hashing import bucket_of
from shardkit.topology.ids import compose_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.routing.registry import ModelPlacement
    from shardkit.topology.names import Alias, BucketId

#: Types of keys of which two that are equal are the same key.
_PLAIN: Final = frozenset({int, str})
_OPERATION: Final = "bulk_create()"


def homes_of_new(created: Sequence[models.Model], placement: ModelPlacement) -> list[Alias]:
    """Give each of *created* that has no id one, and return where each belongs."""
    for instance in created:
        _take_key_from_related(instance, placement)
    pk: Any = placement.model._meta.pk
    unnumbered = [instance for instance in created if getattr(instance, pk.attname) is None]
    if not isinstance(pk, models.AutoField):
        for instance in unnumbered:
            instance.pk = pk.get_pk_value_on_save(instance)
    elif unnumbered:
        require_map()
        sequences = idranges.allocate(placement.model._meta.label_lower, len(unnumbered))
        if getattr(pk, "carries_bucket", None) and len(unnumbered) == len(created):
            return _number(unnumbered, sequences, placement)
        for instance, sequence in zip(unnumbered, sequences, strict=True):
            instance.pk = with_bucket(instance, placement, sequence)
    return [home_of(instance, placement, _OPERATION) for instance in created]


def _take_key_from_related(instance: Any, placement: ModelPlacement) -> None:
    """Let a shard key that is a foreign key see the id of an object that was saved after it was assigned."""
    if None in [getattr(instance, attname) for attname in key_of(placement).attnames]:
        instance._prepare_related_fields_for_save(operation_name="bulk_create")


def _number(instances: Sequence[models.Model], sequences: Sequence[int], placement: ModelPlacement) -> list[Alias]:
    """Give *instances* ids that carry their buckets."""
    attname = placement.model._meta.pk.attname
    aliases = owners.owners()
    homes: list[Alias] = []
    buckets = _Buckets(placement)
    for instance, sequence in zip(instances, sequences, strict=True):
        bucket = buckets.of_sequence(sequence) if buckets.are_free else buckets.of(instance)
        setattr(instance, attname, compose_id(sequence, bucket))
        homes.append(aliases[bucket])
    return homes


class _Buckets:
    """The buckets of many instances of one model."""

    def __init__(self, placement: ModelPlacement) -> None:
        self.placement = placement
        self.attnames = key_of(placement).attnames
        #: The id is the key, so that a new row may live anywhere.
        self.are_free = places_itself(placement)
        self.count = len(owners.owners())
        self.known: dict[tuple[Any, ...], BucketId] = {}

    def of_sequence(self, sequence: int) -> BucketId:
        return bucket_of((sequence,), self.count)

    def of(self, instance: models.Model) -> BucketId:
        key = tuple([getattr(instance, attname) for attname in self.attnames])
        if not _PLAIN.issuperset(map(type, key)):
            return bucket_of_instance(instance, self.placement, _OPERATION)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = bucket_of_instance(instance, self.placement, _OPERATION)
        return found
