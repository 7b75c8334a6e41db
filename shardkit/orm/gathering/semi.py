"""Which keys do the few wanted rows of one table have, so that few rows of another one need to travel?

The keys are asked for first, up to some hundreds. The rows themselves are read later, and then only those with the
keys that are known: both tables are seen as they were when the keys were asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col
from django.db.models.lookups import In, IsNull
from django.db.models.sql.where import OR, WhereNode

from shardkit.orm.gathering.edges import Edge, edges_between
from shardkit.orm.gathering.keys import keys_of
from shardkit.routing.registry import Kind, placement_of_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.orm.gathering.push import Occurrence


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
                asked[question] = keys_of(start, edge.field)
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
