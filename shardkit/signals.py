"""Who wants to know what shardkit decides?"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from django.dispatch import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shardkit.replication.selection import Choice
    from shardkit.routing.plan import Plan
    from shardkit.topology.names import Alias

#: Sent when a statement has its plan and before it runs, in the thread that runs it. The sender is the model; *plan*
#: says the databases and why, and *operation* is ``"select"``, ``"insert"``, ``"update"``, ``"delete"``, or ``"save"``
#: for one instance, which the database may insert or update. A statement that will be refused has a plan too; one that
#: `.using()` sends to a shard has none.
query_planned = Signal()
#: Sent after a statement has read a primary that has replicas. The sender is the model; *primary* is the alias that
#: holds the rows, *alias* the database that answered, *role* ``"primary"`` or ``"replica"``, and *why* the reason.
read_routed = Signal()
#: The same is logged here, with level DEBUG.
logger: Final = logging.getLogger("shardkit.reads")


#: What runs here is part of a statement whose plan was announced.
_announced: Final[ContextVar[bool]] = ContextVar("shardkit_announced", default=False)


def announce(model: type[Any] | None, plan: Plan, operation: str) -> None:
    """Send `query_planned`, if anybody listens."""
    if query_planned.receivers and not _announced.get():
        query_planned.send(sender=model, plan=plan, operation=operation)


def announce_reads(model: type[Any] | None, choices: Mapping[Alias, Choice]) -> None:
    """Send `read_routed` for each primary of a statement, and log it."""
    is_logged = logger.isEnabledFor(logging.DEBUG)
    if not (is_logged or read_routed.receivers):
        return
    for primary, choice in choices.items():
        told = {"primary": primary, "alias": choice.alias, "role": choice.role.value, "why": choice.why}
        if is_logged:
            logger.debug("%s read from %s: %s", primary, choice.alias, choice.why, extra=told)
        read_routed.send(sender=model, **told)


@contextmanager
def announced_already() -> Iterator[None]:
    """Send nothing inside the block, whose statements together do what was announced."""
    token = _announced.set(True)
    try:
        yield
    finally:
        _announced.reset(token)
