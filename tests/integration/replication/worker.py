"""A project of Celery's: tasks that say where they read, for a worker whose replicas are twenty seconds behind."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import Any, Final

from celery import Celery, chain, signals

from shardkit.consistency.jobs.celery import connect
from shardkit.consistency.reading import Reading
from shardkit.consistency.session import current
from shardkit.testing import simulated_replicas
from shardkit.topology.names import Alias

SHARD: Final = Alias("shard_0")
REPLICAS: Final = {str(SHARD): 1}

app = Celery("tests", broker=os.environ.get("TESTS_BROKER"), backend=os.environ.get("TESTS_BROKER"))
app.conf.broker_connection_retry_on_startup = True
connect()

_stack = ExitStack()


@signals.worker_process_init.connect
def fall_behind(**_kwargs: Any) -> None:
    _stack.enter_context(simulated_replicas(REPLICAS)).set_lag(SHARD, 20)


@app.task
def where() -> str:
    """Return the database that a read goes to."""
    return str(Reading().looked_up(SHARD).alias)


@app.task(consistency="always")
def where_always() -> str:
    return str(where())


@app.task(consistency="delayed")
def where_later(sent: float) -> tuple[str, float]:
    return str(where()), time.time() - sent  # noqa: TID251 - two processes compare it


@app.task
def write() -> None:
    current().note_write(SHARD)


@app.task
def hand_over() -> str:
    """Write, and let another task say where it reads: return its id."""
    write()
    return str(where.delay().id)


@app.task
def where_again(_before: Any = None) -> str:
    return str(where())


def in_turn() -> Any:
    """Return a task that writes and one that reads after it."""
    return chain(write.si(), where_again.s())
