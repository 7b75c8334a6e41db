"""Which shards can hold a row that this WHERE clause accepts?

A pin is a set of aliases outside of which nothing can match; None means that anything may. Only what is certain
prunes: AND intersects, OR unites, and a negation, an XOR, an expression or an unknown lookup prunes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, IntegerField, lookups
from django.db.models.expressions import Col
from django.db.models.fields.related_lookups import RelatedExact, RelatedIn
from django.db.models.fields.tuple_lookups import TupleExact, TupleIn
from django.db.models.sql.where import AND, OR, NothingNode, WhereNode
from django.utils import timezone

from shardkit.routing import owners

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shardkit.routing.registry import Locator
    from shardkit.topology.names import Alias

Pin = frozenset["Alias"] | None
#: A column of one occurrence of a table in the query: (table alias, column).
ColumnRef = tuple[str, str]

EXACT = (lookups.Exact, RelatedExact)
IN = (lookups.In, RelatedIn)
#: How many combinations of a composite key's values are worked out before we ask every shard instead.
MAX_COMBINATIONS = 4096

_LOWER = (lookups.GreaterThan, lookups.GreaterThanOrEqual)
_UPPER = (lookups.LessThan, lookups.LessThanOrEqual)


@dataclass(slots=True)
class Known:
    """What an AND says of each column: the values it may equal, and its inclusive bounds."""

    values: dict[ColumnRef, frozenset[Any]] = field(default_factory=dict)
    lower: dict[ColumnRef, Any] = field(default_factory=dict)
    upper: dict[ColumnRef, Any] = field(default_factory=dict)

    def copy(self) -> Known:
        """Return a copy that a branch may add to."""
        return Known(dict(self.values), dict(self.lower), dict(self.upper))

    def equals(self, column: ColumnRef, values: Iterable[Any]) -> None:
        """Add that *column* equals one of *values*."""
        found = frozenset(values)
        known = self.values.get(column)
        self.values[column] = found if known is None else known & found


def pins(where: WhereNode, located: Mapping[str, Iterable[Locator]], never_null: frozenset[str]) -> Pin:
    """Return the shards that *where* leaves, given the locators of each table alias.

    *never_null* names the aliases whose columns are NULL only when the row says so, that is those which no outer join
    fills up: for them ``isnull`` is a key like any other.
    """
    return _and_pins(where, located, never_null, Known()) if _is_and(where) else _or_pins(where, located, never_null)


def _is_and(node: WhereNode) -> bool:
    return node.connector == AND or len(node.children) == 1


def _and_pins(
    node: WhereNode, located: Mapping[str, Iterable[Locator]], never_null: frozenset[str], outer: Known
) -> Pin:
    if node.negated:
        return None
    known = outer.copy()
    branches: list[WhereNode] = []
    for child in _conjuncts(node):
        if isinstance(child, WhereNode):
            branches.append(child)
        elif isinstance(child, NothingNode):
            return frozenset()
        else:
            _learn(child, known, never_null)
    pin = _located_pin(known, located)
    for branch in branches:
        pin = intersect(pin, _or_pins(branch, located, never_null, known))
    return pin


def _or_pins(
    node: WhereNode, located: Mapping[str, Iterable[Locator]], never_null: frozenset[str], outer: Known | None = None
) -> Pin:
    if node.negated or node.connector != OR or not node.children:
        return None
    union: frozenset[Alias] = frozenset()
    for child in node.children:
        branch = child if isinstance(child, WhereNode) and _is_and(child) else WhereNode([child], AND)
        pin = _and_pins(branch, located, never_null, outer or Known())
        if pin is None:
            return None
        union |= pin
    return union


def _conjuncts(node: WhereNode) -> Iterator[Any]:
    """Yield what *node* demands all of: its lookups, and the subtrees that are not plain conjunctions."""
    for child in node.children:
        if isinstance(child, WhereNode) and not child.negated and _is_and(child):
            yield from _conjuncts(child)
        else:
            yield child


def conditions(node: WhereNode) -> Iterator[Any]:
    """Yield the lookups that every accepted row satisfies."""
    if not node.negated and _is_and(node):
        for child in _conjuncts(node):
            if not isinstance(child, WhereNode):
                yield child


def intersect(left: Pin, right: Pin) -> Pin:
    """Return the shards of rows that are in both."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _learn(lookup: Any, known: Known, never_null: frozenset[str]) -> None:
    lhs: Any = getattr(lookup, "lhs", None)
    if isinstance(lookup, (TupleExact, TupleIn)):
        _learn_tuple(lookup, known)
    elif isinstance(lhs, Col):
        _learn_column((lhs.alias, str(lhs.target.column)), lookup, known, never_null)


