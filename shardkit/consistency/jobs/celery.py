"""How do Celery's tasks see what those who sent them wrote?

Call ``connect()`` where the Celery application is made, for those who send and for workers alike. A task says what it
must see: ``@app.task(consistency="delayed")``; without it, it is *sticky*. A task that runs eagerly stays in the
session of its caller, and reads the primaries there if it is to see everything always.
"""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from typing import Any, Final

from celery import Task, current_app, signals
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from shardkit.consistency.jobs.carrying import Consistency, carry, delay_seconds, restored
from shardkit.consistency.reading import use_primary

#: The header of a message that carries the session.
HEADER: Final = "shardkit_session"
#: Where a request of Celery's keeps the session that it runs in.
SCOPE: Final = "shardkit_scope"

_connected: Final[set[object]] = set()


def connect() -> None:
    """Let every task carry the session of its sender, and run in it."""
    _connected.add(_begin)
    signals.before_task_publish.connect(_carry, weak=False, dispatch_uid="shardkit.carry")
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid="shardkit.begin")
    signals.task_postrun.connect(_end, weak=False, dispatch_uid="shardkit.end")


def unheeded() -> dict[str, str]:
    """Return what tasks say that they must see, by their names, where nobody called `connect()`."""
    if _connected:
        return {}
    said = {name: getattr(task, "consistency", None) for name, task in current_app.tasks.items()}
    return {name: value for name, value in said.items() if value in set(Consistency)}


def _carry(sender: str, headers: dict[str, Any], **_kwargs: Any) -> None:
    consistency = _consistency(current_app.tasks.get(sender))
    if consistency is not Consistency.ALWAYS:
        headers[HEADER] = carry()
    if consistency is Consistency.DELAYED:
        headers["eta"] = _later(headers.get("eta"))


def _later(eta: str | None) -> str:
    """Return the time at which a task may begin: that which was asked for, when that is late enough."""
    earliest = timezone.now() + dt.timedelta(seconds=delay_seconds())
    asked = parse_datetime(eta) if eta else None
    if asked is None:
        return earliest.isoformat()
    return max(earliest, asked if timezone.is_aware(asked) else asked.replace(tzinfo=dt.UTC)).isoformat()


def _begin(task: Task, **_kwargs: Any) -> None:
    consistency, scope = _consistency(task), ExitStack()
    if not task.request.is_eager:
        wait = getattr(task, "consistency_wait", 0.0)
        scope.enter_context(restored(task.request.get(HEADER), consistency, wait=wait))
    elif consistency is Consistency.ALWAYS:
        scope.enter_context(use_primary())
    setattr(task.request, SCOPE, scope)


def _end(task: Task, **_kwargs: Any) -> None:
    scope = task.request.get(SCOPE)
    if scope is not None:
        scope.close()


def _consistency(task: Any) -> Consistency:
    return Consistency(getattr(task, "consistency", Consistency.STICKY))
