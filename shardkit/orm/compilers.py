"""How does a statement on the logical database run on the databases that its plan names?

The logical connection hands out these compilers in place of its vendor's own. Each plans its query and then lets
untouched compilers run on the chosen databases.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, assert_never

from django.core.exceptions import EmptyResultSet

from shardkit.orm._django import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE
from shardkit.orm.aliases import tag
from shardkit.orm.planning import plan_of, refuse
from shardkit.orm.writers import DeletePlanner, InsertPlanner, UpdatePlanner
from shardkit.routing.expressions import has_aggregate
from shardkit.routing.narrowing import Narrowing
from shardkit.routing.plan import Gather, Local, Merge, Refuse, Single
from shardkit.routing.transactions import join
from shardkit.signals import announce

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from shardkit.topology.names import Alias


class SelectPlanner:
    """Run a SELECT by its plan (a mixin over the vendor's `SQLCompiler`)."""

    if TYPE_CHECKING:
        query: Any
        connection: Any
        using: str | None
        elide_empty: bool
        as_sql: Any

    def execute_sql(
        self,
        result_type: str = MULTI,
        chunked_fetch: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        """Run the statement where its plan says, and answer as Django's own method does."""
        plan = plan_of(self)
        announce(self.query.model, plan, "select")
        match plan:
            case Local():
                return super().execute_sql(result_type, chunked_fetch, chunk_size)  # type: ignore[misc]
            case Single(alias):
                tag(self.using, alias)
                return self._part(self.query, alias, result_type, chunked_fetch, chunk_size)
            case Merge(aliases, why):
                reason = self._why_merge(result_type)
                if reason is not None and self._matches_nothing():
                    return super().execute_sql(result_type, chunked_fetch, chunk_size)  # type: ignore[misc]
                if reason is not None:
                    refuse(Merge(aliases, f"{reason} and {why}"), self.query.model, "reading")
                return self._concatenated(aliases, result_type, chunked_fetch, chunk_size)
            case Gather() | Refuse():
                if self._matches_nothing():
                    return super().execute_sql(result_type, chunked_fetch, chunk_size)  # type: ignore[misc]
                refuse(plan, self.query.model, "reading")
            case _:
                assert_never(plan)

    def _matches_nothing(self) -> bool:
        """Say whether the statement answers itself, without a database: ``filter(pk__in=[])`` does."""
        try:
            self.as_sql()
        except EmptyResultSet:
            return True
        return False

    def _part(self, query: Any, alias: Alias, *how: Any) -> Any:
        """Run *query* on *alias* and describe its rows as if this compiler had run it."""
        join(alias)
        compiler = query.get_compiler(alias, elide_empty=self.elide_empty)
        result = compiler.execute_sql(*how)
        for name in ("select", "klass_info", "annotation_col_map", "col_count"):
            setattr(self, name, getattr(compiler, name, None))
        return result

    def _why_merge(self, result_type: str) -> str | None:
        """Say why the shards' answers cannot just be put one after another, None when they can."""
        query = self.query
        if has_aggregate(query):
            return "it counts, aggregates or groups rows"
        if query.low_mark > 0:
            return "it has an offset"
        setup = query.clone().get_compiler(connection=self.connection, elide_empty=self.elide_empty)
        _, order_by, _ = setup.pre_sql_setup()
        if order_by:
            return "it orders rows"
        if query.distinct and result_type != SINGLE:
            return "it asks for distinct rows"
        return None if result_type in {MULTI, SINGLE} else "its result is not rows"

    def _concatenated(self, aliases: tuple[Alias, ...], result_type: str, *how: Any) -> Any:
        """Put the shards' answers one after another: where no order is asked for, that is one database's answer."""
        queries = Narrowing(self.query)
        if result_type == SINGLE:
            found = (self._part(queries.on(alias), alias, result_type, *how) for alias in aliases)
            return next((row for row in found if row is not None), None)
        first = self._part(queries.on(aliases[0]), aliases[0], MULTI, *how)
        rest = (self._part(queries.on(alias), alias, MULTI, *how) for alias in aliases[1:])
        return self._chunks(zip(aliases, chain((first,), rest), strict=True))

    def _chunks(self, parts: Iterator[tuple[Alias, Any]]) -> Iterator[Any]:
        """Yield the shards' chunks of rows until the limit of the query is reached, each tagged with its shard."""
        left: int | None = self.query.high_mark
        for alias, part in parts:
            for chunk in part:
                tag(self.using, alias)
                yield chunk if left is None else chunk[:left]
                left = None if left is None else left - len(chunk[:left])
            if left == 0:
                return


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
    made = {name: type(name, (planner, getattr(base, name)), {}) for name, planner in _PLANNERS.items()}
    return SimpleNamespace(**made)
