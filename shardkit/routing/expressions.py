"""What is inside a query's expressions: subqueries, windows, aggregates, clocks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db.models.expressions import Col
from django.db.models.functions import Now
from django.db.models.lookups import Lookup
from django.db.models.sql.query import Query
from django.db.models.sql.where import WhereNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LEAVES = (str, bytes, int, float, type(None))
#: The clock in a module of Django's that needs a driver.
_CLOCK_NAMES: Final = frozenset({"TransactionNow"})


def walk(node: Any) -> Iterator[Any]:
    """Yield *node* and everything inside it, nested queries too but not what is inside those."""
    stack, seen = [node], set()
    while stack:
        current = stack.pop()
        if isinstance(current, _LEAVES) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        stack.extend(_inside(current))


def _inside(node: Any) -> Iterable[Any]:
    if isinstance(node, (Query, Col)):
        return ()
    if isinstance(node, WhereNode):
        return node.children
    if isinstance(node, (list, tuple, set, frozenset)):
        return node
    found = [getattr(node, name, None) for name in ("query", "rhs", "condition", "filter")]
    parts = [part for part in found if isinstance(part, (Query, WhereNode, list, tuple)) or hasattr(part, "as_sql")]
    if hasattr(node, "get_source_expressions"):
        parts.extend(node.get_source_expressions())
    return parts


def roots(query: Query) -> list[Any]:
    """List everything of *query*'s own level that may hold expressions."""
    grouped = query.group_by if isinstance(query.group_by, tuple) else ()
    found: list[Any] = [query.where, *query.annotations.values(), *query.select, *query.order_by, *grouped]
    for table in query.alias_map.values():
        filtered = getattr(table, "filtered_relation", None)
        if filtered is not None:
            found.append(getattr(filtered, "resolved_condition", None))
    return found


def nested_in(query: Query) -> Iterator[Query]:
    """Yield every query inside *query*, at any depth, as they stand."""
    nodes = [node for root in roots(query) for node in walk(root)]
    for nested in subqueries(query, nodes):
        yield nested
        yield from nested_in(nested)


def subqueries(query: Query, nodes: list[Any]) -> list[Query]:
    """List the queries directly inside *query*: in its expressions *nodes*, in FROM, and the parts of a combination."""
    found = {id(node): node for node in nodes if isinstance(node, Query)}
    inner = getattr(query, "inner_query", None)
    nested = [inner] if inner is not None else []
    return [*found.values(), *nested, *query.combined_queries]


def values(query: Any) -> list[Any]:
    """List what *query* selects, groups by and is ordered by."""
    grouped = query.group_by if isinstance(query.group_by, tuple) else ()
    return [*query.annotation_select.values(), *query.select, *grouped, *query.order_by]


def is_clock(node: Any) -> bool:
    """Say whether *node* is the time at which a database looks at its clock, once for a whole statement."""
    return isinstance(node, Now) or type(node).__name__ in _CLOCK_NAMES


def tells_time(node: Any) -> bool:
    """Say whether a clock makes the value of *node*; a condition that asks one is judged when its rows are read."""
    if isinstance(node, (Lookup, WhereNode)):
        return False
    return is_clock(node) or (hasattr(node, "as_sql") and any(map(tells_time, _inside(node))))


def has_subquery(node: Any) -> bool:
    """Say whether a query is nested anywhere in the expression *node*."""
    return any(isinstance(inside, Query) for inside in walk(node))


def has_window(query: Query) -> bool:
    """Say whether *query*'s own level has a window function; it may order by one that it does not select."""
    parts = (query.where, *query.annotations.values(), *query.order_by)
    return any(getattr(part, "contains_over_clause", False) for part in parts)


def has_aggregate(query: Query) -> bool:
    """Say whether *query*'s own level aggregates."""
    parts = (*query.annotation_select.values(), *query.order_by)
    return query.group_by is not None or any(getattr(part, "contains_aggregate", False) for part in parts)
