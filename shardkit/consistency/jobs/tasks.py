"""How do the tasks of `django.tasks` see what those who enqueued them wrote? From Django 6.0 on.

The decorator stands above Django's: ``@carried`` or ``@carried(consistency="delayed")`` over ``@task``. The session
travels as one argument more, which the function itself does not get, so every backend takes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from django.tasks import Task
from django.utils import timezone

from shardkit.consistency.jobs.carrying import Consistency, acarry, carry, delay_seconds, restored

if TYPE_CHECKING:
    _Task = Task[Any, Any]
else:
    _Task = Task

#: The argument that carries the session.
ARGUMENT: Final = "shardkit_session"
#: The attribute of its function that says what a task must see.
CONSISTENCY: Final = "shardkit_consistency"


class CarriedTask(_Task):
    """A task that carries the session of its caller."""

    __slots__ = ()

    def enqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Queue the task up, with what its caller wrote and saw."""
        return Task.enqueue(self._postponed(), *args, **kwargs, **{ARGUMENT: carry()})

    async def aenqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Do the same where an event loop runs."""
        return await Task.aenqueue(self._postponed(), *args, **kwargs, **{ARGUMENT: await acarry()})

    def _postponed(self) -> _Task:
        """Return the task as it is to run, later if it is *delayed*."""
        is_delayed = getattr(self.func, CONSISTENCY) is Consistency.DELAYED
        if self.run_after is not None or not is_delayed or not self.get_backend().supports_defer:
            return self
        return self.using(run_after=timezone.now() + dt.timedelta(seconds=delay_seconds()))


def carried(task: _Task | None = None, *, consistency: str = Consistency.STICKY, wait: float = 0.0) -> Any:
    """Let *task* run in the session of whoever enqueues it."""
    chosen = Consistency(consistency)

    def decorate(task: _Task) -> CarriedTask:
        given = {each.name: getattr(task, each.name) for each in fields(task)}
        return CarriedTask(**given | {"func": _restoring(task.func, chosen, wait)})

    return decorate if task is None else decorate(task)


def _restoring(func: Callable[..., Any], consistency: Consistency, wait: float) -> Callable[..., Any]:
    """Return *func* in the session that its extra argument carries; whoever calls it directly stays in his own."""

    @wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        if ARGUMENT not in kwargs:
            return func(*args, **kwargs)
        with restored(kwargs.pop(ARGUMENT), consistency, wait=wait):
            return func(*args, **kwargs)

    @wraps(func)
    async def arun(*args: Any, **kwargs: Any) -> Any:
        if ARGUMENT not in kwargs:
            return await func(*args, **kwargs)
        async with restored(kwargs.pop(ARGUMENT), consistency, wait=wait):
            return await func(*args, **kwargs)

    chosen = arun if iscoroutinefunction(func) else run
    setattr(chosen, CONSISTENCY, consistency)
    return chosen
