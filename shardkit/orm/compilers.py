"""How does a statement on the logical database run on the databases that its plan names?

The logical connection hands out these compilers in place of its vendor's own. Each plans its query and then lets
untouched compilers run on the chosen databases.
"""

from __future__ import annotations

from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connections

from shardkit import conf
from shardkit.budgets import spend
from shardkit.consistency.reading import Reading, reading_by
from shardkit.orm import attempts
from shardkit.orm._django import GET_ITERATOR_CHUNK_SIZE, MULTI
from shardkit.orm.aliases import LogicalAlias, is_read, tag
from shardkit.orm.distinct_groups import compiler_of
from shardkit.orm.explaining import explained, tell
from shardkit.orm.gathering import coordinator, gather
from shardkit.orm.merging import groups as merge_groups
from shardkit.orm.merging import rows as merge_rows
from shardkit.orm.parts import are_alike
from shardkit.orm.planning import plan_of, refuse, select_of
from shardkit.orm.wishes import wish_of
from shardkit.orm.writers import DeletePlanner, InsertPlanner, UpdatePlanner
from shardkit.routing import shapes
from shardkit.routing.plan import Gather, Local, Merge, Recipe, Refuse, Single
from shardkit.routing.registry import Kind
from shardkit.routing.shortcut import at_a_glance
from shardkit.routing.transactions import join
from shardkit.signals import announce_reads
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from shardkit.routing.plan import Plan
    from shardkit.topology.names import Alias


