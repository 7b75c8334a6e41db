"""Which keys do the few wanted rows of one table have, so that few rows of another one need to travel?

The keys are asked for first, up to some hundreds: of tables with conditions, and then of those that turn out to be
small. The rows themselves are read later, and then only those with the keys that are known: both tables are seen as
they were when the keys were asked for.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col
from django.db.models.lookups import In, IsNull
from django.db.models.sql.where import OR, WhereNode

from shardkit.orm.gathering.constants import carry, is_known
from shardkit.orm.gathering.edges import Edge, edges_between
from shardkit.orm.gathering.keys import few_rows, keys_in, keys_of
from shardkit.routing.registry import Kind, placement_of_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shardkit.orm.gathering.push import Occurrence


def narrow(occurrences: Sequence[Occurrence], connection: Any) -> None:
    """Add to the conditions of *occurrences* what the keys of few rows of others demand of them."""
    edges = edges_between(occurrences, connection)
    carry(edges)
    front = _Front([edge for edge in edges if _may_narrow(edge, occurrences) and not is_known(edge)])
    front.go_on_from([one for one in occurrences if _is_restricted(one)])
    front.start_from_small([one for one in occurrences if not _is_restricted(one)])


class _Front:
    """How far the keys of few rows have narrowed what other rows can matter."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        self._edges = edges
        self._asked: dict[tuple[int, str], list[Any] | None] = {}
        self._done: set[int] = set()

    def go_on_from(self, waiting: list[Occurrence]) -> None:
        """Narrow what the edges of those that are *waiting* lead to, and then what the edges of that do."""
        while waiting:
            start = waiting.pop(0)
            for end in {id(edge.end): edge.end for edge in self._edges_from(start)}.values():
                known = [(edge, self._keys_of(edge)) for edge in self._edges_from(start) if edge.end is end]
                found = [(edge, keys) for edge, keys in known if keys is not None]
                for edge, keys in found:
                    _narrow_end(edge, keys)
                if found:
                    self._done |= {id(start), id(end)}
                    waiting.append(end)

    def _keys_of(self, edge: Edge) -> list[Any] | None:
        """Return the keys at the start of *edge*, which are asked for once."""
        question = (id(edge.start), str(edge.field.column))
        if question not in self._asked:
            self._asked[question] = keys_of(edge.start, edge.field)
        return self._asked[question]

    def start_from_small(self, unrestricted: Sequence[Occurrence]) -> None:
        """Start from those of *unrestricted* tables that have few rows in all, from the smallest one first."""
        small: list[tuple[int, Occurrence, dict[Any, list[Any] | None]]] = []
        for one in unrestricted:
            fields = list({edge.field: None for edge in self._edges_from(one)})
            rows = few_rows(one, fields) if fields else None
            if rows is not None:
                small.append((len(rows), one, {field: keys_in(rows, n, field) for n, field in enumerate(fields)}))
        for _, one, keys in sorted(small, key=itemgetter(0)):
            if id(one) not in self._done:
                self._asked |= {(id(one), str(field.column)): found for field, found in keys.items()}
                self.go_on_from([one])

    def _edges_from(self, start: Occurrence) -> Iterator[Edge]:
        """Yield the edges from *start* that may narrow what has not been narrowed when its turn comes."""
        tried = [edge for edge in self._edges if edge.start is start and (_is_restricted(start) or _is_promising(edge))]
        yield from (edge for edge in tried if id(edge.end) not in self._done)


def _is_restricted(one: Occurrence) -> bool:
    """Say whether some rows of the table of *one* are known not to matter."""
    return bool(one.conditions) or one.pin is not None


def _is_promising(edge: Edge) -> bool:
    """Say whether keys of a whole table may leave out rows: not if every row refers to one of its rows by them."""
    remote: Any = getattr(edge.end_field, "target_field", None)
    referred = None if remote is None else (remote.model._meta.db_table, remote.column)
    return edge.start.table != edge.end.table and referred != (edge.start.table, edge.field.column)


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
