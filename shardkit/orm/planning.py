"""Which plan does this compiler's query get, and what do we say when it cannot run?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.core.exceptions import EmptyResultSet
from django.db.models import ExpressionWrapper, Field

from shardkit.errors import CrossDatabaseQuery, CrossShardQuery
from shardkit.orm._django import Query
from shardkit.routing.analysis import analyse
from shardkit.routing.expressions import dissect, tables
from shardkit.routing.pins import is_expression
from shardkit.routing.plan import Gather, Local, Merge, Plan, Refuse, Single
from shardkit.routing.registry import Kind, placement_of, placement_of_table
from shardkit.routing.shortcut import at_a_glance, reads_one_table, shortcut

if TYPE_CHECKING:
    from django.db.models import Model

    from shardkit.routing.expressions import Select

#: Attributes of an UPDATE or a DELETE that a SELECT does not have.
_WRITE_ATTRIBUTES: Final = ("values", "related_updates", "related_ids", "related_ids_index")


def plan_of(compiler: Any) -> Plan:
    """Plan the SELECT of *compiler*."""
    query = compiler.query
    if query.model is not None and reads_one_table(query):
        placement = placement_of_table(query.get_meta().db_table) or placement_of(query.model)
        if placement.kind in {Kind.GLOBAL, Kind.REFERENCE}:
            return Local()
        if placement.kind is Kind.PLACED:
            return Single(placement.alias, f"{placement.model._meta.db_table} is placed there")
    return analyse(select_of(compiler))


def select_of(compiler: Any) -> Select:
    """Return the SELECT of *compiler*, dissected."""
    return dissect(compiler.query, lambda source: _prepared(source, compiler))


def plan_of_write(compiler: Any) -> Plan:
    """Plan an UPDATE or a DELETE by the rows that it selects."""
    query = compiler.query
    if not getattr(query, "related_updates", None) and not any(map(is_expression, _new_values(query))):
        if placement_of(query.get_meta().model).kind is Kind.GLOBAL and reads_one_table(query):
            return Local()
        alias = shortcut(query, {})
        if alias is not None:
            return at_a_glance(alias, placement_of(query.get_meta().model).kind)
    return analyse(dissect(as_select(compiler.query), lambda source: _prepared(source, compiler)))


def plan_of_nested(query: Query, compiler: Any) -> tuple[Plan, set[Kind | None]]:
    """Plan a *query* that stands on its own among values, and say which kinds of tables it reads."""
    select = dissect(query, lambda source: _prepared(source, compiler))
    placements = [placement_of_table(name) for name in tables(select)]
    return analyse(select), {None if found is None else found.kind for found in placements}


def _prepared(source: Any, compiler: Any) -> Any:
    """Return *source* with all its joins: a copy in which Django has made those of ordering and select_related too."""
    if _has_all_joins(source):
        return source
    query = source.clone()
    if getattr(query, "inner_query", None) is not None or query.combinator:
        return query
    setup = query.get_compiler(connection=compiler.connection, elide_empty=compiler.elide_empty)
    try:
        setup.pre_sql_setup()
    except EmptyResultSet:
        # Nothing can match; the statement itself finds that out again, without asking a database.
        return query
    return query


def _has_all_joins(query: Any) -> bool:
    """Say whether preparing *query* would certainly add no table to it."""
    # A query that was compiled before keeps its tables, and nobody counts on them any more.
    if not any(query.alias_refcount.values()) or query.select_related:
        return False
    return not (query.order_by or (query.default_ordering and query.get_meta().ordering))


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


def refuse(plan: Plan, model: type[Model] | None, operation: str) -> NoReturn:
    """Raise the named error of a *plan* that cannot run, or cannot yet."""
    label = f"{model._meta.label if model else 'The query'}: {operation}"
    match plan:
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
    "plan_of",
    "plan_of_nested",
    "plan_of_write",
    "refuse",
]
