"""What does a statement group by, what does it aggregate, and how does each shard select that of its rows?

Two mixins over a vendor's compiler: one reads a statement without writing it, one writes a shard's SELECT of parts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models.aggregates import Aggregate

from shardkit.orm.parameters import all_as_sent
from shardkit.routing.narrowing import Narrowing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.topology.names import Alias

#: An expression as it stands in the original statement: its SQL and parameters.
Text = tuple[str, Any]


class NotInParts(Exception):
    """The statement cannot be made of parts; the message says why."""


def text_of(sql: str, params: Any) -> Text:
    """Return what tells an expression from others."""
    return sql, all_as_sent(params)


def is_over_subquery(query: Any) -> bool:
    """Say whether *query* aggregates over the rows of another."""
    return getattr(query, "inner_query", None) is not None


def untouched(compiler: Any) -> Any:
    """Return the vendor's own class of the planning *compiler*."""
    return type(compiler).__bases__[-1]


class Narrowed:
    """A query, for each shard with those values of an IN only that its rows can have, also inside of a subquery."""

    def __init__(self, query: Any) -> None:
        self.query = query
        self._narrowing = Narrowing(query.inner_query if is_over_subquery(query) else query)

    def on(self, alias: Alias) -> Any:
        """Return a copy of the query for the shard *alias*."""
        if not is_over_subquery(self.query):
            return self._narrowing.on(alias)
        query = self.query.clone()
        query.inner_query = self._narrowing.on(alias)
        return query


@cache
def compiler_class(mixin: Any, base: Any) -> Any:
    """Return the compiler *base* with what *mixin* knows."""
    return type(mixin.__name__, (mixin, base), {})


class Reading:
    """Note what a statement groups by, and its aggregates."""

    if TYPE_CHECKING:
        query: Any
        select: Any
        having: Any
        pre_sql_setup: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.grouping: list[Any] = []
        self.extra_select: list[Any] = []
        self.aggregates: dict[Text, Any] = {}

    def read(self) -> None:
        """Prepare the query and look at all of its parts."""
        if is_over_subquery(self.query):
            for annotation in self.query.annotation_select.values():
                self._look_at(annotation)
            return
        extra_select, _, _ = self.pre_sql_setup()
        self.extra_select = [expression for expression, _, _ in extra_select]
        if self.having is not None:
            self._look_at(self.having)

    def compile(self, node: Any) -> Any:
        """Write *node* as the original has it, and note an aggregate."""
        sql, params = super().compile(node)  # type: ignore[misc]
        if isinstance(node, Aggregate):
            self.aggregates[text_of(sql, params)] = node
        return sql, params

    def collapse_group_by(self, expressions: list[Any], having: Any) -> list[Any]:
        """Note all expressions: what one of them decides on its table, it does not decide on partial rows."""
        del having
        self.grouping = list(expressions)
        return expressions

    def _look_at(self, node: Any) -> None:
        try:
            self.compile(node)
        except (EmptyResultSet, FullResultSet):
            return


class Writing:
    """Write the SELECT of parts of a query that was prepared before: all its joins are made."""

    if TYPE_CHECKING:
        query: Any
        using: Any
        elide_empty: bool
        compile: Any
        get_from_clause: Any

    def rows_of(self, expressions: Sequence[tuple[str, Any]], keys: int) -> tuple[str, list[Any]]:
        """Select named *expressions* of the rows, grouped by the first *keys* of them."""
        source, source_params, where, where_params = self._source()
        columns, params = self._columns(expressions)
        grouping = f" GROUP BY {', '.join(str(n + 1) for n in range(keys))}" if keys else ""
        sql = f"SELECT {columns} FROM {source}{where}{grouping}"  # noqa: S608 - compiled by Django
        return sql, [*params, *source_params, *where_params]

    def no_rows_of(self, expressions: Sequence[tuple[str, Any]]) -> tuple[str, list[Any]]:
        """Select named *expressions* of no row."""
        source, source_params, _, _ = self._source()
        columns, params = self._columns(expressions)
        sql = f"SELECT {columns} FROM {source} WHERE 0 = 1"  # noqa: S608 - compiled by Django
        return sql, [*params, *source_params]

    def _columns(self, expressions: Sequence[tuple[str, Any]]) -> tuple[str, list[Any]]:
        columns: list[str] = []
        params: list[Any] = []
        for name, expression in expressions:
            sql, more = self.compile(expression)
            columns.append(f"{sql} AS {name}")
            params += more
        return ", ".join(columns), params

    def _source(self) -> tuple[str, Sequence[Any], str, Sequence[Any]]:
        query = self.query
        if is_over_subquery(query):
            inside = query.inner_query.get_compiler(self.using, elide_empty=self.elide_empty)
            sql, params = inside.as_sql(with_col_aliases=True)
            return f"({sql}) subquery", params, "", ()
        tables, params = self.get_from_clause()
        where, _, _ = query.where.split_having_qualify(must_group_by=query.group_by is not None)
        return " ".join(tables), params, *self._condition(where)

    def _condition(self, where: Any) -> tuple[str, Sequence[Any]]:
        if where is None:
            return "", ()
        try:
            sql, params = self.compile(where)
        except FullResultSet:
            return "", ()
        except EmptyResultSet:
            if self.elide_empty:
                raise
            return " WHERE 0 = 1", ()
        return f" WHERE {sql}", params
