"""Which rows come after this one in the order of a queryset?

An order becomes *keys*: expressions that the database compares, the last of them a primary key, so that no two rows
are equal. The rows behind a row are those with greater keys, as the database sees greater: a page in the middle costs
what the first one costs, and rows that come or go elsewhere move nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connections, router
from django.db.models import DecimalField, FloatField
from django.db.models.expressions import Col, ColPairs, ExpressionWrapper, OrderBy, RawSQL, Ref
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Random
from django.db.models.lookups import IsNull
from django.db.models.sql.where import AND, OR, WhereNode

from shardkit.errors import OrderNotPageable
from shardkit.routing.expressions import has_window, walk
from shardkit.routing.graph import inner_joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field

_ASK_FOR_ORDER: Final = "Order by columns, or by expressions whose value every row keeps."


@dataclass(frozen=True, kw_only=True)
class Key:
    """One expression that a queryset is ordered by."""

    expression: Any
    is_descending: bool
    #: What the query says about NULL: first, last, or nothing.
    nulls: str | None
    #: Where NULL therefore stands.
    nulls_first: bool
    may_be_null: bool
    #: The attribute of an instance that has the value; None where it must be selected.
    attribute: str | None

    @property
    def order(self) -> OrderBy:
        """The key as it stands in ORDER BY."""
        first, last = (True if self.nulls == where else None for where in ("first", "last"))
        return OrderBy(self.expression, descending=self.is_descending, nulls_first=first, nulls_last=last)

    def reversed(self) -> Key:
        """Return the key of the opposite order."""
        opposite = {"first": "last", "last": "first"}.get(self.nulls or "")
        return replace(self, is_descending=not self.is_descending, nulls=opposite, nulls_first=not self.nulls_first)

    def equals(self, value: Any) -> Any:
        """Return the condition of rows that tie with *value*."""
        return self.is_null(is_null=True) if value is None else self._compared("exact", value)

    def is_null(self, *, is_null: bool) -> IsNull:
        """Return the condition of rows without a value, or of those with one."""
        return IsNull(self.expression, is_null)

    def after(self, value: Any) -> list[Any]:
        """Return the conditions of the rows behind *value*, each of which is enough."""
        if value is None:
            return [self.is_null(is_null=False)] if self.nulls_first else []
        found = [self._compared("lt" if self.is_descending else "gt", value)]
        if self.may_be_null and not self.nulls_first:
            found.append(self.is_null(is_null=True))
        return found

    def not_before(self, value: Any) -> Any:
        """Return the condition of the rows at *value*, which is not NULL, or behind it, NULL apart."""
        return self._compared("lte" if self.is_descending else "gte", value)

    def _compared(self, lookup: str, value: Any) -> Any:
        return self.expression.get_lookup(lookup)(self.expression, value)


class Keyset:
    """A queryset in the order of its keys."""

    def __init__(self, queryset: Any) -> None:
        """Take a copy of *queryset*, and see what it is ordered by."""
        self.queryset: Any = queryset._chain()
        self.query = self.queryset.query
        self.label: str = queryset.model._meta.label
        self.alias: str = queryset._db or router.db_for_read(queryset.model)
        self._require_rows()
        found = list(self._orders())
        keys = [self._key(order) for order in found]
        own = self.query.get_initial_alias()
        missing = {field.column: field for field in queryset.model._meta.pk_fields}
        for position, key in enumerate(keys):
            if isinstance(key.expression, Col) and key.expression.alias == own:
                missing.pop(key.expression.target.column, None)
            if not missing:  # no two rows are equal by now
                del keys[position + 1 :]
                break
        descends = keys[-1].is_descending if keys else False
        keys += [self._key(OrderBy(field.get_col(own), descending=descends)) for field in missing.values()]
        self.keys: tuple[Key, ...] = tuple(keys)

    @cached_property
    def connection(self) -> BaseDatabaseWrapper:
        """The connection of the database that is asked first."""
        return connections[self.alias]

    def text(self) -> str | None:
        """Return the statement's text without what it selects and without its values; None if no row can match."""
        query = self._sorted(self.keys).query.clone()
        query.select_for_update = False
        query.clear_select_clause()
        query.select = (query.get_meta().pk_fields[0].get_col(query.get_initial_alias()),)
        try:
            sql, _params = query.get_compiler(connection=self.connection).as_sql()
        except EmptyResultSet:
            return None
        return str(sql)

    def parts(self, keys: Sequence[Key], values: Sequence[Any] | None, *, inclusive: bool) -> Iterator[Any]:
        """Yield querysets that together have, part after part, the rows behind *values*, all without any.

        There are two where a database could not walk an index over both: the rows that have no value to order by
        first, and those that have.
        """
        if values is None:
            yield self._sorted(keys)
            return
        lead, value = keys[0], values[0]
        rest = _behind(keys[1:], values[1:], inclusive=inclusive)
        same = [] if rest is None else [_all_of(lead.equals(value), rest)]
        if value is None:
            near, far = same, lead.after(value)
        else:
            behind, *far = lead.after(value)
            near = [_all_of(lead.not_before(value), _any_of(behind, *same))] if same else [behind]
        for conditions in (near, far):
            if conditions:
                part = self._sorted(keys)
                part.query.where.add(_any_of(*conditions), AND)
                yield part

    def _sorted(self, keys: Sequence[Key]) -> Any:
        rows = self.queryset._chain()
        rows.query.clear_ordering(force=True, clear_default=True)
        rows.query.order_by = tuple(key.order for key in keys)
        rows.query.standard_ordering = True
        return rows

    def _require_rows(self) -> None:
        query = self.query
        if query.is_sliced:
            raise TypeError("Cannot page through a query once a slice has been taken.")
        if query.combinator:
            self._refuse(f"it is a {query.combinator}", "Filter one queryset by conditions joined with |.")
        if query.distinct_fields:
            self._refuse("DISTINCT ON chooses among rows of other pages", "Leave out the fields of distinct().")
        if has_window(query):
            self._refuse("a window function would see one page only", "Annotate the rows of each page.")
        grouped = isinstance(query.group_by, tuple)
        if grouped or (query.distinct and query.has_select_fields):
            self._refuse("its rows are groups, which have no primary key", "Use Django's Paginator.")
        if query.extra_order_by:
            self._refuse("extra(order_by=…) orders it", _ASK_FOR_ORDER)

    def _orders(self) -> Iterator[OrderBy]:
        """Yield what the queryset is ordered by, with the joins that this needs made in it."""
        compiler = self.query.get_compiler(connection=self.connection, elide_empty=False)
        compiler.setup_query()
        for order, _sql in compiler.get_order_by():
            expression = _meant(order.expression)
            for each in expression.get_cols() if isinstance(expression, ColPairs) else [expression]:
                copied = order.copy()
                copied.expression = each
                yield copied

    def _key(self, order: OrderBy) -> Key:
        expression: Any = order.expression
        field: Any = expression.output_field
        self._require_values(expression, getattr(field, "target_field", field))
        may_be_null = not isinstance(expression, Col) or (
            expression.target.null or expression.alias not in inner_joined(self.query)
        )
        attribute = self._attribute(expression)
        if isinstance(field, DecimalField) and self.connection.ops.get_db_converters(expression):
            # The database has none: they are floats, and what is read is rounded and would not be found again.
            expression, attribute = ExpressionWrapper(expression, FloatField()), None
        nulls = "first" if order.nulls_first else "last" if order.nulls_last else None
        smallest = self.connection.features.order_by_nulls_first
        return Key(
            expression=expression,
            is_descending=order.descending,
            nulls=nulls,
            nulls_first=nulls == "first" if nulls else smallest is not order.descending,
            may_be_null=may_be_null,
            attribute=attribute,
        )

    def _require_values(self, expression: Any, field: Field[Any, Any]) -> None:
        """Insist that equal rows stay equal, and that what is read can be looked for again."""
        for node in walk(expression):
            if isinstance(node, (Random, RawSQL)):
                self._refuse(f"{type(node).__name__} orders it", _ASK_FOR_ORDER)
            if isinstance(node, KeyTransform):
                self._refuse("a part of a JSONField orders it", _ASK_FOR_ORDER)
        if hasattr(field, "from_db_value") or hasattr(field, "base_field"):
            self._refuse(f"values of a {type(field).__name__} order it", _ASK_FOR_ORDER)

    def _attribute(self, expression: Any) -> str | None:
        """Name the attribute that an instance keeps the value of *expression* in, if it surely does."""
        query = self.query
        for name, annotation in query.annotation_select.items():
            if annotation is expression:
                return str(name)
        if not isinstance(expression, Col) or expression.alias != query.get_initial_alias():
            return None
        field: Any = expression.target
        return str(field.attname) if field.primary_key or not query.deferred_loading[0] else None

    def _refuse(self, why: str, remedy: str) -> None:
        raise OrderNotPageable(self.label, why, remedy)


def _meant(expression: Any) -> Any:
    """Return what *expression* refers to, when it is a name or number of something selected."""
    return _meant(*expression.get_source_expressions()) if isinstance(expression, Ref) else expression


def _behind(keys: Sequence[Key], values: Sequence[Any], *, inclusive: bool) -> Any:
    """Return the condition of the rows behind *values*, and at them if *inclusive*; None where there are none."""
    if not keys:
        return WhereNode() if inclusive else None
    rest = _behind(keys[1:], values[1:], inclusive=inclusive)
    found = keys[0].after(values[0])
    if rest is not None:
        found.append(_all_of(keys[0].equals(values[0]), rest))
    return _any_of(*found) if found else None


def _all_of(*conditions: Any) -> WhereNode:
    return WhereNode([each for each in conditions if each or not isinstance(each, WhereNode)], AND)


def _any_of(*conditions: Any) -> WhereNode:
    return WhereNode(list(conditions), OR)
