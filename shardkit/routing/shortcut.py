"""Can we see at a glance that one database answers this query?

The shortcut is an accelerator on the way of every queryset: it says an alias only when running the untouched query
there is certainly right, and otherwise nothing, and then the compilers look closer.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models.expressions import Col
from django.db.models.sql.where import AND, WhereNode

from shardkit.routing import owners
from shardkit.routing.pins import Pin, is_exact, is_expression, is_in, literals, pins
from shardkit.routing.plan import Single
from shardkit.routing.registry import Kind, placement_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.db.models import Model

    from shardkit.routing.registry import ModelPlacement
    from shardkit.topology.names import Alias

#: Kinds of models whose rows are not on the logical database.
_ELSEWHERE: Final = frozenset({Kind.SHARDED, Kind.PLACED})
#: Types that are no expression for sure.
_VALUES: Final = frozenset({int, str, bool, float, bytes, type(None), UUID, Decimal, date, datetime})


@cache
def at_a_glance(alias: Alias, kind: Kind) -> Single:
    """Return the plan of a query of a model of this *kind* for which `shortcut` says *alias*."""
    return Single(alias, "its table is placed there" if kind is Kind.PLACED else "its conditions name one shard key")


def shortcut(query: Any, hints: Mapping[str, Any]) -> Alias | None:
    """Return the database that certainly answers *query* alone, None when that cannot be seen at a glance."""
    placement = placement_of(query.model)
    if placement.kind not in _ELSEWHERE or not reads_one_table(query):
        return None
    if placement.kind is Kind.PLACED:
        return placement.alias
    alias = _by_key(query, placement)
    if alias is not None:
        return alias
    table = query.model._meta.db_table
    pin = pins(query.where, {table: placement.locators}, frozenset((table,)))
    if pin is not None and len(pin) == 1:
        return next(iter(pin))
    return _by_hint(query, placement, hints) if pin is None and hints else None


def pinned(query: Any, likely: str) -> Pin:
    """Return the shards outside of which *query* can match nothing, None when that cannot be seen at a glance.

    That it is the *likely* one is quickly seen.
    """
    placement = placement_of(query.model)
    if placement.kind is not Kind.SHARDED or not reads_one_table(query):
        return None
    alias = _by_key(query, placement)
    if alias is not None and alias == likely:
        return frozenset((alias,))
    table = query.model._meta.db_table
    return pins(query.where, {table: placement.locators}, frozenset((table,)))


def reads_one_table(query: Any) -> bool:
    """Say whether *query* certainly reads no table but its model's own."""
    if query.combinator or query.select_related or query.distinct_fields or query.annotations or query.extra:
        return False
    if query.extra_tables or query.extra_order_by or getattr(query, "inner_query", None) is not None:
        return False
    if len(query.alias_map) > 1 and sum(map(bool, query.alias_refcount.values())) > 1:
        return False
    ordering = query.order_by or (query.model._meta.ordering if query.default_ordering else ())
    return (not ordering or _orders_by_own_columns(query.model, ordering)) and not _nests(query.where)


def _orders_by_own_columns(model: type[Model], ordering: Iterable[Any]) -> bool:
    return all(isinstance(term, str) and "__" not in term and not _is_relation(model, term) for term in ordering)


@lru_cache(maxsize=1024)
def _is_relation(model: type[Model], term: str) -> bool:
    """Say whether *term* names a relation: ordering by it orders by the related model's own ordering, which joins."""
    name = term.lstrip("-")
    if name == "pk":
        return False
    field = next((field for field in model._meta.get_fields() if field.name == name), None)
    return field is not None and field.is_relation


def _nests(node: Any) -> bool:
    """Say whether a condition holds anything but a column and plain values."""
    for child in node.children:
        if type(getattr(child, "lhs", None)) is Col:
            if type(child.rhs) not in _VALUES and _holds_expression(child.rhs):
                return True
        elif not isinstance(child, WhereNode) or _nests(child):
            return True
    return False


def _holds_expression(rhs: Any) -> bool:
    if isinstance(rhs, (list, tuple, set, frozenset)):
        return any(is_expression(value) for value in rhs)
    return is_expression(rhs)


def _by_key(query: Any, placement: ModelPlacement) -> Alias | None:
    """Return the shard of ``key = value``, by far the most common condition, without the general machinery.

    That no value is an expression was looked at before.

    What else is demanded can only leave fewer rows, and where it contradicts the key none, which that shard can say.
    """
    where = query.where
    if where.negated or where.connector != AND:
        return None
    table = query.model._meta.db_table
    for lookup in where.children:
        if not is_exact(lookup) or lookup.rhs is None or lookup.lhs.alias != table:
            continue
        column = (lookup.lhs.target.column,)
        for locator in placement.locators:
            if locator.columns == column:
                return owners.find(locator, (lookup.rhs,))
    return None


def _by_hint(query: Any, placement: ModelPlacement, hints: Mapping[str, Any]) -> Alias | None:
    """Use the instance that Django passes along, when the query asks for that very row by its primary key.

    A prefetch passes one instance of many, so the values compared decide and not the hint alone. An instance that was
    given another primary key since it was read stands for another row, which may be anywhere.
    """
    instance = hints.get("instance")
    state = getattr(instance, "_state", None)
    alias: Alias | None = getattr(state, "shard_alias", None)
    if instance is None or alias is None or placement_of(type(instance)).model is not placement.model:
        return None
    if query.where.negated or query.where.connector != AND:
        return None
    pk = placement.model._meta.pk
    for lookup in query.where.children:
        compares = isinstance(lookup.lhs, Col) and lookup.lhs.target.column == pk.column
        if compares and (is_exact(lookup) or is_in(lookup)):
            return alias if literals(lookup) == [instance.pk] == [getattr(state, "shard_pk", None)] else None
    return None
