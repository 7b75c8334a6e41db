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

from shardkit.errors import CrossShardQuery
from shardkit.orm._django import Query
from shardkit.orm.planning import plan_of_nested
from shardkit.routing.expressions import is_clock, walk
from shardkit.routing.opaque import is_opaque, text_of
from shardkit.routing.pins import is_expression
from shardkit.routing.plan import Single
from shardkit.routing.registry import Kind
from shardkit.routing.texts import strangers_in, tables_in_text
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
    return any(_reads(node) for value in _expressions(instance) for node in walk(value))


def ask_clock(instance: Any) -> bool:
    """Say whether a value of *instance* is an expression that asks the clock."""
    return any(is_clock(node) for value in _expressions(instance) for node in walk(value))


def _expressions(instance: Any) -> Iterator[Any]:
    """Yield the expressions among the values of *instance*."""
    values = vars(instance).values()
    for value in () if _PLAIN.issuperset(map(type, values)) else values:
        if type(value) not in _PLAIN and is_expression(value):
            yield value


def _reads(node: Any) -> bool:
    """Say whether *node* reads rows, or is written by somebody else than Django and may do so."""
    return isinstance(node, Query) or is_opaque(node)


def require_readable(model: type[Model], instances: Iterable[Any], alias: Alias, operation: str) -> None:
    """Refuse to insert *instances* on *alias* when their values read rows that it has not, or not all of."""
    for instance in instances:
        for value in _expressions(instance):
            if not _is_answered_on(value, model, alias):
                raise CrossShardQuery(
                    f"{model._meta.label}: {operation}",
                    "rows of other databases",
                    f"a value is an expression that reads what {alias!r} does not have",
                    "Read the value first, and write what was read.",
                )


def _is_answered_on(value: Any, model: type[Model], alias: Alias) -> bool:
    nodes = list(walk(value))
    if not all(_has_rows_of(node, alias) for node in nodes if isinstance(node, Query)):
        return False
    return not any(map(is_opaque, nodes)) or all(map(_reads_copies, _texts(value, model)))


def _has_rows_of(query: Query, alias: Alias) -> bool:
    plan, kinds = plan_of_nested(query, query.get_compiler(LOGICAL))
    return (isinstance(plan, Single) and plan.alias == alias) or kinds <= {Kind.REFERENCE}


def _texts(value: Any, model: type[Model]) -> Iterator[str]:
    """Yield what is written of *value* by somebody else than Django, when a row of *model* is inserted."""
    query = Query(model)
    resolved = value.resolve_expression(query, allow_joins=False, for_save=True)
    yield from (text_of(node, query.get_compiler(LOGICAL)) for node in walk(resolved) if is_opaque(node))


def _reads_copies(text: str) -> bool:
    """Say whether every table that *text* reads is copied to all databases."""
    return not strangers_in(text) and all(found.kind is Kind.REFERENCE for found in tables_in_text(text))
