"""Which database does this queryset go to?

`ShardedQuerySet.db` names the one shard that can answer, when that is seen at a glance, and Django goes on as if it
had been written with `.using()`. Everything else stays on `default`, where the compilers plan it. Nothing depends on
the glance for being right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections, models, transaction

from shardkit import conf
from shardkit.errors import CrossShardQuery, MixedDatabases, ReplicaIsReadOnly, ShardKeyImmutable, WrongShard
from shardkit.orm.aliases import LogicalAlias, ReadAlias, is_routing, names_shard
from shardkit.orm.explaining import in_words, reading_from
from shardkit.orm.numbering import homes_of_new
from shardkit.orm.paging.cursors import CursorPage, page_of
from shardkit.orm.placing import (
    BY_KEY,
    forget_home,
    found_on,
    home_of_saved,
    note_home,
    require_owner,
    require_upsert_on_one_shard,
)
from shardkit.orm.planning import plan_of
from shardkit.orm.values import ask_clock, read_rows, require_readable
from shardkit.orm.wishes import WishingQuerySet
from shardkit.routing import registry
from shardkit.routing.data_migrations import is_own_copy
from shardkit.routing.plan import Local, Plan, Single
from shardkit.routing.registry import Kind, placement_of
from shardkit.routing.shortcut import at_a_glance, pinned, shortcut
from shardkit.routing.texts import tables_in_text
from shardkit.routing.transactions import JoinedTransactions, join
from shardkit.signals import announce, query_planned
from shardkit.topology.names import LOGICAL, Alias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_M = TypeVar("_M", bound=models.Model)
#: What may follow the objects in Django's `bulk_create()`, in this order.
BULK_CREATE_OPTIONS: Final = ("batch_size", "ignore_conflicts", "update_conflicts", "update_fields", "unique_fields")


class ShardedQuerySet(WishingQuerySet[_M]):
    """A queryset that goes straight to the shard that its conditions name."""

    if TYPE_CHECKING:
        _db: str | None
        _for_write: bool
        _hints: dict[str, Any]

    #: Whether the conditions alone say what the statement will read.
    _is_complete = True

    @property
    def db(self) -> str:
        """The alias to run on: a shard when only one can answer, else the logical database."""
        alias: str = super().db
        if alias != LOGICAL:
            self._use_named(alias)
            return alias
        logical = connections[LOGICAL]
        if not isinstance(logical, JoinedTransactions):
            return alias
        is_read = type(alias) is ReadAlias
        if not self._for_write and self._is_complete:
            found = shortcut(self.query, self._hints)
            if found is not None:
                if is_read and found in conf.get_settings().replicas:
                    return LogicalAlias(is_read=True, plan=at_a_glance(found, placement_of(self.model).kind))
                logical.use(found)
                if query_planned.receivers:
                    announce(self.model, at_a_glance(found, placement_of(self.model).kind), "select")
                return found
        return LogicalAlias(is_read=is_read)

    def route(self) -> Plan:
        """Return the plan of this query, which says on which databases it runs and why; nothing is run."""
        if self._db is not None and self._db != LOGICAL:
            return Single(Alias(self._db), "using() names it")
        if not is_routing():
            return Local("there is one database")
        compiler = self.query.get_compiler(using=LOGICAL)
        plan = in_words(plan_of(compiler), compiler)
        return reading_from(plan, self.query, is_read=self._db is None)

    def cursor_page(
        self, *, size: int, cursor: str | None = None, after: str | _M | None = None, before: str | _M | None = None
    ) -> CursorPage[Any]:
        """Return a page of *size* rows: the first one, that of a *cursor*, or the one next to a row or its cursor."""
        return page_of(self, size=size, cursor=cursor, after=after, before=before)

    async def acursor_page(
        self, *, size: int, cursor: str | None = None, after: str | _M | None = None, before: str | _M | None = None
    ) -> CursorPage[Any]:
        """Do as `cursor_page` does."""
        return await sync_to_async(self.cursor_page)(size=size, cursor=cursor, after=after, before=before)

    def _use_named(self, alias: str) -> None:
        """Take a shard that `.using()` named into the transaction, and refuse it for rows that it cannot have."""
        logical, settings = connections[LOGICAL], conf.get_settings()
        operation = f"objects.using({alias!r})"
        if self._for_write and alias in settings.primary_of:
            raise ReplicaIsReadOnly(self.model._meta.label, operation, alias, settings.primary_of[Alias(alias)])
        if alias not in settings.topology.by_primary or not isinstance(logical, JoinedTransactions):
            return
        if self._for_write or placement_of(self.model).kind is Kind.PLACED:
            require_owner(self.model, alias, operation)
        owners = pinned(self.query, alias)
        if owners and alias not in owners:
            raise WrongShard(self.model._meta.label, operation, alias, ", ".join(sorted(owners)))
        logical.use(Alias(alias))

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        """Become a subquery. One of the logical database runs wherever the whole statement is planned to run."""
        query = super().resolve_expression(*args, **kwargs)
        if query._db == LOGICAL:
            query._db = None
        return query

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Aggregate where the compilers say, since the expressions may read tables that the conditions do not name."""
        clone: Self = self._chain()  # type: ignore[attr-defined]
        clone._is_complete = False
        return super(ShardedQuerySet, clone).aggregate(*args, **kwargs)

    # Combining: Django takes the database of the left side and forgets the other.

    def __and__(self, other: Any) -> Self:
        self._require_same_database(other, "&")
        return super().__and__(other)

    def __or__(self, other: Any) -> Self:
        self._require_same_database(other, "|")
        return super().__or__(other)

    def __xor__(self, other: Any) -> Self:
        self._require_same_database(other, "^")
        return super().__xor__(other)

    def _combinator_query(self, combinator: str, *others: Any, **kwargs: Any) -> Self:
        for other in others:
            self._require_same_database(other, f"{combinator}()")
        combined: Self = super()._combinator_query(combinator, *others, **kwargs)  # type: ignore[misc]
        return combined

    def _require_same_database(self, other: Any, operation: str) -> None:
        left, right = self._db or LOGICAL, getattr(other, "_db", None) or LOGICAL
        if left != right:
            raise MixedDatabases(self.model._meta.label, operation, left, right)

    # Writing many rows: sorted by shard first, so that each shard gets whole batches.

    def bulk_create(self, objs: Iterable[_M], *args: Any, **kwargs: Any) -> list[_M]:
        """Insert *objs*, each on its shard, in one transaction; see Django's `bulk_create()`."""
        placement = placement_of(self.model)
        inherits = self.model._meta.concrete_model._meta.parents  # type: ignore[union-attr]
        if placement.kind is not Kind.SHARDED or not self._is_ours() or inherits:
            return super().bulk_create(objs, *args, **kwargs)
        created = list(objs)
        names = dict(zip(BULK_CREATE_OPTIONS, args, strict=False)) | kwargs
        updated, unique = (_columns(self.model, names.get(option)) for option in ("update_fields", "unique_fields"))
        require_upsert_on_one_shard(placement, updated, unique, "bulk_create(update_conflicts=True)")
        groups = self._by_home(created, placement)
        with transaction.atomic(using=LOGICAL, savepoint=False):
            for alias, group in groups.items():
                require_readable(self.model, group, alias, "bulk_create()")
                join(alias, (self.model._meta.db_table,))
                announce(self.model, Single(alias, BY_KEY), "insert")
                # Django's own queryset, which asks itself for its database at every row.
                rows: models.QuerySet[_M] = models.QuerySet(self.model, using=alias)
                rows.bulk_create(group, *args, **kwargs)
                for instance in group:
                    instance._state.db = LOGICAL
                    note_home(instance, alias)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def _by_home(self, created: Sequence[_M], placement: registry.ModelPlacement) -> dict[Alias, list[_M]]:
        groups: dict[Alias, list[_M]] = {}
        named = None if self._db == LOGICAL else self._db
        for instance, alias in zip(created, homes_of_new(created, placement), strict=True):
            if named is not None and named != alias:
                raise WrongShard(self.model._meta.label, "bulk_create()", named, alias)
            groups.setdefault(alias, []).append(instance)
        return groups

    def bulk_update(self, objs: Iterable[_M], fields: Iterable[str], batch_size: int | None = None) -> int:
        """Update *fields* of *objs*, each on its shard, in one transaction; see Django's `bulk_update()`."""
        placement = placement_of(self.model)
        changed, names = tuple(objs), list(fields)
        groups = self._by_place(changed, names, placement) if placement.kind is Kind.SHARDED else None
        if groups is None:
            return super().bulk_update(changed, names, batch_size=batch_size)
        with transaction.atomic(using=LOGICAL, savepoint=False):
            count = 0
            for alias, group in groups.items():
                owners = pinned(self.query, alias)
                if owners and alias not in owners:
                    continue  # the conditions of this queryset leave those rows out
                join(alias, (self.model._meta.db_table,))
                announce(self.model, Single(alias, BY_KEY), "update")
                found = super(ShardedQuerySet, self.using(alias)).bulk_update(group, names, batch_size=batch_size)
                moved = self._not_on(alias, group) if found < len(group) else []
                count += found + super().bulk_update(moved, names, batch_size=batch_size)
        return count

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def _not_on(self, alias: Alias, group: Sequence[_M]) -> list[_M]:
        """Return those of *group* that were seen on *alias*, are not there, and may have been made anew elsewhere."""
        there = set(self.using(alias).filter(pk__in=[one.pk for one in group]).values_list("pk", flat=True))
        return [one for one in group if one.pk not in there and forget_home(one)]

    def _by_place(
        self, changed: Collection[_M], names: Sequence[str], placement: registry.ModelPlacement
    ) -> dict[Alias, list[_M]] | None:
        """Sort *changed* by the shards of their rows; None leaves refusing to Django or finding to the planner."""
        if not self._is_ours() or any(instance.pk is None for instance in changed):
            return None
        needs_plan = any(map(read_rows, changed)) or any(map(ask_clock, changed))
        found = [found_on(instance, placement) for instance in changed]
        if self._names_key(names):
            for instance, alias in zip(changed, found, strict=True):
                if alias is None or home_of_saved(instance, placement, "bulk_update()") != alias:
                    self._refuse_key(names, "bulk_update()")
        groups: dict[Alias, list[_M]] = {}
        for instance, alias in zip(changed, found, strict=True):
            if alias is None or needs_plan:
                return None
            if self._db not in {None, LOGICAL, alias}:
                raise WrongShard(self.model._meta.label, "bulk_update()", str(self._db), alias)
            groups.setdefault(alias, []).append(instance)
        return groups

    def update(self, **kwargs: Any) -> int:
        """Update the matching rows; the shard key of a row cannot be changed this way."""
        if self._db not in {None, LOGICAL} and self._is_ours():
            self._refuse_key(kwargs, "update()")
        return super().update(**kwargs)

    update.alters_data = True  # type: ignore[attr-defined]

    def _update(self, values: Any, *args: Any, **kwargs: Any) -> Any:
        """Update where the compilers say, since the values may read rows that the conditions do not name."""
        self._for_write = True
        return super()._update(values, *args, **kwargs)  # type: ignore[misc]

    _update.alters_data = True  # type: ignore[attr-defined]
    _update.queryset_only = False  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the matching rows, and on every database what their deletion reaches, whichever shard was named."""
        query = self.query
        refused = query.is_sliced or query.combinator or query.distinct_fields or self._fields is not None  # type: ignore[attr-defined]
        if refused or not names_shard(self._db) or is_own_copy(self.model, self._db):
            return super().delete()
        require_owner(self.model, str(self._db), f"objects.using({self._db!r})")
        chosen = list(self.order_by().values_list("pk", flat=True))
        return type(self)(self.model, using=LOGICAL).filter(pk__in=chosen).delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def _names_key(self, names: Iterable[str]) -> bool:
        placement = placement_of(self.model)
        attnames = placement.key.attnames if placement.key is not None else ()
        return placement.kind is Kind.SHARDED and bool(set(names) & {*placement.key_names, *attnames})

    def _refuse_key(self, names: Iterable[str], operation: str) -> None:
        if self._names_key(names):
            label = placement_of(self.model).key_label
            raise ShardKeyImmutable(self.model._meta.label, operation, label, "its shard")

    def _is_ours(self) -> bool:
        """Say whether this queryset writes to the logical database or to a shard, and not to some other database."""
        named = self._db
        return is_routing() and (named is None or named == LOGICAL or named in conf.get_settings().topology.by_primary)

    def raw(
        self, raw_query: Any, params: Any = (), translations: Any = None, using: str | None = None
    ) -> models.query.RawQuerySet[Any]:
        """Run SQL as it stands, where the tables that it names are; those of several shards need ``using=``."""
        alias = using or self._db
        if alias in {None, LOGICAL} and is_routing():
            alias = self._database_of(str(raw_query))
        return super().raw(raw_query, params=params, translations=translations, using=alias)

    def _database_of(self, sql: str) -> str:
        named = [*tables_in_text(sql), placement_of(self.model)]
        aliases = {placement.alias for placement in named if placement.kind is Kind.PLACED}
        if any(placement.kind is Kind.SHARDED for placement in named):
            self._refuse_raw("all shards", "it names a sharded table")
        if len(aliases) > 1 or (aliases and any(placement.kind is not Kind.PLACED for placement in named)):
            self._refuse_raw("several databases", "its tables live on different databases")
        return next(iter(aliases), LOGICAL)

    def _refuse_raw(self, plan: str, why: str) -> NoReturn:
        raise CrossShardQuery(
            f"{self.model._meta.label}.objects.raw()",
            plan,
            why,
            "Name the database with using=, or write it with the ORM.",
        )


def _columns(model: type[models.Model], names: Iterable[str] | None) -> list[str]:
    """Return the columns of the fields *names*; Django itself says which do not exist."""
    options = model._meta
    known = {name: [field] for field in options.concrete_fields for name in (field.name, field.attname)}
    known["pk"] = list(options.pk_fields)
    return [str(field.column) for name in names or () for field in known.get(name, ())]


_Manager = models.Manager.from_queryset(ShardedQuerySet)


_Manager = models.Manager.from_queryset(ShardedQuerySet)


class ShardedManager(_Manager[_M]):
    """The default manager of sharded, reference and placed models."""


class ReplicaManager(ShardedManager[_M]):
    """A manager whose querysets read replicas that are at most *max_lag* seconds behind.

    ``recent = ReplicaManager(max_lag=1)``; what it does when none is, *when_stale* and *wait* say as in `replica()`.
    """

    def __init__(
        self, *, max_lag: float | None = None, when_stale: str | None = None, wait: float | None = None
    ) -> None:
        super().__init__()
        self.max_lag, self.when_stale, self.wait = max_lag, when_stale, wait

    def get_queryset(self) -> ShardedQuerySet[_M]:
        """Return a queryset that reads a replica that is fresh enough."""
        queryset: ShardedQuerySet[_M] = super().get_queryset()  # type: ignore[assignment]
        return queryset.replica(max_lag=self.max_lag, when_stale=self.when_stale, wait=self.wait)