class SelectPlanner:
    """Run a SELECT by its plan (a mixin over the vendor's `SQLCompiler`)."""

    #: The statement, when planning had to look at its text.
    _compiled: tuple[str, Any] | None = None

    if TYPE_CHECKING:
        query: Any
        connection: Any
        using: str | None
        elide_empty: bool
        as_sql: Any
        setup_query: Any

    def execute_sql(
        self,
        result_type: str = MULTI,
        chunked_fetch: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        """Run the statement where its plan says, and answer as Django's own method does."""
        how = (result_type, chunked_fetch, chunk_size)
        try:
            plan = self._plan()
            tell(self, self.query.model, plan, "explain" if self.query.explain_info else "select")
            match plan:
                case Local():
                    return self._on_one(LOGICAL, *how)
                case Single(alias):
                    tag(self.using, alias)
                    return self._on_one(alias, *how)
                case Merge() | Gather() | Refuse():
                    return self._on_several(plan, *how)
        except EmptyResultSet:  # it answers itself, without a database: filter(pk__in=[]) does
            self.setup_query()
            return iter([]) if result_type == MULTI else None

    def explain_query(self) -> Iterator[str]:
        """Yield what the databases say to EXPLAIN, each under its heading if there are several."""
        plan = plan_of(self)
        gathers_elsewhere = isinstance(plan, Gather) and coordinator.coordinator_for(self) is not None
        if isinstance(plan, (Local, Single)) or gathers_elsewhere:
            yield from super().explain_query()  # type: ignore[misc]
        else:
            tell(self, self.query.model, plan, "explain")
            yield from self._read_together(plan, lambda: list(explained(self, plan)))

    def execute_unplanned(self, *how: Any) -> Any:
        """Run the statement on this compiler's connection, whichever that is by now."""
        return super().execute_sql(*how)  # type: ignore[misc]

    def _plan(self) -> Plan:
        """Plan the query; one that names a key by its text, when a statement of that text was planned before."""
        query = self.query
        if type(self.using) is LogicalAlias and self.using.plan is not None:
            return self.using.plan
        if not shapes.may_name_shard(query) or query.select_for_update or query.explain_info:
            return plan_of(self)
        sql, params = self._compiled = self.as_sql()
        alias = shapes.recall(sql, params)
        if alias is not None:
            return at_a_glance(alias, Kind.SHARDED)
        plan = plan_of(self)
        if isinstance(plan, Single):
            shapes.learn(sql, params, lambda: select_of(self), self.connection)
        return plan

    def _on_one(self, alias: Alias, *how: Any) -> Any:
        """Run the statement on the primary *alias*, or on a replica of it; where one fails, elsewhere."""
        reading = self._reading(alias)
        if reading is None:
            self._go_to_primary(alias)
            return self.execute_unplanned(*how)
        run = partial(self._by_reading, reading, alias, *how)
        return attempts.read(reading, run, lambda: self._has_read(reading), is_streamed=_is_streamed(*how))

    def _by_reading(self, reading: Reading, alias: Alias, *how: Any) -> Any:
        connection = reading.connection(alias)
        if connection.alias == alias:
            self._go_to_primary(alias)
        else:
            self._go_to(connection)
        return self.execute_unplanned(*how)

    def _go_to_primary(self, alias: Alias) -> None:
        if alias != LOGICAL:
            join(alias)
            self._go_to(connections[alias])
        elif self.connection.alias != LOGICAL:  # a replica failed
            self._go_to(connections[LOGICAL])

    def _go_to(self, connection: Any) -> None:
        """Run the statement on *connection*, and compile it once where that gives the same text."""
        compiled, logical = self._compiled, self.connection
        # What is closed is not opened to ask for its version: the statement needs its shard alone.
        if compiled is not None and logical.connection is not None and are_alike(logical, connection):
            self.as_sql = lambda: compiled
        else:
            self.__dict__.pop("as_sql", None)
        self.connection = connection

    def _reading(self, *primaries: Alias) -> Reading | None:
        """Return what chooses among replicas; None for what only primaries may answer."""
        replicas = conf.get_settings().replicas
        if not replicas or not any(primary in replicas for primary in primaries):
            return None
        if not is_read(self.using) or self.query.select_for_update:
            return None
        return Reading(wish_of(self.query), LOGICAL_IS_PRIMARY if len(primaries) > 1 else frozenset())

    def _has_read(self, reading: Reading) -> None:
        reading.done()
        announce_reads(self.query.model, reading.choices)

    def _on_several(self, plan: Merge | Gather | Refuse, *how: Any) -> Any:
        spend(plan, self.query.model, "select")
        if isinstance(plan, Gather) and (elsewhere := coordinator.coordinator_for(self)) is not None:
            return coordinator.run(self, elsewhere, plan, *how)
        return self._read_together(plan, lambda: self._together(plan, *how), is_streamed=_is_streamed(*how))

    def _read_together(
        self, plan: Merge | Gather | Refuse, ask: Callable[[], Any], *, is_streamed: bool = False
    ) -> Any:
        """Return what *ask* comes to, which asks the databases of *plan* where they may be read."""
        reading = None if isinstance(plan, Refuse) else self._reading(LOGICAL, *plan.aliases)
        if reading is None:
            return ask()

        def run() -> Any:
            with reading_by(reading):
                return ask()

        return attempts.read(reading, run, lambda: self._has_read(reading), is_streamed=is_streamed)

    def _together(self, plan: Merge | Gather | Refuse, *how: Any) -> Any:
        match plan:
            case Merge(recipe=Recipe.ROWS):
                return merge_rows.execute(self, plan, *how)
            case Merge():
                return merge_groups.execute(self, plan, *how)
            case Gather():
                return gather.execute(self, plan, *how)
            case Refuse():
                self.as_sql()
                refuse(plan, self.query.model, "reading")


def _is_streamed(result_type: str, chunked_fetch: bool, *_: Any) -> bool:  # noqa: FBT001 - what execute_sql() was given
    """Say whether the rows come while the caller takes them."""
    return result_type == MULTI and chunked_fetch


#: A statement over several databases is finished on `default`, whose own rows are read there.
LOGICAL_IS_PRIMARY: Final = frozenset((LOGICAL,))

_PLANNERS: Final = {
    "SQLCompiler": SelectPlanner,
    "SQLAggregateCompiler": SelectPlanner,
    "SQLInsertCompiler": InsertPlanner,
    "SQLUpdateCompiler": UpdatePlanner,
    "SQLDeleteCompiler": DeletePlanner,
}


@cache
def compilers_over(base: ModuleType) -> SimpleNamespace:
    """Return planning subclasses of the compilers in *base*, a backend's compiler module, under the same names."""
    made = {name: type(name, (planner, compiler_of(base, name)), {}) for name, planner in _PLANNERS.items()}
    return SimpleNamespace(**made)
