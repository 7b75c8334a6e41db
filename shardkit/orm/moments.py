"""How do the databases of one UPDATE see one clock?

Each has its own, and one database would have looked at its clock once. So `default` is asked for the time, and what it
says is written everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections, models

from shardkit.catalog.statements import own_statements
from shardkit.routing.expressions import is_clock, walk
from shardkit.routing.pins import is_expression
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Assignment = tuple[Any, Any, Any]


class Moment(models.Expression):
    """The time as the driver read it, which the database takes for the same time."""

    def __init__(self, value: Any, output_field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.value = value

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG002 - Django's signature
        """Hand over the value."""
        return "%s", (self.value,)


def at_one_moment(source: Any) -> Any:
    """Return *source*, an UPDATE, with the time of `default` in place of each clock among the new values."""
    everything = [*source.values, *(one for written in source.related_updates.values() for one in written)]
    clocks = {node for _, _, value in everything if is_expression(value) for node in walk(value) if is_clock(node)}
    if not clocks:
        return source
    moments = {clock: Moment(_time(source, clock), clock.output_field) for clock in clocks}
    query = source.clone()
    query.values = _stopped(source.values, moments)
    query.related_updates = {model: _stopped(written, moments) for model, written in source.related_updates.items()}
    return query


def _stopped(written: Iterable[Assignment], moments: Mapping[Any, Moment]) -> list[Assignment]:
    return [
        (field, model, value.replace_expressions(moments) if is_expression(value) else value)
        for field, model, value in written
    ]


def _time(source: Any, clock: Any) -> Any:
    """Ask for what *clock* shows."""
    sql, params = source.get_compiler(LOGICAL).compile(clock)
    with own_statements(), connections[LOGICAL].cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return cursor.fetchone()[0]
