"""Which fields know about buckets?"""

from __future__ import annotations

from os import urandom
from typing import TYPE_CHECKING, Any, Final

from django.db import models

from shardkit.errors import MigrationLeavesDatabase
from shardkit.orm.aliases import is_routing
from shardkit.orm.placing import give_id, milliseconds, new_uuid, places_itself
from shardkit.routing import owners
from shardkit.routing.data_migrations import migrated_alias
from shardkit.routing.registry import Kind, placement_of
from shardkit.topology.ids import bucket_of_uuid, make_uuid
from shardkit.topology.names import BucketId
from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.routing.registry import ModelPlacement
    from shardkit.topology.names import Alias

#: Where migrations import the fields from, whatever module defines them.
_PUBLIC_MODULE: Final = "shardkit.models"


class _PublicPath:
    """Let migrations name the field by its public path."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """Name the public module."""
        name, _path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        return name, f"{_PUBLIC_MODULE}.{type(self).__name__}", args, kwargs


class ShardedAutoField(_PublicPath, models.BigAutoField):  # type: ignore[misc,type-arg]
    """An integer id, unique over all shards and below 2**53, that carries its row's bucket.

    The number comes from a range that the catalog gives to this process, so it needs no clock and no SQL per row. On
    one plain database it is a `BigAutoField`.
    """

    carries_bucket: Final = "id"

    def get_pk_value_on_save(self, instance: models.Model) -> Any:
        """Allocate the number where nobody else does: in a migration, whose models are not ours."""
        migrated, placement = migrated_alias(), placement_of(type(instance))
        if migrated is None or placement.kind is not Kind.SHARDED or not is_routing():
            return super().get_pk_value_on_save(instance)
        _require_migrated(placement, give_id(instance, placement), migrated)
        return instance.pk


class ShardedUUIDField(_PublicPath, models.UUIDField):  # type: ignore[type-arg]
    """A UUID (version 8, sorted by time) that carries its row's bucket in 12 of its bits. Make it the primary key."""

    carries_bucket: Final = "uuid"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def get_pk_value_on_save(self, instance: models.Model) -> Any:
        """Make the UUID, now that the shard key is known; on one plain database any bucket will do."""
        placement = placement_of(type(instance))
        if placement.kind is not Kind.SHARDED or not is_routing():
            return make_uuid(BucketId(0), random=urandom, milliseconds=milliseconds())
        uuid, migrated = new_uuid(instance, placement), migrated_alias()
        if migrated is not None:
            _require_migrated(placement, owners.alias_of(bucket_of_uuid(uuid)), migrated)
        return uuid


def _require_migrated(placement: ModelPlacement, owner: Alias | None, migrated: Alias) -> None:
    """Refuse a new row that belongs elsewhere than on the database that is *migrated*, or anywhere."""
    if places_itself(placement):
        raise MigrationLeavesDatabase(migrated, "any shard")
    if owner not in {None, migrated}:
        raise MigrationLeavesDatabase(migrated, str(owner))


class ShardKeyCharField(_PublicPath, models.CharField):  # type: ignore[type-arg]
    """Text that is equal only when every byte is, whatever the database's collation: what a shard key needs.

    MariaDB and MySQL compare without case and trailing blanks unless told otherwise, and then ``"n1"`` and ``"N1"``
    would be one key on two shards.
    """

    @property
    def text_is_binary(self) -> bool:
        """Say whether the column orders text by code points: with a collation of its own nobody knows."""
        return not self.db_collation

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the vendor's binary collation."""
        parameters = super().db_parameters(connection)
        if not self.db_collation:
            parameters["collation"] = vendor_of(connection).binary_collation
        return parameters
