"""What does PostgreSQL make of parts?

An average or variance of exact numbers is made as the server makes it, digit by digit; that of floats from the count,
mean and distances of each part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django.db.models import Aggregate, Avg, CharField, Count, Field, Func, Max, Min, Sum, TextField, Variance
from django.db.models.expressions import Col, CombinedExpression

from shardkit.vendors.aggregates.base import MEAN, Aggregates, Described, Split, is_sample, over

_SMALL: Final = frozenset({"smallint", "integer"})
_EXACT: Final = frozenset({*_SMALL, "bigint", "numeric"})
_FLOAT: Final = frozenset({"real", "double precision"})

# numeric_stddev_internal(): the quotient's digits are those that the server's division chooses for these operands.
_DISTANCES: Final = "(SUM({0}) * SUM({2}) - SUM({1})::numeric * SUM({1}))"
# sqrt() rounds where it likes; ten digits more, and the second rounding is the one that counts. NaN has no scale.
_ROOT: Final = "round(sqrt(round({x}, COALESCE(scale({x}), 0) + 10)), COALESCE(scale({x}), 0))"

# The server's own last steps: its operators raise an error where a result is too small for a float, these do not. A
# state is count, sum and distances.
_STATE: Final = "ARRAY[COALESCE({count}, 0)::float8, COALESCE({sum}, 0)::float8, COALESCE({distances}, 0)::float8]"
_AVERAGE: Final = f"float8_avg({_STATE.replace('{distances}', '0')})"
# Squares of what is smaller are 0.
_SQUARE: Final = f"CASE WHEN abs({{1}} - {MEAN}) < 1.5e-162 THEN 0 ELSE ({{1}} - {MEAN}) * ({{1}} - {MEAN}) END"
_FLOAT_DISTANCES: Final = f"SUM({{2}} + {{0}} * {_SQUARE})"

# An expression that is no text has the default collation as text.
_DESCRIBE: Final = "pg_typeof(t.c{n})::text, pg_collation_for(t.c{n}::text)"


class PostgreSQLAggregates(Aggregates):
    """What PostgreSQL makes of parts."""

    count: ClassVar[str] = "COALESCE(SUM({0}), 0)::bigint"
    mean: ClassVar[str] = (
        f"float8_avg({_STATE.format(count='SUM({0}) {over}', sum='SUM({0} * {1}) {over}', distances=0)})"
    )

    def depends_on_type(self, node: Any) -> bool:
        """Say yes of a sum, whose type is another than what it sums, and of text."""
        match node:
            case Count():
                return may_be_text_once(node)
            case Max() | Min():
                return may_be_text(node.source_expressions[0])
            case _:
                return isinstance(node, Aggregate) or may_be_text(node)

    def describing(self, count: int) -> tuple[str, str] | None:
        """Ask for types and collations: the rows are none, and the columns are there."""
        columns = ", ".join(_DESCRIBE.format(n=n) for n in range(count))
        return f"SELECT {columns} FROM (SELECT 1) AS one LEFT JOIN (", ") AS t ON TRUE"  # noqa: S608

    def described(self, expressions: Sequence[Any], cursor: Any) -> list[Described]:
        """Read one row of types and collations."""
        del expressions
        row = cursor.fetchone()
        pairs = zip(row[::2], row[1::2], strict=True)
        return [Described(type_, None if name == '"default"' else _unquoted(name)) for type_, name in pairs]

    def _sum(self, node: Any, argument: Described) -> Split:
        return Split((node,), "SUM({0})::bigint" if argument.type in _SMALL else "SUM({0})")

    def _average(self, node: Any, argument: Described) -> Split:
        if argument.type in _FLOAT:
            whole = _AVERAGE.format(count="SUM({1})", sum="SUM({0})")
            return Split((over(node, Sum, _float(node)), over(node, Count)), whole)
        whole = "SUM({0})::numeric" if argument.type in _EXACT else "SUM({0})"
        return Split((over(node, Sum), over(node, Count)), f"{whole} / NULLIF(SUM({{1}}), 0)")

    def _spread(self, node: Any, argument: Described) -> Split:
        if argument.type not in _EXACT:
            return self._spread_of_floats(node)
        number = Func(node.source_expressions[0], template="(%(expressions)s)::numeric", output_field=Field())
        squared = CombinedExpression(number, "*", number, output_field=Field())
        divisor = "(SUM({0}) * (SUM({0}) - 1))" if is_sample(node) else "(SUM({0}) * SUM({0}))"
        quotient = f"({_DISTANCES} / NULLIF({divisor}, 0))"
        finish = quotient if isinstance(node, Variance) else _ROOT.replace("{x}", quotient)
        least = 1 if is_sample(node) else 0
        whole = f"CASE WHEN {_DISTANCES} <= 0 THEN 0::numeric ELSE {finish} END"
        parts = (over(node, Count), over(node, Sum), over(node, Sum, squared))
        return Split(parts, f"CASE WHEN SUM({{0}}) > {least} THEN {whole} END")

    def _spread_of_floats(self, node: Any) -> Split:
        values = _float(node)
        distances = CombinedExpression(over(node, Variance, values), "*", over(node, Count), output_field=Field())
        state = _STATE.format(count="SUM({0})", sum=0, distances=_FLOAT_DISTANCES)
        whole = f"float8_{node.function.lower()}({state})"
        return Split((over(node, Count), over(node, Avg, values), distances), whole)


def may_be_text(expression: Any) -> bool:
    """Say whether the values of *expression* could be text: what is no column of ours may be anything.

    What Django takes an expression for, somebody may have told it without looking.
    """
    if not isinstance(expression, Col) or not expression.target.model._meta.managed:
        return True
    field = expression.target
    known = {
        "Date",
        "Float",
        "Integer",
        "Decimal",
        "Boolean",
        "Auto",
        "Time",
        "UUID",
        "Duration",
        "Binary",
        "ForeignKey",
    }
    if isinstance(field, (CharField, TextField)):
        return True
    target = getattr(field, "target_field", field)
    return not any(word in target.get_internal_type() for word in known - {"ForeignKey"})


def may_be_text_once(node: Any) -> bool:
    """Say whether the aggregate *node* looks at each value once, and the values could be text."""
    return bool(node.distinct) and may_be_text(node.source_expressions[0])


def _float(node: Any) -> Func:
    return Func(node.source_expressions[0], template="(%(expressions)s)::double precision", output_field=Field())


def _unquoted(name: str | None) -> str | None:
    """Return the name in a quoted identifier."""
    return name and name.removeprefix('"').removesuffix('"').replace('""', '"')
