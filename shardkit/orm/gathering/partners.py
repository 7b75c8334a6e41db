"""Which rows must be beside a row on its own shard, or it does not matter?

What an inner join finds on the row's shard, or among the copies of reference rows there, the shard can look for itself
while it reads the row. No key has to be asked for, however many rows satisfy the conditions; so a table without any
condition of its own is narrowed by those of the rows beside it, at any distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import FullResultSet
from django.db.models.expressions import Col
from django.db.models.sql.where import AND, OR, WhereNode

from shardkit.orm.gathering.constants import is_named, same_values
from shardkit.orm.gathering.edges import Edge, equalities
from shardkit.orm.gathering.push import Occurrence, Partner
from shardkit.routing.pins import Pin, intersect, pins
from shardkit.routing.registry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shardkit.routing.graph import Component


def introduce(occurrences: Sequence[Occurrence]) -> None:
    """Tell each of *occurrences* of tables that are on shards which rows of others have to be beside its own."""
    found: dict[tuple[int, int], list[Edge]] = {}
    for edge in equalities(occurrences):
        if edge.is_strict and _is_on_shards(edge.start) and _is_on_shards(edge.end):
            found.setdefault((id(edge.start), id(edge.end)), []).append(edge)
    for edges in found.values():
        pairs = tuple((edge.end_field, edge.field) for edge in edges)
        edges[0].end.partners.append(Partner(edges[0].start, pairs))


def are_beside(edge: Edge) -> bool:
    """Say whether the shard that reads rows at the end of *edge* can look for those at its start by itself."""
    if not edge.is_strict or edge.end.component is None or not _is_on_shards(edge.start):
        return False
    return _can_be_beside(edge.start, edge.end.component.leader)


def demands_of(one: Occurrence) -> list[Any]:
    """List what a row of *one* satisfies if it matters: its conditions, and that its partners are beside it.

    Rows that are named are few, and whoever is beside them is not looked for.
    """
    if one.component is None or is_named(one):
        return one.conditions
    return _demands(one, one.component.leader, {id(one)})


def company_of(one: Occurrence) -> list[Occurrence]:
    """List the occurrences of which a row is beside each row of *one* that matters, on its own shard."""
    return [] if one.component is None else list(_company(one, one.component.leader, {id(one)}))


def where_of(wanted: Sequence[Occurrence], base: str) -> WhereNode | None:
    """Return what a row has to satisfy to be wanted by one of the occurrences, None when one wants every row."""
    branches = [_all_of(demands_of(found), found.alias, base) for found in wanted]
    if not all(branch.children for branch in branches):
        return None
    return branches[0] if len(branches) == 1 else WhereNode(list(branches), OR)


def pin_of(wanted: Sequence[Occurrence]) -> Pin:
    """Return the shards that rows wanted by any of the occurrences can be on."""
    union: Pin = frozenset()
    for one in wanted:
        pin = _pin_of(one)
        if pin is None or union is None:
            return None
        union |= pin
    return union


class HasPartner:
    """The condition that *columns* equal *fields* of some row of another table that satisfies *where*."""

    contains_aggregate = False
    contains_over_clause = False

    def __init__(self, columns: Sequence[Col], table: str, fields: Sequence[Any], where: WhereNode) -> None:
        self.columns, self.table, self.fields, self.where = columns, table, fields, where

    def relabeled_clone(self, change_map: Mapping[str, str]) -> HasPartner:
        """Return the condition for another name of the row's table; the other table has its own."""
        columns = [column.relabeled_clone(change_map) for column in self.columns]
        return HasPartner(columns, self.table, self.fields, self.where)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Sequence[Any]]:
        """Write it as a subquery that looks at no row around it, so that the database may begin with either side."""
        quote = connection.ops.quote_name
        mine = [compiler.compile(column)[0] for column in self.columns]
        theirs = ", ".join(f"{quote(self.table)}.{quote(field.column)}" for field in self.fields)
        try:
            sql, params = compiler.compile(self.where)
        except FullResultSet:
            sql, params = "", ()
        row = mine[0] if len(mine) == 1 else f"({', '.join(mine)})"
        where = f" WHERE {sql}" if sql else ""
        return f"{row} IN (SELECT {theirs} FROM {quote(self.table)}{where})", params  # noqa: S608 - quoted names


def _pin_of(one: Occurrence) -> Pin:
    """Return the shards that rows of *one* that matter can be on: where all those beside them can be."""
    pin = one.pin
    for each in (one, *company_of(one)):
        if each.component is not None and (pin is None or len(pin) > 1):
            locators = {each.alias: each.level.placements[each.alias].locators}
            pin = intersect(pin, pins(WhereNode(list(each.conditions), AND), locators, frozenset({each.alias})))
    return pin


def _is_on_shards(one: Occurrence) -> bool:
    return one.kind in {Kind.SHARDED, Kind.REFERENCE}


def _can_be_beside(other: Occurrence, leader: Component) -> bool:
    """Say whether rows of *other* are on the shard of the rows that *leader* stands for."""
    return other.kind is Kind.REFERENCE or (other.component is not None and other.component.leader is leader)


def _demands(one: Occurrence, leader: Component, seen: set[int]) -> list[Any]:
    """List what *one* demands, and its partners that nobody has looked at before."""
    found = list(one.conditions)
    for partner in one.partners:
        other = partner.other
        if id(other) in seen or not _can_be_beside(other, leader):
            continue
        seen.add(id(other))
        demanded = _demands(other, leader, seen)
        if _says_more(one, partner, demanded):
            columns = [Col(one.alias, mine) for mine, _ in partner.pairs]
            fields = [theirs for _, theirs in partner.pairs]
            found.append(HasPartner(columns, other.table, fields, _all_of(demanded, other.alias, other.table)))
    return found


def _says_more(one: Occurrence, partner: Partner, demanded: Sequence[Any]) -> bool:
    """Say whether what is *demanded* of a partner is more than the values of which *one* has one by itself."""
    known = {id(node) for mine, theirs in partner.pairs for node in same_values(one, mine, partner.other, theirs)}
    return any(id(node) not in known for node in demanded)


def _company(one: Occurrence, leader: Component, seen: set[int]) -> Iterator[Occurrence]:
    for partner in one.partners:
        if id(partner.other) not in seen and _can_be_beside(partner.other, leader):
            seen.add(id(partner.other))
            yield partner.other
            yield from _company(partner.other, leader, seen)


def _all_of(nodes: Sequence[Any], alias: str, base: str) -> WhereNode:
    return WhereNode([node.relabeled_clone({alias: base}) for node in nodes], AND)
