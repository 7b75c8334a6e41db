"""How do rows of several databases come to be a table of one?

All sources are asked, at the same time where they are different databases, and what they answer is spent from the
budget as it comes. The rows then stand in the statement itself, as common table expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.fanout import Job, run
from shardkit.shadows.budget import Budget
from shardkit.shadows.shapes import Shadow
from shardkit.shadows.statement import Shadowed
from shardkit.shadows.transport import Load, Transport
from shardkit.shadows.transports import transport_to


@contextmanager
def shadowed(connection: BaseDatabaseWrapper, shadows: Sequence[Shadow], budget: Budget) -> Iterator[Shadowed]:
    """Let statements on *connection* find the rows of *shadows* inside the block.

    The sources are read on this thread's own connections, in whatever transactions those are. Raise
    `GatherLimitExceeded` when there are more rows than *budget* allows. A statement has to be executed, and its rows
    fetched, inside the block.
    """
    transport = transport_to(connection)
    loads = [Load.of(shadow) for shadow in shadows]
    _read(transport, loads, budget)
    expressions: list[str] = []
    params: list[Any] = []
    for load in loads:
        sql, values = transport.expression(load)
        expressions.append(sql)
        params += values
    rows = sum(len(load.rows) for load in loads)
    yield Shadowed(transport, "cte", rows, expressions, tuple(params))


def _read(transport: Transport, loads: Sequence[Load], budget: Budget) -> None:
    """Ask the sources of all *loads* at the same time, and take in what they answer."""
    with ExitStack() as stack:
        asked = [
            (
                load,
                Job(
                    source.alias,
                    stack.enter_context(connections[source.alias].cursor()),
                    *transport.question(source, load),
                ),
            )
            for load in loads
            for source in load.shadow.sources
        ]
        run([job for _, job in asked])
        for load, job in asked:
            if not load.is_typed:
                load.know_types(transport.types(job.cursor, load))
            for rows, size in transport.answer(job.cursor):
                budget.spend(load.shadow.name, len(rows), size)
                load.rows += rows
