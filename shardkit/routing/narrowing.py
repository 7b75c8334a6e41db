"""Which values of an IN can the rows of one shard have?

A query over several shards asks each only for its own values: a list of a thousand keys is not sent four times.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col
from django.db.models.fields.tuple_lookups import TupleIn
from django.db.models.sql.where import AND, WhereNode

from shardkit.routing import owners, registry
from shardkit.routing.pins import are_prepared, is_expression, is_in
from shardkit.routing.registry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shardkit.routing.registry import Locator
    from shardkit.topology.names import Alias


class Narrowing:
    """The IN conditions of one query, their values sorted by shard once."""

    def __init__(self, query: Any) -> None:
        self.query = query
        self.shares = {id(lookup): shares for lookup in _in_lookups(query.where) if (shares := _shares(query, lookup))}

    def on(self, alias: Alias) -> Any:
        """Return a copy of the query whose IN conditions hold no key of another shard than *alias*."""
        copied = self.query.clone()
        if self.shares:
            self._narrow(copied.where, alias)
        return copied

    def _narrow(self, node: WhereNode, alias: Alias) -> None:
        for position, child in enumerate(node.children):
            if isinstance(child, WhereNode):
                self._narrow(child, alias)
            elif id(child) in self.shares:
                narrowed: Any = copy(child)
                narrowed.rhs = self.shares[id(child)].get(alias, [])
                node.children[position] = narrowed


def _in_lookups(node: WhereNode) -> Iterator[Any]:
    """Yield the IN lookups that every accepted row satisfies and whose values are known."""
    if node.negated or node.connector != AND:
        return
    child: Any
    for child in node.children:
        if isinstance(child, WhereNode):
            yield from _in_lookups(child)
        elif (isinstance(child, TupleIn) or is_in(child)) and not is_expression(child.rhs):
            yield child


def _shares(query: Any, lookup: Any) -> dict[Alias, list[Any]]:
    """Sort the values of *lookup* by the shard whose rows can have them; nothing when they do not say it."""
    targets = [lookup.lhs.target] if isinstance(lookup.lhs, Col) else list(getattr(lookup.lhs, "targets", ()))
    for position, target in enumerate(targets):
        locator = _locator(query, lookup.lhs.alias, target.column)
        if locator is None:
            continue
        rows = [(value,) for value in lookup.rhs] if isinstance(lookup.lhs, Col) else list(lookup.rhs)
        if not _are_known(lookup, target, [row[position] for row in rows]):
            continue
        shares: dict[Alias, list[Any]] = {}
        for row, value in zip(rows, lookup.rhs, strict=True):
            key = row[position] if isinstance(lookup.lhs, Col) else target.get_prep_value(row[position])
            alias = None if key is None else owners.find(locator, (key,))
            if alias is not None:
                shares.setdefault(alias, []).append(value)
        return shares
    return {}


def _are_known(lookup: Any, target: Any, values: list[Any]) -> bool:
    """Say whether *values*, of those that *lookup* lists, tell what the column of *target* has to hold."""
    if isinstance(lookup.lhs, Col):
        return are_prepared(target, (value for value in values if value is not None))
    return not any(map(is_expression, values))  # Django prepares those of a tuple when it writes them


def _locator(query: Any, table_alias: str | None, column: str | None) -> Locator | None:
    """Return the locator that *column* alone is, if it is one of a sharded table."""
    table = query.alias_map.get(table_alias)
    placement = None if table is None else registry.placement_of_table(table.table_name)
    if placement is None or placement.kind is not Kind.SHARDED:
        return None
    return next((locator for locator in placement.locators if locator.columns == (column,)), None)
