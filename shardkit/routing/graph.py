"""Which occurrences of sharded tables in a query share their shard, row by row?

Two occurrences are linked when a condition that every row satisfies makes a locator of one equal a locator of the
other by the same bucket function. Links hold inside a level (joins) and from a subquery to the levels around it
(correlation). A component of linked occurrences lives on one shard for each row; what pins one pins them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col
from django.db.models.sql.constants import INNER
from django.db.models.sql.datastructures import BaseTable, Join

from shardkit.routing import registry
from shardkit.routing.expressions import has_window
from shardkit.routing.pins import Pin, conditions, is_exact, is_in, pins
from shardkit.routing.registry import Kind, ModelPlacement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.db.models.sql.query import Query

    from shardkit.routing.functions import BucketFunction
    from shardkit.routing.selects import Select


@dataclass(slots=True)
class Component:
    """Occurrences that live on one shard together, and where that can be."""

    aliases: set[str]
    #: The shards that can matter; None is any.
    pin: Pin = None
    #: Every row of the level has a row of this component: it is the base, or joined to it by inner joins only.
    anchors: bool = False
    #: The component of an outer level that this one is linked to.
    follows: Component | None = None

    @property
    def leader(self) -> Component:
        """The component of the outermost level that this one shares its shard with."""
        return self if self.follows is None else self.follows.leader

    @property
    def shards(self) -> Pin:
        """Where rows of it can matter: its own pin, else that of the component it follows."""
        return self.pin if self.pin is not None or self.follows is None else self.follows.shards


@dataclass(slots=True)
class Level:
    """One SELECT of a statement, with its sharded occurrences sorted into components."""

    select: Select
    placements: dict[str, ModelPlacement]
    components: list[Component] = field(default_factory=list)
    outer: Level | None = None

    @property
    def query(self) -> Query:
        """The query with its joins set up."""
        return self.select.query

    def component_of(self, alias: str) -> Component | None:
        """Return the component of *alias* in this level or a level around it."""
        for component in self.components:
            if alias in component.aliases:
                return component
        return self.outer.component_of(alias) if self.outer is not None else None

    def function_of(self, col: Any) -> BucketFunction | None:
        """Return the bucket function of a column that locates its row, in this level or around it."""
        if not isinstance(col, Col):
            return None
        placement = self.placements.get(col.alias)
        if placement is None:
            return self.outer.function_of(col) if self.outer is not None else None
        return _function(placement, str(col.target.column))


def _function(placement: ModelPlacement, column: str) -> BucketFunction | None:
    return next((found.function for found in placement.locators if found.columns == (column,)), None)


def read_level(select: Select, outer: Level | None = None) -> Level:
    """Sort the sharded occurrences of *select*'s own level into components and pin each."""
    query = select.query
    placements = dict(_placements(query))
    level = Level(select, placements, outer=outer)
    sharded = [alias for alias, placement in placements.items() if placement.kind is Kind.SHARDED]
    level.components = [Component({alias}) for alias in sharded]
    _link_joins(level)
    _link_conditions(level)
    inner = inner_joined(query)
    never_null = frozenset(inner)
    for component in level.components:
        component.anchors = bool(component.aliases & inner)
        located = {alias: placements[alias].locators for alias in component.aliases}
        component.pin = pins(query.where, located, never_null)
    return level


def _placements(query: Query) -> Iterator[tuple[str, ModelPlacement]]:
    for alias, table in query.alias_map.items():
        if query.alias_refcount.get(alias):
            placement = registry.placement_of_table(table.table_name)
            if placement is not None:
                yield alias, placement


def levels_of(select: Select, outer: Level | None = None) -> Iterator[Level]:
    """Yield every SELECT of the statement that has a FROM clause of its own, with its sharded tables linked."""
    query = select.query
    if query.combinator or getattr(query, "inner_query", None) is not None:
        for part in select.inside:
            yield from levels_of(part, outer)
        return
    level = read_level(select, outer)
    if outer is not None:
        link_semi_joins(outer, level)
    yield level
    for inside in select.inside:
        yield from levels_of(inside, level)


def inner_joined(query: Query) -> set[str]:
    """Return the aliases that have a row in every row: the base and what inner joins alone reach from it."""
    found: set[str] = set()
    for alias, table in query.alias_map.items():
        if not query.alias_refcount.get(alias):
            continue
        is_base = isinstance(table, BaseTable) and not isinstance(table, Join)
        if is_base or (table.join_type == INNER and table.parent_alias in found):
            found.add(alias)
    return found


def _link_joins(level: Level) -> None:
    tables: dict[str, Any] = dict(level.query.alias_map)
    for alias, table in tables.items():
        if not isinstance(table, Join) or alias not in level.placements:
            continue
        parent = table.parent_alias
        pairs = [(mine.column, theirs.column) for mine, theirs in table.join_fields]  # type: ignore[attr-defined]
        if parent in level.placements and _joined(level.placements[parent], level.placements[alias], pairs):
            _unite(level, parent, alias)


def _joined(parent: ModelPlacement, child: ModelPlacement, pairs: list[tuple[str, str]]) -> bool:
    """Say whether a join over *pairs* of (parent, child) columns makes a locator of each equal."""
    theirs: Mapping[str, str] = dict(pairs)
    for locator in parent.locators:
        columns = tuple(theirs.get(column, "") for column in locator.columns)
        if any(found.columns == columns and found.function == locator.function for found in child.locators):
            return True
    return False


def _unite(level: Level, left: str, right: str) -> None:
    first, second = level.component_of(left), level.component_of(right)
    if first is None or second is None or first is second:
        return
    first.aliases |= second.aliases
    level.components = [component for component in level.components if component is not second]


def _link_conditions(level: Level) -> None:
    """Link by WHERE: ``a.key = b.key``, where b may belong to a level around this one."""
    for lookup in conditions(level.query.where):
        if is_exact(lookup):
            link(level, getattr(lookup, "lhs", None), lookup.rhs)


def link(level: Level, left: Any, right: Any) -> None:
    """Link the occurrences of two columns that are equal in every row, when both locate by the same function."""
    function = level.function_of(left)
    if function is None or function != level.function_of(right):
        return
    mine, theirs = (left, right) if left.alias in level.placements else (right, left)
    component, other = level.component_of(mine.alias), level.component_of(theirs.alias)
    if component is None or other is None or mine.alias not in level.placements:
        return
    if theirs.alias in level.placements:
        _unite(level, mine.alias, theirs.alias)
    else:
        component.follows = other


def link_semi_joins(outer: Level, nested: Level) -> None:
    """Link ``outer.key IN (SELECT nested.key …)``: only rows of the same shard can be equal."""
    query = nested.query
    if _sees_other_rows(query) or len(query.select) != 1:
        return
    selected: Any = query.select[0]
    function = nested.function_of(selected)
    if function is None or selected.target.null or selected.alias not in inner_joined(query):
        return
    for lookup in _lookups(outer.query.where):
        if is_in(lookup) and lookup.rhs is nested.select.source and outer.function_of(lookup.lhs) == function:
            component = nested.component_of(selected.alias)
            if component is not None:
                component.follows = outer.component_of(lookup.lhs.alias)


def _sees_other_rows(query: Query) -> bool:
    """Say whether one row's part in the result depends on rows that may be on other shards."""
    narrowed = query.is_sliced or query.distinct_fields or query.combinator
    return bool(narrowed) or query.group_by is not None or has_window(query)


def _lookups(node: Any) -> Iterator[Any]:
    for child in getattr(node, "children", ()):
        if hasattr(child, "children"):
            yield from _lookups(child)
        else:
            yield child
