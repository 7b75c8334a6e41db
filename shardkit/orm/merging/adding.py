"""When do the aggregates of the shards make the whole without asking a database once more?

Counts add up, so do sums of integers, and the least of some integers or dates is the least of them in Python too.
Everything else has an order, an equality or an arithmetic of the database's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet
from django.db.models import Count, Max, Min, Sum
from django.db.models.expressions import Col

from shardkit.orm.merging.grouping import Narrowed
from shardkit.orm.parts import compiler_on, describe_as, open_parts

if TYPE_CHECKING:
    from shardkit.topology.names import Alias

#: What a sum of integers may come to: beyond that some databases raise an error.
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_INTEGERS: Final = ("IntegerField", "AutoField")
_MOMENTS: Final = frozenset({"DateField", "DateTimeField"})


def adds_up(query: Any) -> bool:
    """Say whether *query* selects nothing but aggregates whose whole Python may make."""
    if query.group_by is not None or query.distinct or query.where.contains_aggregate:
        return False
    return all(map(_is_plain, query.annotation_select.values()))


def add_up(compiler: Any, aliases: Sequence[Alias]) -> tuple[Any, ...] | None:
    """Run the statement of *compiler* on all shards and return the whole, None when the values are none that add up."""
    narrowed, how = Narrowed(compiler.query), {"elide_empty": compiler.elide_empty}
    parts = open_parts((alias, compiler_on(alias, narrowed.on(alias), **how)) for alias in aliases)
    describe_as(compiler, parts[0].compiler)
    rows = [row for part in parts for row in part.rows()]
    if not rows:  # all aggregates are of nothing, and so are constants of no row
        raise EmptyResultSet
    nodes = compiler.query.annotation_select.values()
    wholes = []
    for node, values in zip(nodes, zip(*rows, strict=True), strict=True):
        known = [value for value in values if value is not None]
        if not _are_comparable(known):
            return None
        wholes.append(_WHOLES[type(node)](known) if known else None)
    return None if any(map(_is_too_great, wholes)) else tuple(wholes)


def _is_plain(node: Any) -> bool:
    if type(node) not in _WHOLES or node.extra or getattr(node, "distinct", False):
        return False
    argument = node.source_expressions[0]
    if isinstance(node, Count):
        return True
    if not isinstance(argument, Col):
        return False
    kind = getattr(argument.target, "target_field", argument.target).get_internal_type()
    return kind.endswith(_INTEGERS) or (kind in _MOMENTS and not isinstance(node, Sum))


def _are_comparable(values: Sequence[Any]) -> bool:
    """Say whether *values* are of one type that Python adds and orders as databases do."""
    kinds = {type(value) for value in values}
    return len(kinds) <= 1 and kinds <= {int, Decimal, str, dt.date, dt.datetime}


def _is_too_great(value: Any) -> bool:
    return type(value) is int and not _LEAST <= value <= _GREATEST


def _sum(values: Sequence[Any]) -> Any:
    whole = sum(map(int, values))
    return type(values[0])(whole)


_WHOLES: Final[dict[type[Any], Callable[[Sequence[Any]], Any]]] = {Count: _sum, Sum: _sum, Max: max, Min: min}
