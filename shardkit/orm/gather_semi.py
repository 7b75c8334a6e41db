"""Which keys do the few wanted rows of one table have, so that few rows of another one need to travel?

The keys are asked for first, up to some hundreds. The rows themselves are read later, and then only those with the
keys that are known: both tables are seen as they were when the keys were asked for.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from django.db import connections
from django.db.models.expressions import Col
from django.db.models.lookups import In, IsNull
from django.db.models.sql.where import OR, WhereNode

from shardkit.fanout import Job, run
from shardkit.orm.gather_edges import KEY_TYPES, Edge, edges_between
from shardkit.orm.gather_sources import sources
from shardkit.routing.registry import Kind, placement_of_table
from shardkit.routing.transactions import join
from shardkit.vendors.base import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.orm.gather_push import Occurrence

#: How many keys are sent to the shards at most.
MAX_KEYS: Final = 1000


def narrow(occurrences: Sequence[Occurrence], connection: Any) -> None:
    """Add to the conditions of *occurrences* what the keys of few rows of others demand of them."""
    edges = [edge for edge in edges_between(occurrences, connection) if _may_narrow(edge, occurrences)]
    waiting = [one for one in occurrences if one.conditions or one.pin is not None]
    asked: dict[tuple[int, str], list[Any] | None] = {}
    done: set[int] = set()
    while waiting:
        start = waiting.pop(0)
        for edge in edges:
            if edge.start is not start or id(edge.end) in done:
                continue
            question = (id(start), str(edge.field.column))
            if question not in asked:
                asked[question] = _keys(edge)
            keys = asked[question]
            if keys is not None:
                _narrow_end(edge, keys)
                done |= {id(start), id(edge.end)}
                waiting.append(edge.end)


def _may_narrow(edge: Edge, occurrences: Sequence[Occurrence]) -> bool:
    """Say whether *edge* ends at a table that travels, and whether what it starts from can be held still.

    Rows at the start that come between the question for their keys and the statement have no row at the end there.
    That is as if they had not come, if the statement leaves them out then, or if they are left out by their keys.
    """
    start, end = placement_of_table(edge.start.table), placement_of_table(edge.end.table)
    if start is None or end is None or end.kind is not Kind.SHARDED or start.kind is Kind.PLACED:
        return False
    is_read_once = sum(one.table == edge.start.table for one in occurrences) == 1
    return edge.is_strict or (start.kind is Kind.SHARDED and is_read_once)


def _narrow_end(edge: Edge, keys: list[Any]) -> None:
    """Narrow the end of *edge* to the *keys* of its start, and the start to the keys that are known."""
    edge.end.conditions.append(In(Col(edge.end.alias, edge.end_field), keys))
    condition: Any = In(Col(edge.start.alias, edge.field), keys)
    if edge.field.null:
        missing: Any = IsNull(Col(edge.start.alias, edge.field), True)
        condition = WhereNode([condition, missing], OR)
    edge.start.conditions.append(condition)


def _keys(edge: Edge) -> list[Any] | None:
    """Ask for the keys at the start of *edge*; None when there are too many, or others than were expected."""
    placement = placement_of_table(edge.start.table)
    if placement is None:
        return None
    column, is_unique = str(edge.field.column), edge.field.unique
    found: set[Any] = set()
    with ExitStack() as stack:
        jobs = []
        for source in sources(placement, [column], [edge.start], distinct=not is_unique, limit=MAX_KEYS + 1):
            join(source.alias)
            cursor = stack.enter_context(connections[source.alias].cursor())
            jobs.append(Job(source.alias, cursor, source.sql, source.params))
        run(jobs)
        for job in jobs:
            found.update(key for (key,) in job.cursor.fetchall() if key is not None)
    types = KEY_TYPES[kind_of(edge.field)]
    if len(found) > MAX_KEYS or not all(type(key).__name__ in types for key in found):
        return None
    return sorted(found)
