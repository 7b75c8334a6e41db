"""Is this what one plain database answers to the query?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from django.db import DatabaseError, connections
from django.db.models import Max, Min, StdDev, Variance
from django.db.models.sql.query import Query

from shardkit.testing.answers import Alike, exactly, is_slice, nearly, same_bag
from shardkit.testing.ranks import ranks_of

Rows = list[Hashable]


def same_rows(
    rows: Rows, plain: Rows, query: Any, *, whole: Callable[[Query], Rows], alias: str, ways: Sequence[Alike]
) -> bool:
    """Say whether *rows* answer *query* as *plain* does, but for the order of ties.

    *whole* reads the rows of a query on the database *alias*; it is asked for all of them when limits cut through ties.
    """
    if rows == plain:
        return True
    sliced = query.is_sliced
    everything = whole(unlimited(query)) if sliced else plain
    ranks = _ranks(query, alias)
    if ranks is None and not sliced:
        return any(same_bag(rows, everything, alike) for alike in ways)
    limits = (query.low_mark, query.high_mark) if sliced else (0, None)
    tied = [1] * len(everything)
    return any(is_slice(rows, everything, ranks or tied, limits, alike) for alike in ways)


def unlimited(query: Any) -> Any:
    """Return *query* without LIMIT and OFFSET."""
    found = query.chain()
    found.clear_limits()
    return found


def _ranks(query: Any, alias: str) -> list[int] | None:
    try:
        return ranks_of(query, connections[alias])
    except (DatabaseError, IndexError):  # such as an order by a window function: then only the rows are compared
        return None


def ways_to_compare(query: Any, tolerance: float) -> list[Alike]:
    """List how answers to *query* may be compared, the strictest first."""
    queries = [query, *query.combined_queries]
    inner = getattr(query, "inner_query", None)
    queries += [inner] if inner is not None else []
    expressions = [expression for found in queries for expression in found.annotations.values()]
    aggregates = any(getattr(expression, "contains_aggregate", False) for expression in expressions)
    parts = [part for one in expressions for part in one.flatten()]
    spread = any(isinstance(part, (StdDev, Variance)) for part in parts)
    ways: list[Alike] = [exactly]
    if aggregates or inner is not None:
        ways.append(nearly(tolerance, decimals=spread))
    # One of several equal values stands for all of them.
    grouped = query.combinator or any(found.distinct or found.group_by for found in queries)
    if grouped or any(isinstance(part, (Min, Max)) for part in parts):
        ways.append(nearly(tolerance, folding=True, digits=True, decimals=spread))
    return ways
