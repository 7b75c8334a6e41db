"""Can we see at a glance that one database answers this query?

The shortcut is an accelerator on the way of every queryset: it says an alias only when running the untouched query
there is certainly right, and otherwise nothing, and then the compilers look closer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models.expressions import Col
from django.db.models.sql.where import AND, WhereNode

from shardkit.routing import owners
from shardkit.routing.pins import EXACT, IN, is_expression, literals, pins
from shardkit.routing.registry import Kind, placement_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.db.models.sql.query import Query

    from shardkit.routing.registry import ModelPlacement
    from shardkit.topology.names import Alias


def shortcut(query: Query, hints: Mapping[str, Any]) -> Alias | None:
    """Return the database that certainly answers *query* alone, None when that cannot be seen at a glance."""
    placement = placement_of(query.model)
    if placement.kind not in {Kind.SHARDED, Kind.PLACED} or not _is_plain(query):
        return None
    if placement.kind is Kind.PLACED:
        return placement.alias
    alias = _only_key(query, placement)
    if alias is not None:
        return alias
    table = query.model._meta.db_table
    pin = pins(query.where, {table: placement.locators}, frozenset((table,)))
    if pin is not None and len(pin) == 1:
        return next(iter(pin))
    return _by_hint(query, placement, hints) if pin is None and hints else None


def reads_one_table(query: Query) -> bool:
    """Say whether *query* certainly reads no table but its model's own, on the logical database or wherever it is."""
    return _is_plain(query)


def _is_plain(query: Query) -> bool:
    if query.combinator or query.select_related or query.distinct_fields or query.annotations or query.extra:
        return False
    if getattr(query, "inner_query", None) is not None or query.extra_tables or query.extra_order_by:
        return False
    refcounts = query.alias_refcount
    if len(query.alias_map) > 1 and sum(1 for alias in query.alias_map if refcounts[alias]) > 1:
        return False
    return _orders_by_own_columns(query) and not _nests(query.where)


def _orders_by_own_columns(query: Query) -> bool:
    ordering: Iterable[Any] = query.order_by
    if not ordering and query.default_ordering:
        ordering = query.model._meta.ordering
    for term in ordering:
        if not isinstance(term, str) or "__" in term or _is_relation(query, term):
            return False
    return True


def _is_relation(query: Query, term: str) -> bool:
    """Ordering by a relation's name orders by the related model's own ordering, which joins."""
    field = query.model._meta.fields_map.get(term.lstrip("-")) or query.model._meta._forward_fields_map.get(
        term.lstrip("-")
    )
    return bool(field is not None and field.is_relation and term.lstrip("-") != getattr(field, "attname", None))


def _nests(node: WhereNode) -> bool:
    """Say whether a condition holds anything but a column and plain values."""
    for child in node.children:
        if isinstance(child, WhereNode):
            if _nests(child):
                return True
        elif not isinstance(getattr(child, "lhs", None), Col) or _holds_expression(getattr(child, "rhs", None)):
            return True
    return False


def _holds_expression(rhs: Any) -> bool:
    if isinstance(rhs, (list, tuple, set, frozenset)):
        return any(is_expression(value) for value in rhs)
    return is_expression(rhs)


def _only_key(query: Query, placement: ModelPlacement) -> Alias | None:
    """Return the shard of ``key = value``, the condition by far the most common, without the general machinery."""
    where = query.where
    if len(where.children) != 1 or where.negated:
        return None
    lookup = where.children[0]
    if (
        not isinstance(lookup, EXACT)
        or not isinstance(lookup.lhs, Col)
        or lookup.lhs.alias != query.model._meta.db_table
    ):
        return None
    for locator in placement.locators:
        if locator.columns == (lookup.lhs.target.column,) and lookup.rhs is not None:
            return owners.find(locator, (lookup.rhs,))
    return None


def _by_hint(query: Query, placement: ModelPlacement, hints: Mapping[str, Any]) -> Alias | None:
    """Use the instance that Django passes along, when the query asks for that very row by its primary key.

    A prefetch passes one instance of many, so the values compared decide and not the hint alone.
    """
    instance = hints.get("instance")
    alias: Alias | None = getattr(getattr(instance, "_state", None), "shard_alias", None)
    if instance is None or alias is None or placement_of(type(instance)).model is not placement.model:
        return None
    if query.where.negated or query.where.connector != AND:
        return None
    pk = placement.model._meta.pk
    for lookup in query.where.children:
        if isinstance(lookup, (*EXACT, *IN)) and isinstance(lookup.lhs, Col) and lookup.lhs.target.column == pk.column:
            return alias if literals(lookup) == [instance.pk] else None
    return None
