"""How many statements has this request sent to shards, and which line of the application sent them?

A statement of a plan over several shards counts once for each of them. The count begins anew with every request and
every task of Django's; code of any other kind, and a test, opens a budget of its own by `fanout_budget()`. It follows
the context: a `ContextVar` where there is one per request, and under ASGI, whose server signals from a task of its own,
the object that Django makes for each request there.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.core.signals import request_finished, request_started

from shardkit import conf
from shardkit.calling import calling_line
from shardkit.errors import FanoutBudgetExceeded
from shardkit.routing.plan import Gather, Merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shardkit.routing.plan import Plan

logger = logging.getLogger("shardkit.fanout")

Action = Literal["warn", "raise"]


@dataclass(slots=True, eq=False)
class Tally:
    """What was sent to shards since it began."""

    statements: int = 0
    #: How many of them may be sent; None is any number.
    limit: int | None = None
    action: Action = "warn"
    #: The tally that goes on counting too.
    outer: Tally | None = None
    #: The lines that were warned of: one warning for each is enough.
    warned: set[str] = field(default_factory=set)


_current: ContextVar[Tally | None] = ContextVar("shardkit_fanout_tally", default=None)
#: The tallies of the requests that an ASGI server is at.
_of_requests: Final[WeakKeyDictionary[ThreadSensitiveContext, Tally]] = WeakKeyDictionary()


@contextmanager
def fanout_budget(statements: int | None = None, action: Action | None = None) -> Iterator[Tally]:
    """Let the block send at most *statements* to shards, or as many as the settings allow a request.

    What it sends counts for the request around it too.
    """
    tally = _begun(outer=_tally())
    if statements is not None:
        tally.limit = statements
    if action is not None:
        tally.action = action
    token = _current.set(tally)
    try:
        yield tally
    finally:
        _current.reset(token)


def spend(plan: Plan, model: type[Any] | None, operation: str) -> None:
    """Count the statements that *plan* is about to send to several shards, and warn or raise beyond the budget."""
    if not isinstance(plan, (Merge, Gather)):
        return
    tally = _tally()
    while tally is not None:
        tally.statements += len(plan.aliases)
        if tally.limit is not None and tally.statements > tally.limit:
            _complain(tally, tally.limit, plan, f"{model._meta.label if model else 'a query'}: {operation}")
        tally = tally.outer


def _complain(tally: Tally, limit: int, plan: Merge | Gather, label: str) -> None:
    line = calling_line()
    what = f"{label}, a {type(plan).__name__} over {len(plan.aliases)} shards because {plan.why}"
    error = FanoutBudgetExceeded(tally.statements, limit, line, what)
    if tally.action == "raise":
        raise error
    if line not in tally.warned:
        tally.warned.add(line)
        extra = {"statements": tally.statements, "limit": limit, "line": line, "plan": plan}
        logger.warning("%s", error, extra=extra)


def _tally() -> Tally | None:
    """Return what counts here; nothing does outside of requests, tasks and budgets of the code's own."""
    tally = _current.get()
    if tally is not None:
        return tally
    request = SyncToAsync.thread_sensitive_context.get(None)
    if request is None:
        return None
    return _of_requests.get(request) or _of_requests.setdefault(request, _begun())


def _begun(*, outer: Tally | None = None) -> Tally:
    budget: Mapping[str, Any] | None = conf.get_settings().fanout_budget
    if budget is None:
        return Tally(outer=outer)
    return Tally(limit=budget["statements"], action=budget["action"], outer=outer)


def _begin(**_kwargs: object) -> None:
    _current.set(_begun())


def _end(**_kwargs: object) -> None:
    _current.set(None)


def _begin_task(**_kwargs: object) -> None:
    _current.set(_begun(outer=_current.get()))


def _end_task(**_kwargs: object) -> None:
    tally = _current.get()
    _current.set(tally.outer if tally is not None else None)


request_started.connect(_begin, dispatch_uid="shardkit.budgets")
request_finished.connect(_end, dispatch_uid="shardkit.budgets")
try:
    from django.tasks.signals import task_finished, task_started
except ImportError:  # before Django 6.0
    pass
else:
    task_started.connect(_begin_task, dispatch_uid="shardkit.budgets")
    task_finished.connect(_end_task, dispatch_uid="shardkit.budgets")
