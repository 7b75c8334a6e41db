"""Which rows come first, where a statement wants no others?

The first rows of one table are among the first rows of every shard, however many rows of other tables are joined to
each. Their primary keys are asked for, and then no other rows of that table travel.

A row to which nothing is joined by an inner join is dropped, and makes room for one that was not asked for: the next
of its own shard, which may come before any row that was. That is rare where the join follows a foreign key, so it is
found out afterwards: each row that was asked for gives one row then, or it was dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models.expressions import Col, Ref
from django.db.models.lookups import In
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.datastructures import Join

from shardkit.orm.gathering.keys import first_keys_of
from shardkit.orm.gathering.kinds import MAX_KEYS, key_kind
from shardkit.orm.gathering.partners import company_of
from shardkit.orm.gathering.push import concerns_only, conjuncts
from shardkit.routing import owners
from shardkit.routing.expressions import has_aggregate, has_window
from shardkit.routing.pins import is_exact, is_in
from shardkit.routing.registry import Kind, placement_of_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.orm.gathering.push import Occurrence
    from shardkit.routing.selects import Select


def keep_first(occurrences: Sequence[Occurrence], statement: Select, connection: Any, *, may_guess: bool) -> int | None:
    """Add to the conditions of *occurrences* which rows come first, where their level wants no others.

    If that is a guess, return how many rows the *statement* finds without its limits when it is right; else None.
    """
    expected: int | None = None
    for one in occurrences:
        query: Any = one.level.query
        if one.level.outer is not None or query.base_table != one.alias or not _is_of_first(query, one):
            continue
        is_sure, is_read_once = _keeps_all(query), sum(one.table == other.table for other in occurrences) == 1
        may_guess_here = may_guess and is_read_once and one.level.select is statement
        if not is_sure and not (may_guess_here and _finds_one_each(query)):
            continue
        keys = _first_keys(one, connection, is_read_once=is_read_once)
        if keys is not None:
            one.conditions.append(In(Col(one.alias, query.get_meta().pk), keys))
            expected = expected if is_sure else len(keys)
    return expected


def _first_keys(one: Occurrence, connection: Any, *, is_read_once: bool) -> list[Any] | None:
    """Return the keys of the rows that come first.

    Where the table is read again, rows travel for that reading too. One of them may stand here in the place of its tie
    that was asked for, without the rows that would have to be joined to it; so no two rows may be ties then.
    """
    query: Any = one.level.query
    placement = placement_of_table(one.table)
    if placement is None or placement.kind is not Kind.SHARDED or query.get_meta().db_table != one.table:
        return None
    pk, order = query.get_meta().pk, _order(query, one, connection)
    if order is None or len(query.get_meta().pk_fields) != 1 or key_kind(pk) is None or _names_rows(one, pk):
        return None
    if not (is_read_once or any(_is_column(term, pk) for term in order)):
        return None
    return first_keys_of(one, pk, order, query.high_mark)


def _is_column(order: Any, field: Any) -> bool:
    (expression,) = order.get_source_expressions()
    return isinstance(expression, Col) and expression.target is field


def _is_of_first(query: Any, one: Occurrence) -> bool:
    """Say whether *query* wants a small number of rows and judges them by *one*, its base, and what is beside that."""
    if query.high_mark is None or not 0 < query.high_mark * len(owners.all_aliases()) <= MAX_KEYS:
        return False
    if query.distinct or query.distinct_fields or has_aggregate(query) or has_window(query):
        return False
    if query.extra_tables or query.extra_order_by:
        return False
    judges = [one.alias, *(other.alias for other in company_of(one) if other.level is one.level)]
    return all(any(concerns_only(node, alias) for alias in judges) for node in conjuncts(query.where))


def _keeps_all(query: Any) -> bool:
    """Say whether no join of *query* drops a row."""
    return all(table.join_type == LOUTER for table in _joins(query))


def _finds_one_each(query: Any) -> bool:
    """Say whether each join of *query* finds one row at most."""
    followed = [table.join_field for table in _joins(query)]
    return all(getattr(field, "many_to_one", False) or getattr(field, "one_to_one", False) for field in followed)


def _joins(query: Any) -> list[Any]:
    joined = [table for alias, table in query.alias_map.items() if query.alias_refcount.get(alias)]
    return [table for table in joined if isinstance(table, Join)]


def _names_rows(one: Occurrence, pk: Any) -> bool:
    """Say whether the rows of *one* are named by their primary keys already."""
    named = [node for node in one.conditions if is_exact(node) or is_in(node)]
    return any(isinstance(node.lhs, Col) and node.lhs.target is pk for node in named)


def _order(query: Any, one: Occurrence, connection: Any) -> list[Any] | None:
    """Return by what *query* orders, None when that is more than columns of *one*."""
    setup = query.clone().get_compiler(connection=connection)
    try:
        setup.setup_query()
        found = [_spelled_out(order) for order, _ in setup.get_order_by()]
    except (EmptyResultSet, FullResultSet):
        return None
    return found if all(concerns_only(order, one.alias) for order in found) else None


def _spelled_out(order: Any) -> Any:
    """Return *order* with the column that it refers to by its place among what is selected."""
    (expression,) = order.get_source_expressions()
    if not isinstance(expression, Ref):
        return order
    spelled_out = order.copy()
    spelled_out.set_source_expressions(expression.get_source_expressions())
    return spelled_out
