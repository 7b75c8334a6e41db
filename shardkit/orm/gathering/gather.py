"""How is a statement answered that has to see rows of several databases side by side?

Rows of the sharded tables that it reads are brought to the logical database, where they shadow those tables under the
same names, and Django's own statement runs there, unmodified. What it selects is what one database would select.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.db.models.expressions import ColPairs

from shardkit.catalog.statements import own_statements
from shardkit.orm._django import MULTI
from shardkit.orm.aliases import tag
from shardkit.orm.distinct_groups import compiler_of
from shardkit.orm.gathering.first import keep_first
from shardkit.orm.gathering.lookups import indexes_of
from shardkit.orm.gathering.partners import introduce
from shardkit.orm.gathering.push import occurrences_in
from shardkit.orm.gathering.semi import narrow
from shardkit.orm.gathering.sources import sources
from shardkit.orm.gathering.tables import Statement, column_of, fields_of, require_shadowable
from shardkit.orm.parts import describe_as
from shardkit.orm.planning import complete_parts, require_no_locks, select_of
from shardkit.orm.reaching import reach
from shardkit.routing.graph import levels_of
from shardkit.routing.plan import Gather
from shardkit.shadows import Budget, Shadow, shadowed
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shardkit.routing.plan import Gather
    from shardkit.routing.registry import ModelPlacement


def execute(compiler: Any, plan: Gather, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* over the gathered rows, and answer as Django's own method does.

    All rows of the answer are read before the gathered ones are given up.
    """
    del chunked_fetch
    require_no_locks(compiler.query, plan, "rows that were gathered")
    original = original_of(compiler)
    shadows, expected = shadows_for(original, plan, may_guess=result_type == MULTI)
    result = None if expected is None else _guessed(original, shadows, expected, chunk_size)
    if result is None:
        if expected is not None:
            shadows, _ = shadows_for(original, plan, may_guess=False)
        result = _run(original, shadows, result_type, chunk_size)
    describe_as(compiler, original)
    tag(compiler.using, None)
    return result


def _guessed(original: Any, shadows: Sequence[Shadow], expected: int, chunk_size: int) -> Any:
    """Answer over *shadows* that may lack rows; None unless the *expected* number of rows says that they lack none."""
    limited = original.query
    original.query = limited.clone()
    original.query.clear_limits()
    rows = [row for chunk in _run(original, shadows, MULTI, chunk_size) for row in chunk]
    original.query = limited
    return [rows[limited.low_mark : limited.high_mark]] if len(rows) == expected else None


def original_of(compiler: Any) -> Any:
    """Return the compiler of the same statement that its vendor's backend has, made to find shadows."""
    base = import_module(compiler.connection.ops.compiler_module)
    made = _original(base, compiler.query.compiler)
    return made(_as_combined(compiler.query), compiler.connection, compiler.using, compiler.elide_empty)


def _run(original: Any, shadows: Sequence[Shadow], *how: Any) -> Any:
    for alias in dict.fromkeys(source.alias for shadow in shadows for source in shadow.sources):
        reach(alias)
    result_type, chunk_size = how
    if not original.reads_only_shadows:
        reach(LOGICAL)
    with shadowed(original.connection, shadows, Budget.from_settings()) as found:
        original.shadows = found
        with found.transport.unprepared(), own_statements() if original.reads_only_shadows else nullcontext():
            return original.execute_sql(result_type, chunk_size=chunk_size)


def shadows_for(original: Any, plan: Gather, *, may_guess: bool = True) -> tuple[list[Shadow], int | None]:
    """Return the shadows that the statement of *original* needs.

    If they may lack rows, return also how many rows the statement finds without its limits when they do not; else None.
    """
    original.shadows = None
    statement = _statement(original)
    original.reads_only_shadows = statement.reads_only_shadows()
    placements = statement.sharded()
    for placement in placements:
        require_shadowable(placement, statement.connection, plan.why)
    introduce(statement.occurrences)
    expected = keep_first(statement.occurrences, statement.select, statement.connection, may_guess=may_guess)
    narrow(statement.occurrences, statement.connection)
    return [_shadow(statement, placement) for placement in placements], expected


def _shadow(statement: Statement, placement: ModelPlacement) -> Shadow:
    table, key = placement.model._meta.db_table, placement.model._meta.pk
    fields = statement.needed(table, fields_of(table, placement, statement.select))
    names = [str(field.column) for field in fields]
    return Shadow(
        table,
        tuple(column_of(field, statement.connection) for field in fields),
        tuple(sources(placement, names, statement.known(table))),
        key.column if key.column in names else None,
        tuple(columns for columns in indexes_of(table, statement.occurrences) if set(columns) <= set(names)),
    )


def _statement(original: Any) -> Statement:
    select = select_of(original)
    occurrences = tuple(one for level in levels_of(select) for one in occurrences_in(level))
    sql, _ = original.as_sql()
    return Statement(select, original.connection, sql, occurrences)


def _as_combined(query: Any) -> Any:
    """Let the parts of a combination select what the whole does, as Django does when it compiles them."""
    if not query.combinator or query.selected is None:
        return query
    copied = query.clone()
    complete_parts(copied)  # which are copies too
    return copied


class _Original:
    """Django's own compiler, whose statement finds the shadows (a mixin over the vendor's `SQLCompiler`)."""

    #: None while the statement is compiled for looking at it. That names every column that it may name in the end.
    shadows: Any = None
    #: Whether the statement reads no row of the database on which it runs.
    reads_only_shadows = False

    if TYPE_CHECKING:
        connection: Any
        query: Any

    def as_sql(self, *args: Any, **kwargs: Any) -> tuple[str, Any]:
        """Compile the statement as Django does."""
        has_keys = self.shadows is not None and self.shadows.by != "cte"
        without = [] if has_keys else ["allows_group_by_selected_pks"]
        selected = (*self.query.select, *self.query.annotation_select.values())
        if any(isinstance(column, ColPairs) for column in selected):
            # Django counts its columns as one when it says by which place of those selected to group.
            without.append("allows_group_by_select_index")
        with _without(self.connection, without):
            compiled: tuple[str, Any] = super().as_sql(*args, **kwargs)  # type: ignore[misc]
        return compiled if self.shadows is None else self.shadows.wrap(*compiled)


@cache
def _original(base: Any, name: str) -> Any:
    return type(name, (_Original, compiler_of(base, name)), {})


@contextmanager
def _without(connection: Any, features: Sequence[str]) -> Iterator[None]:
    """Let Django write statements of all levels as if the database had not those *features*.

    Where no primary key makes the others depend on it, every column that is selected is grouped by.
    """
    own = connection.features.__dict__
    known = {name: own[name] for name in features if name in own}
    own.update(dict.fromkeys(features, False))
    try:
        yield
    finally:
        for name in features:
            del own[name]
        own.update(known)
