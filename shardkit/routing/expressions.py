"""What is inside a query's expressions: subqueries, windows, tables named by raw SQL?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col, Func, RawSQL
from django.db.models.sql.query import Query
from django.db.models.sql.where import ExtraWhere, WhereNode

from shardkit.routing import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LEAVES = (str, bytes, int, float, type(None))
_WORD = re.compile(r"\w+")
_OVER = re.compile(r"\bover\b", re.IGNORECASE)


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
    for nested in _subqueries(query, nodes):
        yield nested
        yield from nested_in(nested)


def _subqueries(query: Query, nodes: list[Any]) -> list[Query]:
    """List the queries directly inside *query*: in its expressions *nodes*, in FROM, and the parts of a combination."""
    found = {id(node): node for node in nodes if isinstance(node, Query)}
    inner = getattr(query, "inner_query", None)
    nested = [inner] if inner is not None else []
    return [*found.values(), *nested, *query.combined_queries]


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT of a statement with every join set up, and the SELECTs inside it."""

    #: The query as it stands in the statement, for telling it from others.
    source: Query
    #: A copy in which the joins of ordering and select_related are made.
    query: Query
    inside: tuple[Select, ...]
    #: The known tables that raw SQL of this level reads behind the ORM's back.
    hidden: frozenset[str]
    #: Whether raw SQL or a template among what this level selects may aggregate or look at other rows.
    opaque: bool

    def levels(self) -> Iterator[Select]:
        """Yield this SELECT and all those inside it, at any depth."""
        yield self
        for nested in self.inside:
            yield from nested.levels()


def dissect(query: Query, prepare: Callable[[Query], Query]) -> Select:
    """Take *query* apart into its SELECTs, each a copy made by *prepare*."""
    prepared = prepare(query)
    nodes = [node for root in roots(prepared) for node in walk(root)]
    inside = tuple(dissect(nested, prepare) for nested in _subqueries(prepared, nodes))
    return Select(query, prepared, inside, _tables_named_by_raw_sql(prepared, nodes), _is_opaque(prepared))


def _is_opaque(query: Query) -> bool:
    """Say whether text that *query* selects may be an aggregate or a window function: it calls something.

    A condition can hold neither, and whatever orders is merged by those who know.
    """
    selected = [node for part in (*query.annotation_select.values(), *query.select) for node in walk(part)]
    texts = [node.sql for node in selected if isinstance(node, RawSQL)] + [sql for sql, _ in query.extra.values()]
    templates = [str(node.extra.get("template", node.template)) for node in selected if isinstance(node, Func)]
    return any("(" in text for text in texts) or any(_OVER.search(template) for template in templates)


def tables(select: Select) -> set[str]:
    """Return the name of every table that is read at any level of *select*."""
    found: set[str] = set()
    for level in select.levels():
        query = level.query
        found.update(table.table_name for alias, table in query.alias_map.items() if query.alias_refcount.get(alias))
        if not query.alias_map and query.model is not None and getattr(query, "inner_query", None) is None:
            found.add(query.model._meta.db_table)
        found |= level.hidden
    return found


def _tables_named_by_raw_sql(query: Query, nodes: list[Any]) -> frozenset[str]:
    """Return the known tables that raw SQL of *query*'s own level, whose expressions are *nodes*, reads.

    A fragment that names a table of the FROM clause only to qualify a column reads nothing; with the word SELECT it
    may. (That is how Django prefetches many-to-many rows.)
    """
    joined = {table.table_name for alias, table in query.alias_map.items() if query.alias_refcount.get(alias)}
    if query.model is not None:
        joined.add(query.model._meta.db_table)
    found: set[str] = set(query.extra_tables)
    for text in _raw_texts(query, nodes):
        selects = "select" in text.lower()
        words = set(_WORD.findall(text))
        found |= {word for word in words if registry.placement_of_table(word) and (selects or word not in joined)}
    return frozenset(found)


def tables_in_text(sql: str) -> list[registry.ModelPlacement]:
    """Return the placements of the known tables whose names occur in *sql*."""
    found = (registry.placement_of_table(word) for word in set(_WORD.findall(sql)))
    return [placement for placement in found if placement is not None]


def _raw_texts(query: Query, nodes: list[Any]) -> Iterator[str]:
    yield from (str(text) for text in query.extra_order_by)
    yield from (sql for sql, _ in query.extra.values())
    for node in nodes:
        if isinstance(node, RawSQL):
            yield node.sql
        elif isinstance(node, ExtraWhere):
            yield from node.sqls


def has_subquery(node: Any) -> bool:
    """Say whether a query is nested anywhere in the expression *node*."""
    return any(isinstance(inside, Query) for inside in walk(node))


def has_window(query: Query) -> bool:
    """Say whether *query*'s own level has a window function; it may order by one that it does not select."""
    parts = (query.where, *query.annotations.values(), *query.order_by)
    return any(getattr(part, "contains_over_clause", False) for part in parts)


def has_aggregate(query: Query) -> bool:
    """Say whether *query*'s own level aggregates."""
    selected = query.annotation_select.values()
    return query.group_by is not None or any(getattr(part, "contains_aggregate", False) for part in selected)
