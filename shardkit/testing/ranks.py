"""Which rows of an ordered answer are ties?

Only the database can say: it compares text by its collations, and NULL, NaN and -0 by its own rules.
"""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import Expression, OrderBy, Ref
from django.db.models.functions import Random
from django.db.models.sql.query import Query


class _Column(Expression):
    """A column of the answer, by its name alone."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:  # noqa: ARG002
        return str(connection.ops.quote_name(self.name)), ()


def ranks_of(query: Query, connection: Any) -> list[int] | None:
    """Return the dense rank of each row of *query* without its limits, in its order; None if it has no order.

    The answer on *connection* is read in the statement's own terms: its ORDER BY becomes that of a window function
    over all its rows.
    """
    whole: Any = query.chain()
    whole.clear_limits()
    compiler = whole.get_compiler(connection=connection, elide_empty=False)
    order: list[OrderBy] = []
    _select_keys(compiler, order)
    sql, params = compiler.as_sql()
    if not order:
        return None
    width = len(compiler.select) + compiler.selected_keys
    columns = ", ".join(connection.ops.quote_name(f"c{number}") for number in range(1, width + 1))
    terms = ", ".join(compiler.compile(term)[0] for term in order)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH answer ({columns}) AS ({sql}) SELECT DENSE_RANK() OVER (ORDER BY {terms}) FROM answer ORDER BY 1",  # noqa: S608
            params,
        )
        return [rank for (rank,) in cursor.fetchall()]


def _select_keys(compiler: Any, order: list[OrderBy]) -> None:
    """Let *compiler* select what it orders by too, and note in *order* what the columns are called."""
    original = compiler.get_extra_select
    compiler.selected_keys = 0

    def with_keys(order_by: list[Any], select: list[Any]) -> list[Any]:
        extra = list(original(order_by, select))
        order.clear()
        is_left_out = compiler._meta_ordering and compiler.query.group_by is not None  # noqa: SLF001 - Django's
        if is_left_out or any(isinstance(term.expression, Random) for term, _ in order_by):
            order_by = []
        for term, _ in order_by:
            position = _position(term.expression, select)
            if position is None:
                key = term.expression
                extra.append((key, compiler.compile(key), None))
                position = len(select) + len(extra)
            order.append(_ordered_by(f"c{position}", term))
        compiler.selected_keys = len(extra)
        return extra

    compiler.get_extra_select = with_keys


def _position(key: Any, select: list[Any]) -> int | None:
    """Return which of the selected columns *key* refers to, None if it stands for itself."""
    if not isinstance(key, Ref):
        return None
    named: Any = key
    ordinal: int | None = getattr(named, "ordinal", None)
    if ordinal is not None:
        return ordinal
    for number, (expression, _, alias) in enumerate(select, start=1):
        if named.refs == alias or (alias is None and named.source == expression):
            return number
    return None


def _ordered_by(column: str, term: OrderBy) -> OrderBy:
    return OrderBy(
        _Column(column), descending=term.descending, nulls_first=term.nulls_first, nulls_last=term.nulls_last
    )
