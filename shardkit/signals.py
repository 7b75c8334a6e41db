"""Who wants to know what shardkit decides?"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from django.dispatch import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shardkit.routing.plan import Plan

#: Sent when a statement has its plan and before it runs, in the thread that runs it. The sender is the model; *plan*
#: says the databases and why, and *operation* is ``"select"``, ``"insert"``, ``"update"``, ``"delete"``, or ``"save"``
#: for one instance, which the database may insert or update. A statement that will be refused has a plan too; one that
#: `.using()` sends to a shard has none.
query_planned = Signal()


#: What runs here is part of a statement whose plan was announced.
_announced: Final[ContextVar[bool]] = ContextVar("shardkit_announced", default=False)


def announce(model: type[Any] | None, plan: Plan, operation: str) -> None:
    """Send `query_planned`, if anybody listens."""
    if query_planned.receivers and not _announced.get():
        query_planned.send(sender=model, plan=plan, operation=operation)


@contextmanager
def announced_already() -> Iterator[None]:
    """Send nothing inside the block, whose statements together do what was announced."""
    token = _announced.set(True)
    try:
        yield
    finally:
        _announced.reset(token)