def _learn_column(column: ColumnRef, lookup: Any, known: Known, never_null: frozenset[str]) -> None:
    if isinstance(lookup, lookups.IsNull):
        if lookup.rhs is True and column[0] in never_null:
            known.equals(column, (None,))
    elif is_exact(lookup) or is_in(lookup):
        values = literals(lookup)
        if values is not None:
            known.equals(column, values)
    else:
        _learn_bounds(column, lookup, known)


def is_exact(lookup: Any) -> bool:
    """Say whether *lookup* is equality as Django means it, and not a subclass that may compare otherwise."""
    return isinstance(lookup, EXACT) and _is_djangos(lookup)


def is_in(lookup: Any) -> bool:
    """Say whether *lookup* is IN as Django means it."""
    return isinstance(lookup, IN) and _is_djangos(lookup)


def _is_djangos(lookup: Any) -> bool:
    return type(lookup).__module__.startswith("django.db.models.")


def literals(lookup: Any) -> list[Any] | None:
    """Return the values that an exact or IN lookup compares a column with, None unless all are known here and now."""
    rhs = lookup.rhs
    if is_expression(rhs):
        return None
    values = [value for value in ([rhs] if isinstance(lookup, EXACT) else rhs) if value is not None]
    return values if are_prepared(lookup.lhs.target, values) else None


def is_expression(value: Any) -> bool:
    """Say whether *value* is something that only the database can evaluate."""
    return hasattr(value, "resolve_expression") or hasattr(value, "as_sql")


def are_prepared(field: Any, values: Iterable[Any]) -> bool:
    """Say whether *values* are what the column of *field* holds, and not something that the database makes it of.

    A lookup that was made by hand, of an expression, has its values as they were given.
    """
    while type(field).get_prep_value is ForeignKey.get_prep_value:
        field = field.target_field
    if type(field).get_prep_value is IntegerField.get_prep_value:
        return all(type(value) is int for value in values)
    return all(_is_prepared(field, value) for value in values)


def _is_prepared(field: Any, value: Any) -> bool:
    if is_expression(value) or _is_naive(value):
        return False
    try:
        prepared = field.get_prep_value(value)
    except (TypeError, ValueError, ValidationError):
        return False
    return type(prepared) is type(value) and bool(prepared == value) and value.__hash__ is not None


def _is_naive(value: Any) -> bool:
    return isinstance(value, datetime) and settings.USE_TZ and timezone.is_naive(value)


def _learn_bounds(column: ColumnRef, lookup: Any, known: Known) -> None:
    rhs = getattr(lookup, "rhs", None)
    if is_expression(rhs) or rhs is None or not _is_djangos(lookup):
        return
    bounds = rhs if isinstance(lookup, lookups.Range) else [rhs]
    if not are_prepared(lookup.lhs.target, bounds):
        return
    if isinstance(lookup, _LOWER):
        known.lower[column] = rhs
    elif isinstance(lookup, _UPPER):
        known.upper[column] = rhs
    elif isinstance(lookup, lookups.Range):
        known.lower[column], known.upper[column] = rhs


def _learn_tuple(lookup: Any, known: Known) -> None:
    """Learn from ``(a, b) IN ((1, 2), …)``, which is also how Django prefetches over a foreign key of one column."""
    columns = getattr(lookup.lhs, "targets", None)
    if columns is None or is_expression(lookup.rhs):
        return
    rows = [lookup.rhs] if isinstance(lookup, TupleExact) else list(lookup.rhs)
    for position, target in enumerate(columns):
        values = [row[position] for row in rows]
        if any(is_expression(value) for value in values):
            continue
        prepared = [target.get_prep_value(value) for value in values]
        known.equals((lookup.lhs.alias, target.column), [value for value in prepared if value is not None])


def _located_pin(known: Known, located: Mapping[str, Iterable[Locator]]) -> Pin:
    pin: Pin = None
    for alias, locators in located.items():
        for locator in locators:
            pin = intersect(pin, _locator_pin(known, alias, locator))
    return pin


def _locator_pin(known: Known, alias: str, locator: Locator) -> Pin:
    values = [known.values.get((alias, column)) for column in locator.columns]
    if any(found is None for found in values):
        return _range_pin(known, (alias, locator.columns[0]), locator) if len(values) == 1 else None
    combinations = 1
    for found in values:
        combinations *= len(found or ())
    if combinations > MAX_COMBINATIONS:
        return None
    found_aliases = (owners.find(locator, combination) for combination in product(*values))  # type: ignore[arg-type]
    return frozenset(found for found in found_aliases if found is not None)


def _range_pin(known: Known, column: ColumnRef, locator: Locator) -> Pin:
    lower, upper = known.lower.get(column), known.upper.get(column)
    if lower is None and upper is None:
        return None
    aliases = owners.owners()
    buckets = locator.function.between(lower, upper, len(aliases))
    return None if buckets is None else frozenset(aliases[bucket] for bucket in buckets)
