"""Which keys do the few wanted rows of one table have, so that few rows of another one need to travel?

What a shard cannot look for by itself is asked for first: the keys of tables with conditions, and then those of tables
that turn out to be small. Who has the fewest rows is asked first to narrow the others; what is still not few after that
may be narrowed once more, by the next one. The rows themselves are read later, and then only those with the keys that
are known: both tables are seen as they were when the keys were asked for.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col
from django.db.models.lookups import In, IsNull
from django.db.models.sql.where import OR, WhereNode

from shardkit.orm.gathering.constants import carry, is_known
from shardkit.orm.gathering.edges import Edge, edges_between
from shardkit.orm.gathering.keys import few_rows, keys_in, keys_of
from shardkit.orm.gathering.kinds import MAX_KEYS
from shardkit.orm.gathering.partners import are_beside, company_of, demands_of
from shardkit.routing.registry import Kind, placement_of_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shardkit.orm.gathering.push import Occurrence

#: The keys of a column, None when they are too many or odd.
_Keys = list[Any] | None


def narrow(occurrences: Sequence[Occurrence], connection: Any) -> None:
    """Add to the conditions of *occurrences* what the keys of few rows of others demand of them."""
    edges = edges_between(occurrences, connection)
    carry(edges)
    open_edges = [edge for edge in edges if _may_narrow(edge, occurrences) and not is_known(edge)]
    front = _Front(occurrences, [edge for edge in open_edges if not are_beside(edge)])
    front.go_on_from(front.restricted)
    front.go_on_from(one for one in occurrences if front.is_untouched(one))


class _Front:
    """How far the keys of few rows have narrowed what other rows can matter."""

    def __init__(self, occurrences: Sequence[Occurrence], edges: Sequence[Edge]) -> None:
        self._occurrences, self._edges = occurrences, edges
        #: Those of which some rows are known not to matter before any key is asked for.
        self.restricted = [one for one in occurrences if demands_of(one)]
        #: Whose keys have narrowed an occurrence, or one whose rows are beside its own.
        self._narrowed_by: defaultdict[int, set[int]] = defaultdict(set)
        self._used: set[tuple[int, int]] = set()
        #: The keys of those that are known to have few rows, by column.
        self._few: dict[int, dict[str, _Keys]] = {}
        self._line: list[tuple[int, int, Occurrence]] = []
        self._places = count()

    def is_untouched(self, one: Occurrence) -> bool:
        """Say whether nothing has left out rows of *one* so far."""
        return one not in self.restricted and not self._narrowed_by[id(one)]

    def go_on_from(self, starts: Iterable[Occurrence]) -> None:
        """Narrow what the edges of *starts* lead to, then what those of that do, from the fewest rows on."""
        for one in starts:
            self._stand_in_line(one)
        while self._line:
            _, _, start = heappop(self._line)
            for edges in self._ways_from(start):
                self._narrow_by(start, edges)

    def _stand_in_line(self, one: Occurrence) -> None:
        """Ask how few rows *one* has, if these may narrow others; a whole table that is large narrows nothing."""
        if id(one) in self._few:
            return
        fields = list({edge.field: None for edges in self._ways_from(one) for edge in edges})
        rows = few_rows(one, fields) if fields else None
        if rows is not None:
            self._few[id(one)] = {str(field.column): keys_in(rows, n, field) for n, field in enumerate(fields)}
        if rows is not None or (fields and not self.is_untouched(one)):
            place = MAX_KEYS + 1 if rows is None else len(rows)
            heappush(self._line, (place, next(self._places), one))

    def _ways_from(self, start: Occurrence) -> list[list[Edge]]:
        """List the edges from *start* that may leave out rows now, those to one end together."""
        ends: dict[int, list[Edge]] = {}
        for edge in self._edges:
            if edge.start is start and self._is_open(edge):
                ends.setdefault(id(edge.end), []).append(edge)
        return list(ends.values())

    def _is_open(self, edge: Edge) -> bool:
        """Say whether the start of *edge* may know what its end does not know yet, and needs to."""
        start, end = id(edge.start), id(edge.end)
        if end in self._few or (start, end) in self._used:
            return False
        if self.is_untouched(edge.start):
            return not self._narrowed_by[end] and _is_promising(edge)
        return edge.start in self.restricted or bool(self._narrowed_by[start] - {end})

    def _narrow_by(self, start: Occurrence, edges: Sequence[Edge]) -> None:
        """Narrow the end of *edges* by the keys of *start*, if those are few."""
        found = [(edge, keys) for edge in edges if (keys := self._keys_of(edge)) is not None]
        if not found:
            return
        end = edges[0].end
        self._used.add((id(start), id(end)))
        for edge, keys in found:
            _narrow_end(edge, keys)
        touched = [one for one in self._occurrences if one is end or end in company_of(one)]
        for one in touched:
            self._narrowed_by[id(one)].add(id(start))
        for one in touched:
            self._stand_in_line(one)

    def _keys_of(self, edge: Edge) -> _Keys:
        """Return the keys at the start of *edge*; of many rows they may be few as long as several rows share one."""
        known = self._few.get(id(edge.start))
        if known is not None:
            return known.get(str(edge.field.column))
        return None if edge.field.unique else keys_of(edge.start, edge.field)


def _is_promising(edge: Edge) -> bool:
    """Say whether keys of a whole table may leave out rows: not if every row refers to one of its rows by them."""
    remote: Any = getattr(edge.end_field, "target_field", None)
    referred = None if remote is None else (remote.model._meta.db_table, remote.column)
    is_whole = edge.start.pin is None
    return edge.start.table != edge.end.table and not (is_whole and referred == (edge.start.table, edge.field.column))


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
