"""Which plan does this compiler's query get, and what do we say when it cannot run?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.core.exceptions import EmptyResultSet
from django.db.models import ExpressionWrapper, Field

from shardkit.errors import CrossDatabaseQuery, CrossShardQuery
from shardkit.orm._django import Query
from shardkit.routing.analysis import analyse
from shardkit.routing.expressions import nested_in
from shardkit.routing.pins import is_expression
from shardkit.routing.plan import Gather, Local, Merge, Plan, Refuse, Single
from shardkit.routing.registry import Kind, placement_of, placement_of_rows, placement_of_table
from shardkit.routing.selects import dissect, tables
from shardkit.routing.shortcut import at_a_glance, reads_one_table, shortcut
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from django.db.models import Model

    from shardkit.routing.selects import Select

#: Attributes of an UPDATE or a DELETE that a SELECT does not have.
_WRITE_ATTRIBUTES: Final = ("values", "related_updates", "related_ids", "related_ids_index")


def plan_of(compiler: Any) -> Plan:
    """Plan the SELECT of *compiler*."""
    query = compiler.query
    if query.model is not None and reads_one_table(query):
        placement = placement_of_rows(query.model)
        if placement.kind in {Kind.GLOBAL, Kind.REFERENCE}:
            return Local()
        if placement.kind is Kind.PLACED:
            return Single(placement.alias, f"{placement.model._meta.db_table} is placed there")
    return analyse(select_of(compiler))


def select_of(compiler: Any) -> Select:
    """Return the SELECT of *compiler*, dissected."""
    return _dissected(compiler.query, compiler)


def plan_of_write(compiler: Any) -> Plan:
    """Plan an UPDATE or a DELETE by the rows that it selects."""
    query = compiler.query
    if not getattr(query, "related_updates", None) and not any(map(is_expression, _new_values(query))):
        if placement_of_rows(query.get_meta().model).kind is Kind.GLOBAL and reads_one_table(query):
            return Local()
        alias = shortcut(query, {})
        if alias is not None:
            return at_a_glance(alias, placement_of(query.get_meta().model).kind)
    return analyse(_dissected(as_select(query), compiler))


def plan_of_nested(query: Query, compiler: Any) -> tuple[Plan, set[Kind | None]]:
    """Plan a *query* that stands on its own among values, and say which kinds of tables it reads."""
    select = _dissected(query, compiler)
    placements = [placement_of_table(name) for name in tables(select)]
    return analyse(select), {None if found is None else found.kind for found in placements}


def _dissected(query: Query, compiler: Any) -> Select:
    return dissect(query, lambda source: _prepared(source, compiler))


def _prepared(source: Any, compiler: Any) -> Any:
    """Return a compiler of *source* with all its joins: of a copy in which Django has made those that are missing."""
    _stay_at_home(source)
    query = source if _has_all_joins(source) else source.clone()
    setup = query.get_compiler(connection=compiler.connection, elide_empty=compiler.elide_empty)
    if query is not source and getattr(query, "inner_query", None) is None:
        _set_up(setup)
    return setup


def _stay_at_home(query: Any) -> None:
    """Let a queryset of the logical database run wherever the whole statement is planned to run."""
    if getattr(query, "_db", None) == LOGICAL:
        query._db = None


def _has_all_joins(query: Any) -> bool:
    """Say whether compiling *query* would certainly add no table to it."""
    # A query that was compiled before keeps its tables, and nobody counts on them any more.
    if query.combinator or not any(query.alias_refcount.values()):
        return False
    if query.select_related or query.distinct_fields or (query.default_cols and query.get_meta().parents):
        return False
    ordering = query.extra_order_by or query.order_by or (query.default_ordering and query.get_meta().ordering)
    return not ordering


def _set_up(setup: Any) -> None:
    """Let Django make all joins of the query of *setup*, and spell out by what it is ordered."""
    query = setup.query
    try:
        _, order_by, _ = setup.pre_sql_setup(with_col_aliases=bool(query.combinator))
        if not query.combinator:
            setup.get_distinct()
    except EmptyResultSet:
        # Nothing can match; the statement itself finds that out again, without asking a database.
        query.clear_ordering(force=True)
        return
    complete_parts(query)
    query.order_by, query.extra_order_by = tuple(term for term, _ in order_by), ()
    query.standard_ordering = True


def complete_parts(query: Any) -> None:
    """Let the parts of a combination, which *query* may be, select what the whole does, as when Django compiles it."""
    for part in query.combined_queries if query.selected is not None else ():
        if part.selected is None:
            part.set_values(query.selected)


def as_select(source: Any) -> Any:
    """Return the SELECT of the rows that an UPDATE or DELETE writes.

    The write itself must not be prepared: that rewrites its WHERE clause, and may run queries.
    """
    query = source.clone()
    query.__class__ = Query
    for name in _WRITE_ATTRIBUTES:
        query.__dict__.pop(name, None)
    query.clear_ordering(force=True)
    query.clear_select_clause()
    query.select = (query.get_meta().pk.get_col(query.get_initial_alias()),)
    expressions = [value for value in _new_values(source) if hasattr(value, "resolve_expression")]
    query.annotations = {**query.annotations, **{f"__new_{n}": as_is(found) for n, found in enumerate(expressions)}}
    return query


def as_is(value: Any) -> Any:
    """Return what a SELECT gives of the new *value* of an UPDATE, for which Django need not know what that is."""
    found: Any = ExpressionWrapper(value, output_field=Field())
    found.empty_result_set_value = getattr(value, "empty_result_set_value", NotImplemented)
    return found


def _new_values(query: Any) -> list[Any]:
    """List what an UPDATE writes; a DELETE writes nothing."""
    return [value for _, _, value in getattr(query, "values", None) or ()]


def locks_rows(query: Any) -> bool:
    """Say whether *query*, or one inside of it, locks the rows that it reads."""
    return query.select_for_update or any(
        nested.select_for_update for nested in (() if reads_one_table(query) else nested_in(query))
    )


def require_no_locks(query: Any, plan: Merge | Gather, what: str) -> None:
    """Refuse to lock rows of *query* that are not read where they are, but as *what*."""
    if locks_rows(query):
        reason = f"select_for_update() cannot lock {what}, and {plan.why}"
        refuse(replace(plan, why=reason), query.model, "reading")


def refuse(plan: Plan, model: type[Model] | None, operation: str) -> NoReturn:
    """Raise the named error of a *plan* that cannot run, or cannot yet."""
    label = f"{model._meta.label if model else 'The query'}: {operation}"
    match plan:
        case Refuse(tables, why, remedy) if remedy:
            raise CrossShardQuery(label, f"to know where {', '.join(tables)} is", why, remedy)
        case Refuse(tables, why):
            raise CrossDatabaseQuery(label, f"{', '.join(tables)}; {why}", "Ask each database on its own.")
        case Merge(aliases, why):
            raise CrossShardQuery(label, f"a merge over {len(aliases)} shards", why, _ask_for_key(model))
        case Gather(aliases, why):
            raise CrossShardQuery(label, f"rows of {len(aliases)} shards in one place", why, _ask_for_key(model))
        case _:
            raise AssertionError(plan)


def _ask_for_key(model: type[Model] | None) -> str:
    placement = placement_of(model) if model is not None else None
    if placement is None or placement.kind is not Kind.SHARDED:
        return "Filter on the shard key of each sharded model that it reads."
    return f"Filter on {placement.key_label!r}, so that one shard can answer."


__all__ = [
    "Gather",
    "Local",
    "Merge",
    "Plan",
    "Refuse",
    "Single",
    "as_is",
    "as_select",
    "complete_parts",
    "plan_of",
    "plan_of_nested",
    "plan_of_write",
    "refuse",
    "require_no_locks",
    "select_of",
]
