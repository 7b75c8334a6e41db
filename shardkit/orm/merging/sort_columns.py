"""How does a shard's statement hand out what its rows are sorted by?

By columns behind those that Django selects, which are cut off again before a row leaves. What is selected anyway is
not selected twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.db.models.expressions import Col, ColPairs, OrderBy, Ref

from shardkit.merge.errors import OrderUnknown
from shardkit.merge.ordering import ITSELF, Kind, Ordering, Sorted
from shardkit.merge.registry import ordering_of
from shardkit.merge.terms import Term
from shardkit.orm.distinct_groups import DistinctGroups
from shardkit.orm.merging.sort_kinds import kind_of_sort
from shardkit.orm.parameters import all_as_sent
from shardkit.orm.parts import width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# What SELECT DISTINCT selects for NULLS FIRST or LAST, where Django writes that as two terms: two columns.
_EMULATED: Final = re.compile(r"(?P<key>.*) IS (NOT )?NULL, (?P=key)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SortTerm:
    """One term of the ORDER BY of a statement, and the columns that decide it."""

    what: Sorted
    positions: tuple[int, ...]
    order: OrderBy

    def nulls_first(self, ordering: Ordering) -> bool:
        """Say where NULL goes, by the statement or else by the database."""
        if self.order.nulls_first or self.order.nulls_last:
            return bool(self.order.nulls_first)
        return ordering.nulls_are_largest is bool(self.order.descending)

    def resolved(self, ordering: Ordering) -> Term:
        """Return the term as the merge takes it."""
        return Term(
            self.positions,
            bool(self.order.descending),
            self.nulls_first(ordering),
            lambda columns: ordering.keys(self.what, columns),
        )


class SortColumns:
    """Select what the rows are sorted by (a mixin over a vendor's `SQLCompiler`)."""

    if TYPE_CHECKING:
        query: Any
        connection: Any
        select: Any
        compile: Any
        qualify: Any
        beyond: tuple[str, ...]
        _meta_ordering: Any

    #: Whether to trust no model about the types of what is sorted by.
    careful = False
    #: The terms of the ORDER BY, once the statement is compiled; none if its rows have no order.
    terms: tuple[SortTerm, ...] = ()
    #: How many columns of a row are Django's, if there are others.
    width: int | None = None
    #: How many columns were added behind Django's.
    added = 0
    #: The statement, once it is compiled; none if it can match nothing.
    compiled: tuple[str, Any] | None = None

    def as_sql(self, *args: Any, **options: Any) -> tuple[str, Any]:
        """Compile the statement and remember it, for other shards that run the same."""
        self.compiled = super().as_sql(*args, **options)  # type: ignore[misc]
        return self.compiled

    def get_extra_select(self, order_by: Any, select: Any) -> list[Any]:
        """Select what Django selects for SELECT DISTINCT, and then what decides the order."""
        extra: list[Any] = list(super().get_extra_select(order_by, select))  # type: ignore[misc]
        self.terms, self.added = (), 0
        self.width = width_of(select) if extra else None
        # A grouped statement loses the order of its model's Meta, and one with a filtered window is wrapped later.
        if self.qualify or (self.query.group_by is not None and self._meta_ordering):
            return extra
        columns = _Columns([*select, *extra])
        terms: list[SortTerm] = []
        for number, (order, (_, params, is_ref)) in enumerate(order_by):
            terms += [self._term(part, columns) for part in _parts(order)]
            term = terms[-1]
            if self._is_costly(term):
                order_by[number] = (order, (_by_ordinal(term), type(params)(), is_ref))
        self.terms = tuple(terms)
        self.added = len(columns.added)
        if columns.added:
            self.width = width_of(select)
        return [*extra, *columns.added]

    def get_group_by(self, select: list[Any], order_by: Any) -> list[Any]:
        """Group as if no column were added: those follow from what is grouped by, and would group further."""
        grouped: list[Any] = super().get_group_by(select[: len(select) - self.added], order_by)  # type: ignore[misc]
        return grouped

    def get_qualify_sql(self) -> tuple[list[str], list[Any]]:
        """Select what decides the order around the subquery whose window functions are filtered by."""
        orders: list[OrderBy] = []
        self.compile = self._noting(orders)
        try:
            result, params = super().get_qualify_sql()  # type: ignore[misc]
        finally:
            del self.compile
        names_columns = "*" not in result[0]
        # Where Django names the columns of the subquery, it names one that is selected twice once.
        select = list({column[0]: column for column in self.select}.values()) if names_columns else self.select
        columns = _Columns([*select, *((None, (name, ()), name) for name in self.beyond)])
        self.terms = tuple(self._term(order, columns) for order in orders)
        if columns.added or self.beyond:
            self.width = width_of(select)
        quoted = self.connection.ops.quote_name
        added = "".join(f", {sql} AS {quoted(alias)}" for _, (sql, _), alias in columns.added)
        if names_columns:
            result[1] += added
        else:
            result[0] = result[0].replace("*", f"*{added}", 1)
        return result, params

    def _noting(self, orders: list[OrderBy]) -> Any:
        """Return `compile`, noting the terms of the ORDER BY that follows the condition on window functions."""
        compile_node = self.compile

        def compiling(node: Any) -> Any:
            if isinstance(node, OrderBy):
                orders.append(node)
            elif node is self.qualify:
                orders.clear()
            return compile_node(node)

        return compiling

    def _term(self, order: Any, columns: _Columns) -> SortTerm:
        expression = order.expression
        source = getattr(expression, "source", expression)
        if type(order) is not OrderBy or isinstance(source, ColPairs):
            raise OrderUnknown(f"{type(order).__name__} sorts in a way of its own")
        selected = columns.named(expression)
        if hasattr(expression, "ordinal"):
            selected = expression.ordinal - 1
            source = columns.selected[selected]
        ordering = ordering_of(self.connection)
        what = Sorted(Kind.UNKNOWN) if self.careful else kind_of_sort(source, self.connection)
        probes = ordering.probes(what)
        if self.query.distinct and not ordering.keeps_distinct(what):
            raise OrderUnknown("the text of what it sorts by makes other rows distinct")
        sql, params = self._sorted_sql(expression, source)
        positions = [
            selected
            if selected is not None and probe == ITSELF
            else columns.position(source, probe.replace(ITSELF, sql), tuple(params) * probe.count(ITSELF))
            for probe in probes
        ]
        return SortTerm(what, tuple(positions), order)

    def _is_costly(self, term: SortTerm) -> bool:
        """Say whether to sort by a selected value, where the expression would be evaluated again or otherwise."""
        order = term.order
        modified = order.nulls_first or order.nulls_last
        return (
            not isinstance(order.expression, (Col, Ref))
            and ordering_of(self.connection).probes(term.what)[0] == ITSELF
            and not (modified and not self.connection.features.supports_order_by_nulls_modifier)
        )

    def _sorted_sql(self, expression: Any, source: Any) -> tuple[str, Any]:
        if self.qualify:
            return self.connection.ops.quote_name(expression.refs), ()
        found: tuple[str, Any] = self.compile(source)
        return found


class _Columns:
    """The columns of a statement, by their SQL."""

    def __init__(self, selected: list[Any]) -> None:
        self.added: list[tuple[Any, tuple[str, tuple[Any, ...]], str]] = []
        #: What is selected, column by column: Django counts a composite primary key as one when it refers to a place.
        self.selected: list[Any] = []
        self._names: dict[str, int] = {}
        self._positions: dict[tuple[str, tuple[Any, ...]], int] = {}
        self._end = 0
        for expression, (sql, params), alias in selected:
            self.selected += expression.get_cols() if isinstance(expression, ColPairs) else [expression]
            if alias:
                self._names[alias] = self._end
            twice = _EMULATED.fullmatch(sql) if isinstance(expression, OrderBy) else None
            if twice is not None:
                self._end += 1
                self._positions.setdefault((twice["key"], all_as_sent(params[len(params) // 2 :])), self._end)
            elif not isinstance(expression, ColPairs):
                self._positions.setdefault((sql, all_as_sent(params)), self._end)
            self._end += width_of([(expression,)])

    def named(self, expression: Any) -> int | None:
        """Return where the column is that *expression* refers to by name, if it does."""
        return self._names.get(str(getattr(expression, "refs", ""))) if isinstance(expression, Ref) else None

    def position(self, source: Any, sql: str, params: tuple[Any, ...]) -> int:
        """Return where the column *sql* is, and add it if it is nowhere."""
        key = (sql, all_as_sent(params))
        if key not in self._positions:
            # A name of its own: ORDER BY looks for a bare name among those of the columns first.
            self.added.append((source, (sql, params), f"__sort_{len(self.added)}"))
            self._positions[key] = self._end
            self._end += 1
        return self._positions[key]


def _parts(order: Any) -> list[Any]:
    """Return *order* as a term for each column of a composite primary key."""
    if not isinstance(order.expression, ColPairs):
        return [order]
    parts = []
    for column in order.expression.get_cols():
        parts.append(order.copy())
        parts[-1].set_source_expressions([column])
    return parts


def _by_ordinal(term: SortTerm) -> str:
    direction = "DESC" if term.order.descending else "ASC"
    nulls = " NULLS FIRST" if term.order.nulls_first else " NULLS LAST" if term.order.nulls_last else ""
    return f"{term.positions[0] + 1} {direction}{nulls}"


@cache
def sorting(base: Any) -> type[Any]:
    """Return *base*, a vendor's compiler of SELECT, with the columns that its rows are sorted by."""
    return type(base.__name__, (SortColumns, DistinctGroups, base), {})


def sort_terms(compiler: Any, types: Sequence[Any] | None) -> Iterator[Term]:
    """Yield the terms of a compiled statement whose columns have the driver's *types*, as far as it knows them."""
    ordering = ordering_of(compiler.connection)
    for term in getattr(compiler, "terms", ()):
        ordering.check(term.what, [None if types is None else types[position] for position in term.positions])
        yield term.resolved(ordering)
