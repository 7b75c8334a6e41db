"""How do INSERT, UPDATE and DELETE on the logical database reach the rows?

Rows that Django writes without asking a queryset come through here: cascades, many-to-many tables, third-party apps,
updates and deletes over several shards. Whatever touches more than one database does so in one transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models.constants import OnConflict

from shardkit.budgets import spend
from shardkit.errors import CrossShardQuery, ShardKeyImmutable
from shardkit.orm._django import ROW_COUNT, SINGLE
from shardkit.orm.copies import freeze, insert_copies, update_copies
from shardkit.orm.explaining import tell
from shardkit.orm.gathering.writes import asks_for_parents, write_gathered
from shardkit.orm.moments import at_one_moment
from shardkit.orm.placing import BY_KEY, give_id, home_of, key_of, note_home, require_upsert_on_one_shard
from shardkit.orm.planning import Gather, Local, Merge, Refuse, Single, as_select, plan_of_write, refuse
from shardkit.orm.values import require_readable
from shardkit.routing import owners
from shardkit.routing.data_migrations import migrated_alias
from shardkit.routing.narrowing import Narrowing
from shardkit.routing.registry import Kind, ModelPlacement, placement_of, placement_of_rows
from shardkit.routing.transactions import join
from shardkit.signals import announce
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shardkit.topology.names import Alias


class _Planner:
    """What the three kinds of write have in common."""

    if TYPE_CHECKING:
        query: Any
        connection: Any
        using: str | None
        elide_empty: bool

    def _begin(self) -> ModelPlacement:
        """Return where the model's rows live; what is written here may fail at COMMIT as on any shard.

        In the migration of `default` its copy of a reference model is a table like any other.
        """
        placement = placement_of_rows(self.query.get_meta().model)
        if migrated_alias() == LOGICAL and placement.kind is Kind.REFERENCE:
            placement = replace(placement, kind=Kind.GLOBAL)
        if placement.kind in {Kind.GLOBAL, Kind.REFERENCE}:
            join(LOGICAL, (placement.model._meta.db_table,))
        return placement

    def _on(self, alias: Alias, query: Any = None) -> Any:
        """Return an untouched compiler of *query*, or of this one, on *alias*, which takes part in the transaction."""
        statement = self.query if query is None else query
        join(alias, (statement.get_meta().db_table,))
        return statement.get_compiler(alias, elide_empty=self.elide_empty)

    def _on_each(self, targets: tuple[Alias, ...], run: Callable[[Any], Any]) -> list[Any]:
        """Let *run* execute a copy of this statement on each of *targets*, in one transaction if there are several."""
        if len(targets) == 1:
            return [run(self._on(targets[0], self.query.clone()))]
        with transaction.atomic(using=LOGICAL, savepoint=False):
            queries = Narrowing(self.query)
            return [run(self._on(alias, queries.on(alias))) for alias in targets]

    def _targets(self, placement: ModelPlacement, operation: str) -> tuple[Alias, ...] | None:
        """Return the databases that hold the rows this UPDATE or DELETE writes; None if these have to be read first."""
        plan = plan_of_write(self)
        is_copied = placement.kind is Kind.REFERENCE
        if is_copied and isinstance(plan, Local):
            plan = Merge((LOGICAL, *owners.all_copies()), "each keeps a copy")
            tell(self, placement.model, plan, operation)
            return plan.aliases
        tell(self, placement.model, plan, operation)
        targets: tuple[Alias, ...] | None = None
        match plan:
            case Local():
                targets = (LOGICAL,)
            case Single(alias):
                targets = (alias,)
            case Merge(aliases):
                spend(plan, placement.model, operation)
                targets = aliases
            case Gather():
                pass
            case Refuse():
                refuse(plan, placement.model, f"{operation}()")
        return None if is_copied or asks_for_parents(self.query) else targets

    def _gathered(self, write: Callable[[Any], Any]) -> list[Any]:
        """Let *write* run, by a compiler of each, the statements that write the rows that a gather finds."""
        return write_gathered(self.query, lambda query: write(query.get_compiler(LOGICAL)))


class InsertPlanner(_Planner):
    """Insert each row where it belongs (a mixin over the vendor's `SQLInsertCompiler`)."""

    def execute_sql(self, returning_fields: Any = None) -> Any:
        """Insert, and return the columns asked for in the order of the objects."""
        placement = self._begin()
        _require_own_table(self.query.get_meta(), placement)
        match placement.kind:
            case Kind.GLOBAL:
                announce(placement.model, Local(), "insert")
                return super().execute_sql(returning_fields)  # type: ignore[misc]
            case Kind.PLACED:
                announce(placement.model, Single(placement.alias, "its table is placed there"), "insert")
                return self._on(placement.alias).execute_sql(returning_fields)
            case Kind.REFERENCE:
                tell(self, placement.model, Merge((LOGICAL, *owners.all_copies()), "each keeps a copy"), "insert")
                with transaction.atomic(using=LOGICAL, savepoint=False):
                    freeze(self.query)
                    rows = super().execute_sql(returning_fields)  # type: ignore[misc]
                    insert_copies(self.query, rows, returning_fields)
                return rows
            case Kind.SHARDED:
                return self._insert_sharded(placement, returning_fields)

    def _insert_sharded(self, placement: ModelPlacement, returning_fields: Any) -> Any:
        objects = list(self.query.objs)
        if self.query.on_conflict is OnConflict.UPDATE:
            named = (self.query.update_fields, self.query.unique_fields)
            updated, unique = ([field.column for field in fields or ()] for fields in named)
            require_upsert_on_one_shard(placement, updated, unique, "bulk_create(update_conflicts=True)")
        fields = self._number(objects, placement)
        groups: dict[Alias, list[int]] = {}
        for position, instance in enumerate(objects):
            alias = home_of(instance, placement, "insert")
            groups.setdefault(alias, []).append(position)
        if len(groups) == 1:
            return self._insert_group(next(iter(groups)), objects, fields, returning_fields)
        returned: list[Any] = [None] * len(objects)
        with transaction.atomic(using=LOGICAL, savepoint=False):
            for alias, positions in groups.items():
                group = [objects[position] for position in positions]
                rows = self._insert_group(alias, group, fields, returning_fields)
                for position, row in zip(positions, rows, strict=False):
                    returned[position] = row
        return [row for row in returned if row is not None]

    def _number(self, objects: list[Any], placement: ModelPlacement) -> list[Any]:
        """Give every object an id, since a shard must not number its rows, and return the fields to insert."""
        fields = list(self.query.fields)
        pk = placement.model._meta.auto_field
        if pk is None or pk in fields:
            return fields
        for instance in objects:
            give_id(instance, placement)
        return [pk, *fields]

    def _insert_group(self, alias: Alias, objects: list[Any], fields: list[Any], returning_fields: Any) -> Any:
        require_readable(self.query.get_meta().model, objects, alias, "insert")
        announce(self.query.get_meta().model, Single(alias, BY_KEY), "insert")
        query = self.query.clone()
        query.objs, query.fields, query.raw = objects, fields, self.query.raw
        rows = self._on(alias, query).execute_sql(returning_fields)
        for instance in objects:
            note_home(instance, alias)
        return rows


def _require_own_table(options: Any, placement: ModelPlacement) -> None:
    """Refuse to insert by a model over the table of another one, which alone says where a new row belongs."""
    if placement.kind in {Kind.SHARDED, Kind.REFERENCE} and placement_of(options.model).kind is Kind.GLOBAL:
        label = placement.model._meta.label
        why = f"its table is that of {label}, which says where each row belongs"
        raise CrossShardQuery(f"{options.label}: insert", "the place of a new row", why, f"Create a {label}.")


class UpdatePlanner(_Planner):
    """Update the rows where they are (a mixin over the vendor's `SQLUpdateCompiler`)."""

    def execute_sql(self, result_type: str) -> Any:
        """Update, and return how many rows matched."""
        placement = self._begin()
        targets = self._checked_targets(placement)
        self._stop_clocks(targets)
        if targets is None:
            return _summed(self._gathered(lambda compiler: compiler.execute_sql(result_type)))
        if placement.kind is Kind.REFERENCE:
            return update_copies(self, lambda: super(UpdatePlanner, self).execute_sql(result_type))  # type: ignore[misc]
        if targets == (LOGICAL,):
            return super().execute_sql(result_type)  # type: ignore[misc]
        return _summed(self._on_each(targets, lambda compiler: compiler.execute_sql(result_type)))

    def execute_returning_sql(self, returning_fields: Any) -> Any:
        """Update, and return the columns asked for of every row that matched."""
        placement = self._begin()
        targets = self._checked_targets(placement)
        self._stop_clocks(targets)
        if targets is None:
            parts = self._gathered(lambda compiler: compiler.execute_returning_sql(returning_fields))
            return [row for part in parts for row in part]
        if placement.kind is Kind.REFERENCE:
            own = super().execute_returning_sql  # type: ignore[misc]
            return update_copies(self, lambda: own(returning_fields), nothing=[])
        if targets == (LOGICAL,):
            return super().execute_returning_sql(returning_fields)  # type: ignore[misc]
        parts = self._on_each(targets, lambda compiler: compiler.execute_returning_sql(returning_fields))
        return [row for part in parts for row in part]

    def _checked_targets(self, placement: ModelPlacement) -> tuple[Alias, ...] | None:
        if placement.kind is Kind.GLOBAL and self._reads_nothing_else():
            return (LOGICAL,)
        targets = self._targets(placement, "update")
        if placement.kind is Kind.SHARDED and targets is not None:
            for owner, field, value in _written(self.query):
                if _may_move(owner, field, value, targets) and self._changes(field, value, targets):
                    name = owner.key_label if field.column in key_of(owner).columns else field.name
                    raise ShardKeyImmutable(owner.model._meta.label, "update()", name, ", ".join(targets))
        return targets

    def _stop_clocks(self, targets: tuple[Alias, ...] | None) -> None:
        """Let several statements, on several databases or of a gather, write one time."""
        if targets is None or len(targets) > 1:
            self.query = at_one_moment(self.query)

    def _changes(self, field: Any, value: Any, targets: tuple[Alias, ...]) -> bool:
        """Say whether any row has another *value* in *field* than it would get: related managers write it again."""
        if hasattr(value, "resolve_expression"):
            return True
        rows = as_select(self.query)
        rows.add_q(~models.Q(**{field.name: value}))
        rows.set_limits(high=1)
        return any(self._on(alias, rows.clone()).execute_sql(SINGLE) for alias in targets)

    def _reads_nothing_else(self) -> bool:
        """Say at a glance that only the model's own table can matter: all rows, and values that are values."""
        query = self.query
        return (
            not query.where
            and not query.related_updates
            and not any(hasattr(value, "resolve_expression") for _, _, value in query.values)
        )


def _written(query: Any) -> Iterator[tuple[ModelPlacement, Any, Any]]:
    """Yield what an UPDATE writes to its own table and to those of multi-table parents: (table, field, value)."""
    model = query.get_meta().model
    for owner, values in ((model, query.values), *query.related_updates.items()):
        for field, _, value in values:
            yield placement_of_rows(owner), field, value


def _may_move(placement: ModelPlacement, field: Any, value: Any, targets: tuple[Alias, ...]) -> bool:
    """Say whether *value* in the column of *field* could say another place than the row has.

    Within one shard a key may change, but not where an id carries the bucket of the old one.
    """
    locators = (key_of(placement), *placement.locators)
    if not any(field.column in locator.columns for locator in locators):
        return False
    key = key_of(placement)
    carried = any(locator != key for locator in placement.locators)
    if carried or len(key.columns) > 1 or hasattr(value, "resolve_expression"):
        return True
    raw = value.pk if isinstance(value, models.Model) else value
    return targets != (owners.find(key, (field.get_prep_value(raw),)),)


class DeletePlanner(_Planner):
    """Delete the rows where they are (a mixin over the vendor's `SQLDeleteCompiler`)."""

    def execute_sql(self, result_type: str = ROW_COUNT, *how: Any) -> Any:
        """Delete, and return how many rows matched."""
        placement = self._begin()
        targets = self._targets(placement, "delete")
        if targets is None:
            return _summed(self._gathered(lambda compiler: compiler.execute_sql(result_type, *how)))
        if placement.kind is Kind.REFERENCE:
            return update_copies(self, lambda: super(DeletePlanner, self).execute_sql(result_type, *how))  # type: ignore[misc]
        if targets == (LOGICAL,):
            return super().execute_sql(result_type, *how)  # type: ignore[misc]
        return _summed(self._on_each(targets, lambda compiler: compiler.execute_sql(result_type, *how)))


def _summed(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)
