"""Which rows of a table can matter to a statement, as far as conditions on that table alone say it?

A table may *occur* several times in a statement. A condition restricts one occurrence when every row that its level
accepts satisfies it: rows of the table that do not satisfy it could as well not be there. A row is wanted when any
occurrence wants it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.db.models.expressions import Col, F, Ref
from django.db.models.functions import Random
from django.db.models.sql.where import AND, NothingNode, WhereNode

from shardkit.orm._django import Query
from shardkit.routing.expressions import is_clock, walk
from shardkit.routing.graph import inner_joined
from shardkit.routing.opaque import is_opaque
from shardkit.routing.registry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shardkit.routing.graph import Component, Level
    from shardkit.routing.pins import Pin

#: Names of functions in Django's other modules that give another value each time.
_RANDOM_NAMES: Final = frozenset({"RandomUUID", "UUID4", "UUID7"})


@dataclass(slots=True, eq=False)
class Occurrence:
    """One mention of a table in the FROM clause of one level."""

    level: Level
    alias: str
    table: str
    #: Conditions of which every row of this occurrence that matters satisfies each; they mention no other one.
    conditions: list[Any] = field(default_factory=list)
    #: What it shares its shard with, row by row; None where the table is not sharded.
    component: Component | None = None
    #: Which rows have to be beside each row of it.
    partners: list[Partner] = field(default_factory=list)

    @property
    def pin(self) -> Pin:
        """The shards that rows of this occurrence that matter can be on."""
        return None if self.component is None else self.component.shards

    @property
    def kind(self) -> Kind | None:
        """How the table is spread over databases, None where no model says it."""
        placement = self.level.placements.get(self.alias)
        return None if placement is None else placement.kind


@dataclass(frozen=True, slots=True, eq=False)
class Partner:
    """A row of *other* that is joined to a row by *pairs* of fields, of the row and of its partner, which are equal."""

    other: Occurrence
    pairs: tuple[tuple[Any, Any], ...]


def occurrences_in(level: Level) -> Iterator[Occurrence]:
    """Yield every occurrence of a table in *level*, restricted by what its level demands of it."""
    query = level.query
    certain = inner_joined(query)
    demanded = list(conjuncts(query.where))
    for alias, table in query.alias_map.items():
        if not query.alias_refcount.get(alias):
            continue
        found = Occurrence(level, alias, table.table_name)
        found.component = level.component_of(alias) if found.kind is Kind.SHARDED else None
        candidates = [*(demanded if alias in certain else ()), *_joined_on(table)]
        found.conditions += [node for node in candidates if concerns_only(node, alias)]
        yield found


def _joined_on(table: Any) -> Iterator[Any]:
    """Yield what the ON clause of a filtered relation demands; what does not satisfy it is not joined."""
    condition = getattr(getattr(table, "filtered_relation", None), "resolved_condition", None)
    if isinstance(condition, WhereNode):
        yield from conjuncts(condition)


def conjuncts(node: WhereNode) -> Iterator[Any]:
    """Yield the conditions that *node* demands all of."""
    if node.negated or (node.connector != AND and len(node.children) != 1):
        yield node
        return
    for child in node.children:
        if isinstance(child, WhereNode):
            yield from conjuncts(child)
        else:
            yield child


def concerns_only(node: Any, alias: str) -> bool:
    """Say whether any database would judge *node* by a row of *alias* alone, and all of them alike."""
    if getattr(node, "contains_aggregate", False) or getattr(node, "contains_over_clause", False):
        return False
    columns = 0
    for inside in walk(node):
        if isinstance(inside, Col):
            if inside.alias != alias:
                return False
            columns += 1
        elif not is_plain(inside):
            return False
    return columns > 0


def is_plain(node: Any) -> bool:
    """Say whether *node*, some part of a condition, means the same wherever and whenever it is evaluated."""
    if isinstance(node, (Query, NothingNode, F, Ref, Random)) or type(node).__name__ in _RANDOM_NAMES:
        return False
    return not is_clock(node) and not is_opaque(node)
