"""Which rows of one table can only matter where a row of another one has the same key?

An *edge* from one occurrence of a table to another says: a row of the second one matters only if its column equals that
column of a row of the first one that matters itself. Joins make edges, and so do subqueries that look at the row which
they are for, and ``IN`` a subquery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists
from django.db.models.expressions import Col
from django.db.models.sql.constants import INNER
from django.db.models.sql.datastructures import Join

from shardkit.orm.gathering.kinds import key_kind
from shardkit.orm.gathering.push import conjuncts
from shardkit.routing.graph import inner_joined
from shardkit.routing.pins import is_exact, is_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shardkit.orm.gathering.push import Occurrence
    from shardkit.routing.graph import Level


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Rows of *end* matter only where their field equals that of a row of *start* that matters."""

    start: Occurrence
    field: Any
    end: Occurrence
    end_field: Any
    #: A row of *start* that has no row at the *end* does not matter either.
    is_strict: bool


def edges_between(occurrences: Sequence[Occurrence], connection: Any) -> list[Edge]:
    """List the edges between *occurrences* whose keys compare alike on both sides."""
    return [edge for edge in equalities(occurrences) if _compare_alike(edge.field, edge.end_field, connection)]


def equalities(occurrences: Sequence[Occurrence]) -> list[Edge]:
    """List the edges between *occurrences*, whatever their keys are, those of outer levels first."""
    levels = {id(one.level): one.level for one in occurrences}
    known = {(id(one.level), one.alias): one for one in occurrences}
    return [edge for level in levels.values() for edge in _edges_of(level, known)]


_Known = dict[tuple[int, str], "Occurrence"]


def _edges_of(level: Level, known: _Known) -> Iterator[Edge]:
    yield from _by_joins(level, known)
    certain = inner_joined(level.query)
    for lookup in conjuncts(level.query.where):
        if is_exact(lookup):
            yield from _by_correlation(level, lookup, known, certain)
        elif is_in(lookup):
            yield from _by_in(level, lookup, known)


def _by_joins(level: Level, known: _Known) -> Iterator[Edge]:
    for alias, table in level.query.alias_map.items():
        child = known.get((id(level), alias))
        if child is None or not isinstance(table, Join):
            continue
        parent = known.get((id(level), str(table.parent_alias)))
        if parent is None:
            continue
        is_strict = table.join_type == INNER
        for theirs, mine in table.join_fields:  # type: ignore[attr-defined]
            yield Edge(parent, theirs, child, mine, is_strict)
            if is_strict:
                yield Edge(child, mine, parent, theirs, is_strict)


def _by_correlation(level: Level, lookup: Any, known: _Known, certain: set[str]) -> Iterator[Edge]:
    """Yield the edges of ``inner.column = outer.column`` in a subquery: inwards, and outwards if the row needs it."""
    left, right = getattr(lookup, "lhs", None), lookup.rhs
    if not isinstance(left, Col) or not isinstance(right, Col):
        return
    inner, outer = (left, right) if left.alias in level.query.alias_map else (right, left)
    around = level.outer
    while around is not None and outer.alias not in around.query.alias_map:
        around = around.outer
    if inner.alias not in certain or around is None or outer.alias in level.query.alias_map:
        return
    mine, theirs = known.get((id(level), str(inner.alias))), known.get((id(around), str(outer.alias)))
    if mine is None or theirs is None:
        return
    is_demanded = around is level.outer and any(_is_demanded(node, level) for node in conjuncts(around.query.where))
    yield Edge(theirs, outer.target, mine, inner.target, is_strict=is_demanded)
    if is_demanded and outer.alias in inner_joined(around.query):
        yield Edge(mine, inner.target, theirs, outer.target, is_strict=True)


def _is_demanded(node: Any, level: Level) -> bool:
    """Say whether the condition *node* is that the subquery of *level* has a row."""
    if is_exact(node) and node.rhs is True:  # which is what filter() makes of a condition
        node = node.lhs
    if type(node) is not Exists or node.query is not level.select.source:
        return False
    return level.query.group_by is None or bool(level.query.group_by)  # an aggregate of nothing is a row


def _by_in(level: Level, lookup: Any, known: _Known) -> Iterator[Edge]:
    """Yield the edge of ``outer.column IN (SELECT inner.column …)``: outwards."""
    if not isinstance(lookup.lhs, Col) or lookup.lhs.alias not in inner_joined(level.query):
        return
    outer = known.get((id(level), str(lookup.lhs.alias)))
    for inner in known.values():
        query: Any = inner.level.query
        if inner.level.select.source is not lookup.rhs or len(query.select) != 1 or query.annotation_select:
            continue
        (selected,) = query.select
        if outer is not None and isinstance(selected, Col) and selected.alias == inner.alias:
            yield Edge(inner, selected.target, outer, lookup.lhs.target, is_strict=True)


def _compare_alike(left: Any, right: Any, connection: Any) -> bool:
    """Say whether a value of one field, sent to a database, equals in the other what it equals where it is from."""
    collations = {field.db_parameters(connection=connection).get("collation") for field in (left, right)}
    kinds = {key_kind(left), key_kind(right)}
    return len(kinds) == 1 and None not in kinds and len(collations) == 1
