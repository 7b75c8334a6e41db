"""What does MariaDB make of parts?

It divides exact numbers with four more decimal places, but only rounds to them what it sends; all its variances are
floats that are printed so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django.db.models import Avg, Count, Field, Func, Max, Min, StdDev, Sum, Variance
from django.db.models.expressions import CombinedExpression

from shardkit.vendors.aggregates.base import Aggregates, Described, Split, from_moments, over
from shardkit.vendors.aggregates.postgresql import may_be_text, may_be_text_once

#: The decimal places that a division adds.
_MORE_PLACES: Final = 4
#: The driver's numbers of the types that are exact: the integers and the two of decimals.
_EXACT: Final = frozenset({0, 1, 2, 3, 8, 9, 246})

_QUOTIENT: Final = re.compile(r"/|\bavg\b", re.IGNORECASE)


class MySQLAggregates(Aggregates):
    """What MariaDB makes of parts."""

    count: ClassVar[str] = "CAST(COALESCE(SUM({0}), 0) AS SIGNED)"

    def depends_on_type(self, node: Any) -> bool:
        """Say yes of text, which has a collation, and of a variance, which has decimal places."""
        match node:
            case Count() | Sum() | Avg():
                return may_be_text_once(node)
            case Max() | Min():
                return may_be_text(node.source_expressions[0])
            case _:
                return isinstance(node, (StdDev, Variance)) or may_be_text(node)

    def describing(self, count: int) -> tuple[str, str] | None:
        """Ask for collations; the driver tells the types."""
        columns = ", ".join(f"COLLATION(t.c{n}), t.c{n}" for n in range(count))
        return f"SELECT {columns} FROM (SELECT 1) AS one LEFT JOIN (", ") AS t ON TRUE"  # noqa: S608

    def described(self, expressions: Sequence[Any], cursor: Any) -> list[Described]:
        """Read collations from the row, types from the driver's description."""
        row = cursor.fetchone()
        del expressions
        found = []
        for collation, (_, code, _, _, _, scale, _) in zip(row[::2], cursor.description[1::2], strict=True):
            found.append(Described(str(code), _of_text(collation), scale if code in _EXACT else None))
        return found

    def rounds(self, sql: str) -> bool:
        """Say yes of quotients, and of means, which are some."""
        return _QUOTIENT.search(sql) is not None

    def _spread(self, node: Any, argument: Described) -> Split:
        # Of a float: that of an exact number would be sent with a few decimal places only.
        values = Func(node.source_expressions[0], template="(%(expressions)s + 0e0)", output_field=Field())
        count = over(node, Count)
        mean = CombinedExpression(over(node, Sum, values), "/", count, output_field=Field())
        distances = CombinedExpression(over(node, Variance, values), "*", count, output_field=Field())
        whole = from_moments(node)
        if argument.scale is not None:
            whole = f"ROUND({whole}, {argument.scale + _MORE_PLACES})"
        return Split((count, mean, distances), whole)


def _of_text(collation: str | None) -> str | None:
    return None if collation in {None, "binary"} else collation
