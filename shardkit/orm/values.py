"""Does a value that is written read rows, and are they where the value is written?

A row is written on its shard, which answers a subquery among its values from what it has. One that has to see other
rows must be planned, or refused.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models.base import ModelState
from django.db.models.expressions import RawSQL

from shardkit.errors import CrossShardQuery
from shardkit.orm._django import Query
from shardkit.orm.planning import plan_of_nested
from shardkit.routing.expressions import tables_in_text, walk
from shardkit.routing.pins import is_expression
from shardkit.routing.plan import Single
from shardkit.routing.registry import Kind
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import Model

    from shardkit.topology.names import Alias

#: What nearly all values are, and what else an instance has. None of these reads rows.
_PLAIN: Final = frozenset({
    *(bool, int, float, str, bytes, type(None), Decimal, UUID, dt.date, dt.datetime, dt.time, dt.timedelta),
    *(dict, list, tuple, ModelState),
})  # fmt: skip


def read_rows(instance: Any) -> bool:
    """Say whether a value of *instance* is an expression that reads rows."""
    values = vars(instance).values()
    return not _PLAIN.issuperset(map(type, values)) and any(True for _ in _readers(values))


def _readers(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the queries and the raw SQL inside the expressions among *values*."""
    for value in values:
        if type(value) not in _PLAIN and is_expression(value):
            yield from (node for node in walk(value) if isinstance(node, (Query, RawSQL)))


def require_readable(model: type[Model], instances: Iterable[Any], alias: Alias, operation: str) -> None:
    """Refuse to insert *instances* on *alias* when their values read rows that it has not, or not all of."""
    for instance in instances:
        if _PLAIN.issuperset(map(type, vars(instance).values())):
            continue
        for reader in _readers(vars(instance).values()):
            if not _is_answered_on(reader, alias):
                raise CrossShardQuery(
                    f"{model._meta.label}: {operation}",
                    "rows of other databases",
                    f"a value is an expression that reads what {alias!r} does not have",
                    "Read the value first, and write what was read.",
                )


def _is_answered_on(reader: Any, alias: Alias) -> bool:
    if isinstance(reader, RawSQL):
        return all(placement.kind is Kind.REFERENCE for placement in tables_in_text(reader.sql))
    plan, kinds = plan_of_nested(reader, reader.get_compiler(LOGICAL))
    return (isinstance(plan, Single) and plan.alias == alias) or kinds <= {Kind.REFERENCE}
