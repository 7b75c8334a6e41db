"""Does a task of `django.tasks` see what those who enqueued it wrote? With replicas that stand still until told."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone
from django.utils.module_loading import import_string
from pytest_django.fixtures import Settings

from shardkit.consistency.reading import Reading
from shardkit.consistency.session import current
from shardkit.testing import SimulatedReplicas, simulated_replicas
from shardkit.topology.names import Alias

tasks = pytest.importorskip("django.tasks", reason="Django has tasks from 6.0 on")
base = pytest.importorskip("django.tasks.backends.base", reason="Django has tasks from 6.0 on")

from shardkit.consistency.jobs.tasks import carried  # noqa: E402 - where there are tasks

SHARD: Final = Alias("shard_0")


class QueueBackend(base.BaseTaskBackend):  # type: ignore[misc, name-defined] # it is there from Django 6.0 on
    """Write envelopes as JSON, and run them on a thread of a worker, which knows no more than they say."""

    supports_async_task = supports_defer = True
    sent: list[dict[str, Any]] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        envelope = {"path": task.module_path, "args": args, "kwargs": kwargs, "run_after": str(task.run_after or "")}
        self.sent.append(json.loads(json.dumps(envelope)))
        return self.sent[-1]


def run(envelope: dict[str, Any]) -> Any:
    """Do what a worker does."""
    with ThreadPoolExecutor(1) as worker:
        return worker.submit(import_string(envelope["path"]).call, *envelope["args"], **envelope["kwargs"]).result()


def role() -> str:
    return str(Reading().looked_up(SHARD).role)


@carried
@tasks.task
def where(_word: str) -> str:
    return role()


@carried(consistency="always")
@tasks.task
def where_always() -> str:
    return role()


@carried(consistency="delayed")
@tasks.task
def where_later() -> str:
    return role()


@carried
@tasks.task(takes_context=True)
def with_context(context: Any, *, note: str) -> tuple[bool, str]:
    return context is not None, note


async def awhere() -> str:
    return role()


@carried
@tasks.task
def write() -> None:
    current().note_write(SHARD)


@pytest.fixture(autouse=True)
def replicas(settings: Settings) -> Iterator[SimulatedReplicas]:
    settings.TASKS = {"default": {"BACKEND": f"{__name__}.QueueBackend"}}
    with simulated_replicas({SHARD: 1}) as replicas:
        yield replicas


def test_a_task_reads_what_its_caller_wrote(replicas: SimulatedReplicas) -> None:
    before = where.enqueue("before")
    replicas.pause(SHARD)
    current().note_write(SHARD)
    after = where.enqueue("after")

    assert ["replica", "primary"] == [run(before), run(after)]
    replicas.resume(SHARD)
    assert "replica" == run(after)


def test_a_task_may_always_read_the_primary() -> None:
    assert "primary" == run(where_always.enqueue())


def test_a_delayed_task_begins_later_unless_it_is_to_begin_later_still() -> None:
    soon = dt.datetime.fromisoformat(where_later.enqueue()["run_after"])
    asked = timezone.now() + dt.timedelta(hours=1)

    assert dt.timedelta(0) < soon - timezone.now() < dt.timedelta(seconds=2)
    assert str(asked) == where_later.using(run_after=asked).enqueue()["run_after"]


def test_a_task_is_enqueued_where_an_event_loop_runs(replicas: SimulatedReplicas) -> None:
    replicas.pause(SHARD)
    current().note_write(SHARD)

    assert "primary" == run(async_to_sync(where.aenqueue)("word"))


def test_an_async_task_runs_in_the_session_of_its_caller(
    replicas: SimulatedReplicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "awhere", carried(tasks.task(awhere)))
    replicas.pause(SHARD)
    current().note_write(SHARD)

    assert "primary" == run(awhere.enqueue())  # type: ignore[attr-defined] # it is a task by now
    assert "primary" == async_to_sync(awhere.acall)()  # type: ignore[attr-defined]


def test_who_calls_the_function_itself_stays_in_his_session(replicas: SimulatedReplicas) -> None:
    replicas.pause(SHARD)
    write.call()

    assert "primary" == where.call("word") == role()


def test_a_task_that_runs_at_once_is_seen_by_its_caller(replicas: SimulatedReplicas, settings: Settings) -> None:
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    replicas.pause(SHARD)
    write.enqueue()

    assert "primary" == role()


def test_a_task_gets_its_context_and_not_its_session(settings: Settings) -> None:
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}

    assert [True, "kept"] == with_context.enqueue(note="kept").return_value
