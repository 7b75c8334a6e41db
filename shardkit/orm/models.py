"""What does a developer subclass?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from django.core.exceptions import ValidationError
from django.db import Error, connections, models

from shardkit import conf
from shardkit.errors import ReplicaIsReadOnly, WrongShard
from shardkit.orm._django import ModelBase
from shardkit.orm.aliases import LogicalAlias, names_shard, settle
from shardkit.orm.fields import ShardedAutoField
from shardkit.orm.placing import (
    by_key,
    forget_home,
    found_on,
    give_id,
    has_no_pk,
    home_of,
    home_of_saved,
    note_home,
    note_home_by_key,
    require_known,
    require_owner,
    shard_alias_of,
    stands_for_another,
    stays_put,
)
from shardkit.orm.query import ShardedManager
from shardkit.orm.validating import key_problem
from shardkit.orm.values import read_rows
from shardkit.routing.data_migrations import is_own_copy
from shardkit.routing.registry import Kind, ModelPlacement, placement_of
from shardkit.routing.transactions import JoinedTransactions
from shardkit.signals import announce
from shardkit.topology.names import LOGICAL, Alias, ShardId

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from shardkit.topology.placements import Sharding


class _SpreadBase(ModelBase):
    """Let Django's own lookups of related rows go through our querysets, where a model has no base manager of its own.

    Not by ``Meta.base_manager_name``: that would name a second manager, which every migration would then list.
    """

    @property
    def _base_manager(cls) -> models.Manager[Any]:  # noqa: N805 - the class of a metaclass
        manager: models.Manager[Any] = super()._base_manager  # type: ignore[misc,arg-type]
        if type(manager) is not models.Manager or not manager.auto_created:
            return manager
        own: models.Manager[Any] | None = cls.__dict__.get("_spread_manager")
        if own is None:
            own = ShardedManager()
            own.auto_created = True
            own.name = manager.name
            own.model = cls
            cls._spread_manager = own
        return own


class _ShardedBase(_SpreadBase):
    """Give a sharded model that declares no primary key a `ShardedAutoField`, whatever DEFAULT_AUTO_FIELD says."""

    def _prepare(cls) -> None:  # noqa: N805 - the class of a metaclass
        options: Any = cls._meta  # type: ignore[attr-defined]
        inherits = any(parent for parent in options.parents.values())
        if options.pk is None and not inherits:
            field = ShardedAutoField(verbose_name="ID", primary_key=True, auto_created=True)
            cls.add_to_class("id", field)
        super()._prepare()  # type: ignore[misc]


class _Spread(models.Model, metaclass=_SpreadBase):
    """What every model whose rows may come from another database than `default` has."""

    objects: ClassVar[ShardedManager[Self]] = ShardedManager()

    placement_kind: ClassVar[Kind]

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **kwargs: Any) -> Self:
        """Make an instance of a row, and note the shard it came from."""
        instance = super().from_db(db, field_names, values, **kwargs)
        if db is not LOGICAL:
            settle(instance._state, db)
            if type(db) is LogicalAlias and db.shard_alias is None:
                note_home_by_key(instance)
            if not hasattr(cls._meta.pk, "carries_bucket"):
                instance._state.shard_pk = instance.pk  # type: ignore[attr-defined]
        return instance

    def save_base(self, *args: Any, **kwargs: Any) -> None:
        """Save, and stay an instance of the logical database."""
        using = kwargs.get("using") or LOGICAL
        primary = conf.get_settings().primary_of.get(using)
        if primary is not None:
            raise ReplicaIsReadOnly(self._meta.label, "save()", using, primary)
        if using != LOGICAL and names_shard(using):
            require_owner(type(self), using, "save()")
        super().save_base(*args, **kwargs)
        settle(self._state, self._state.db)

    save_base.alters_data = True  # type: ignore[attr-defined]

    def delete(
        self,
        using: str | None = None,
        keep_parents: bool = False,  # noqa: FBT001, FBT002 - Django's signature
    ) -> tuple[int, dict[str, int]]:
        """Delete the row, and on every database what its deletion reaches, whichever shard *using* names."""
        if using is not None and names_shard(using) and not is_own_copy(type(self), using):
            require_owner(type(self), using, "delete()")
            owner = found_on(self, placement_of(type(self)))
            if owner not in {None, using}:
                raise WrongShard(self._meta.label, "delete()", using, str(owner))
            using = LOGICAL
        return super().delete(using=using, keep_parents=keep_parents)

    delete.alters_data = True  # type: ignore[attr-defined]


class ShardedModel(_Spread, metaclass=_ShardedBase):
    """A model whose rows are spread over the shards by `shard_key`.

    `shard_key` names one field or a tuple of fields of the model. When it is a foreign key to a sharded model the row
    lives where that row lives. `sharding` says how keys become buckets; `ByHash()` unless given.
    """

    placement_kind: ClassVar[Kind] = Kind.SHARDED
    shard_key: ClassVar[str | tuple[str, ...] | None] = None
    sharding: ClassVar[Sharding | None] = None

    class Meta:
        abstract = True

    @property
    def shard(self) -> ShardId | None:
        """Return the name of the shard that this row lives on, or would if it were saved; None on a plain database."""
        placement = placement_of(type(self))
        if placement.kind is not Kind.SHARDED:
            return None
        alias = shard_alias_of(self) or home_of(self, placement, "shard")
        return conf.get_settings().topology.by_primary[alias].name

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Load the row again; one whose primary key does not say its shard may have been made anew on another."""
        try:
            super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)
        except self.DoesNotExist:
            if not forget_home(self):
                raise
            super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Clean the fields, and say of the shard key what would be refused on saving."""
        errors: dict[str, Any] = {}
        try:
            super().clean_fields(exclude=exclude)
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        problem = key_problem(self, {*(exclude or ()), *errors})
        if problem is not None:
            errors[problem[0]] = problem[1]
        if errors:
            raise ValidationError(errors)

    def _save_table(  # noqa: PLR0917 - Django's signature
        self,
        raw: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        cls: type[models.Model] | None = None,
        force_insert: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        force_update: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> Any:
        placement = placement_of(cls or type(self))
        is_ours = using == LOGICAL or using in conf.get_settings().topology.by_primary
        logical = connections[LOGICAL]
        if placement.kind is not Kind.SHARDED or not is_ours or not isinstance(logical, JoinedTransactions):
            return super()._save_table(raw, cls, force_insert, force_update, using, update_fields)  # type: ignore[misc]
        is_new = has_no_pk(self, placement) and not force_update and not update_fields
        numbered = give_id(self, placement) if is_new else None
        try:
            alias = numbered or self._choose_shard(placement, update_fields, is_new=is_new)
            if using not in {LOGICAL, alias}:
                raise WrongShard(placement.model._meta.label, "save()", str(using), alias)
            logical.use(alias, (placement.model._meta.db_table,))
            announce(placement.model, by_key(alias), "save")
            if not is_new and not force_insert and (self._state.adding or stands_for_another(self)):
                require_known(self, placement, alias)
            planned = LOGICAL if read_rows(self) else alias
            saved = super()._save_table(  # type: ignore[misc]
                raw, cls, force_insert or numbered is not None, force_update, planned, update_fields
            )
        except Error:
            if numbered is not None:  # when the caller tries again, the key may be another
                setattr(self, placement.model._meta.pk.attname, None)
            raise
        note_home(self, alias)
        return saved

    def _do_insert(
        self,
        manager: Any,
        using: str | None,
        fields: Collection[Any],
        returning_fields: Sequence[Any],
        raw: bool,  # noqa: FBT001 - Django's signature
    ) -> Any:
        """Insert the row, and ask for nothing back when only the primary key would come, which is known."""
        if len(returning_fields) == 1 and returning_fields[0].primary_key and returning_fields[0] in fields:
            returning_fields = ()
        return super()._do_insert(manager, using, fields, returning_fields, raw)  # type: ignore[misc]

    def _choose_shard(self, placement: ModelPlacement, update_fields: Iterable[str] | None, *, is_new: bool) -> Alias:
        lives_on = shard_alias_of(self)
        if lives_on is not None and not is_new and stays_put(self, placement, update_fields):
            return lives_on
        return (home_of if is_new else home_of_saved)(self, placement, "save()")


class ReferenceModel(_Spread):
    """A model of which every database has a full copy: joins with it stay local, writes go to all copies at once."""

    placement_kind: ClassVar[Kind] = Kind.REFERENCE

    class Meta:
        abstract = True


class PlacedModel(_Spread):
    """A model whose table lives on one other database, named by `database` (a key of DATABASES)."""

    placement_kind: ClassVar[Kind] = Kind.PLACED
    database: ClassVar[str] = LOGICAL

    class Meta:
        abstract = True


#: The classes that a developer subclasses.
BASES: Final = (ShardedModel, ReferenceModel, PlacedModel)
