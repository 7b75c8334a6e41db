"""Which recipe makes one answer of the shards' answers, when each shard can judge its own rows?

Whatever is not certain is left to a gather: then a reason is returned in place of a recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db.models import Avg, Count, Max, Min, StdDev, Sum, Variance
from django.db.models.aggregates import Aggregate
from django.db.models.expressions import Col, ColPairs, Ref, Window

from shardkit.routing.expressions import has_aggregate, has_window, roots, walk
from shardkit.routing.graph import inner_joined
from shardkit.routing.plan import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models.sql.query import Query

    from shardkit.routing.graph import Component, Level

#: Aggregates that can be made of the same over parts, or of a few others over parts.
DECOMPOSABLE: Final = frozenset({Avg, Count, Max, Min, StdDev, Sum, Variance})


def recipe_of(level: Level, anchor: Component) -> Recipe | str:
    """Return how the rows of *level*, each with a row of *anchor*, are put together; or why they cannot be."""
    query = level.query
    if query.distinct_fields:
        return "DISTINCT ON has to see all rows"
    if has_window(query) and not _windows_are_whole(level, anchor):
        return "a window function has to see all rows"
    if has_aggregate(query):
        return _recipe_of_groups(level, anchor)
    is_first = (query.low_mark, query.high_mark) == (0, 1)  # the first row is the first distinct row, too
    if query.distinct and not is_first and not _holds_key(level, anchor, _selected(query)):
        return "a window function beside DISTINCT has to see all rows" if has_window(query) else Recipe.GROUPS
    return Recipe.ROWS


def recipe_over(query: Any, inside: Query) -> Recipe | str:
    """Return how an aggregate *query* over the rows of a subquery, *inside*, is put together; or why it cannot be."""
    if inside.is_sliced:
        return "an aggregate over the first rows has to see all rows"
    return _why_not_in_parts(query) or Recipe.GROUPS


def _recipe_of_groups(level: Level, anchor: Component) -> Recipe | str:
    query = level.query
    if _groups_are_whole(level, anchor):
        if query.distinct and not _holds_key(level, anchor, _selected(query)):
            return "DISTINCT over groups has to see all groups"
        return Recipe.ROWS
    if has_window(query):
        return "a window function over groups has to see all groups"
    if query.group_by is None and any(getattr(term, "contains_aggregate", False) for term in query.order_by):
        return "an aggregate that orders has to see all rows"
    return _why_not_in_parts(query) or Recipe.GROUPS


def _why_not_in_parts(query: Any) -> str | None:
    """Name an aggregate of *query* that cannot be made of parts, None when all can."""
    for node in _nodes(query):
        if isinstance(node, Aggregate) and (type(node) not in DECOMPOSABLE or getattr(node, "order_by", None)):
            return f"{type(node).__name__} has to see all rows"
    return None


def _groups_are_whole(level: Level, anchor: Component) -> bool:
    """Say whether all rows of a group are on one shard: it names the shard key, or a row of a sharded table."""
    query: Any = level.query
    if query.group_by is None:
        return False
    if query.group_by is True:
        return query.get_initial_alias() in anchor.aliases
    return _holds_key(level, anchor, query.group_by)


def _holds_key(level: Level, anchor: Component, expressions: Iterable[Any]) -> bool:
    """Say whether equal *expressions* mean the same shard: a locator or the primary key of a row that is there."""
    certain = anchor.aliases & inner_joined(level.query)
    columns: dict[str, set[str]] = {}
    for expression in expressions:
        found: Any = getattr(expression, "source", expression) if isinstance(expression, Ref) else expression
        for column in found.get_cols() if isinstance(found, ColPairs) else (found,):
            if isinstance(column, Col) and column.alias in certain:
                columns.setdefault(str(column.alias), set()).add(str(column.target.column))
    for alias, named in columns.items():
        placement = level.placements[alias]
        keys = [set(locator.columns) for locator in placement.locators]
        keys.append({str(field.column) for field in placement.model._meta.pk_fields})
        if any(key <= named for key in keys):
            return True
    return False


def _selected(query: Any) -> list[Any]:
    """List what *query* selects, a whole row as the columns of its model."""
    whole = []
    if query.default_cols:
        base = query.get_initial_alias()
        whole = [field.get_col(base) for field in query.get_meta().concrete_fields]
    return [*whole, *query.select, *query.annotation_select.values()]


def _windows_are_whole(level: Level, anchor: Component) -> bool:
    """Say whether every window function looks at rows of one shard only."""
    return all(
        node.partition_by is not None and _holds_key(level, anchor, node.partition_by.get_source_expressions())
        for node in _nodes(level.query)
        if isinstance(node, Window)
    )


def _nodes(query: Any) -> Iterator[Any]:
    for root in roots(query):
        yield from walk(root)
