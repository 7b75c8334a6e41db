"""Does a job see what those who handed it over wrote and saw? With replicas that stand still until told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import Client
from pytest_django.fixtures import Settings

from shardkit.checks import check_tasks
from shardkit.consistency import tokens
from shardkit.consistency.jobs import Consistency, acarry, brought_by, carry, restored
from shardkit.consistency.reading import Reading
from shardkit.consistency.session import Session, current, session_scope
from shardkit.consistency.vectors import UNKNOWN
from shardkit.positions.counter import Counter
from shardkit.testing import SimulatedReplicas, simulated_replicas
from shardkit.topology.names import Alias
from tests.shop.models import Customer

SHARDS: Final = tuple(Alias(f"shard_{at}") for at in range(4))
SHARD: Final = SHARDS[0]


@pytest.fixture
def replicas() -> Iterator[SimulatedReplicas]:
    with simulated_replicas({"default": 1, **dict.fromkeys(SHARDS, 2)}) as replicas:
        yield replicas


def role(shard: Alias = SHARD) -> str:
    """Say where a read would go."""
    return str(Reading().looked_up(shard).role)


def written(replicas: SimulatedReplicas) -> str:
    """Return what somebody carries who has written what no replica has."""
    replicas.pause(SHARD)
    with session_scope(Session()):
        current().note_write(SHARD)
        return carry()


def test_a_job_reads_the_primary_until_a_replica_has_what_its_caller_wrote(replicas: SimulatedReplicas) -> None:
    token = written(replicas)

    with restored(token):
        assert ("primary", "replica") == (role(), role(SHARDS[1]))
    replicas.resume(SHARD)
    with restored(token):
        assert "replica" == role()


@pytest.mark.usefixtures("replicas")
def test_who_demands_nothing_carries_nothing() -> None:
    assert "" == carry()
    with restored(carry()):
        assert "replica" == role()


def test_without_replicas_nothing_is_carried() -> None:
    with session_scope(Session()):
        current().note_write(SHARD)

        assert "" == carry()


@pytest.mark.usefixtures("replicas")
def test_a_job_without_a_token_reads_the_primary() -> None:
    with restored(None):
        assert "primary" == role()


@pytest.mark.usefixtures("replicas")
def test_a_job_with_a_forged_token_reads_the_primary_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with restored("forged"):
        assert "primary" == role()
        assert tokens.loads(carry()).open_until

    assert ["shardkit.consistency"] == [line.name for line in caplog.records]


@pytest.mark.usefixtures("replicas")
def test_a_job_that_must_always_see_everything_reads_the_primary() -> None:
    with restored("", Consistency.ALWAYS):
        assert "primary" == role()
    assert "replica" == role()


def test_an_unknown_consistency_is_refused() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        restored("", "sometimes")


def test_a_job_may_wait_for_the_replicas(replicas: SimulatedReplicas) -> None:
    token = written(replicas)
    threading.Timer(0.1, replicas.resume, [SHARD]).start()

    with restored(token, wait=60):
        assert "replica" == role()


def test_a_delayed_job_waits_a_moment_and_then_reads_the_primary(replicas: SimulatedReplicas) -> None:
    token, begun = written(replicas), time.monotonic()

    with restored(token, "delayed"):
        assert "primary" == role()
    assert time.monotonic() - begun >= 1


def test_a_consumer_on_an_event_loop_waits_without_blocking_it(replicas: SimulatedReplicas) -> None:
    async def consume() -> str:
        asyncio.get_running_loop().call_later(0.1, replicas.resume, SHARD)
        async with restored(token, wait=60):
            return role()

    token = written(replicas)

    assert "replica" == async_to_sync(consume)()


def test_messages_at_the_same_time_have_sessions_of_their_own(replicas: SimulatedReplicas) -> None:
    async def consume(token: str) -> str:
        async with restored(token):
            await asyncio.sleep(0)
            return role()

    async def visit() -> list[str]:
        return list(await asyncio.gather(consume(token), consume(""), consume(token)))

    token = written(replicas)

    assert ["primary", "replica", "primary"] == async_to_sync(visit)()


def test_several_tokens_are_joined(replicas: SimulatedReplicas) -> None:
    with restored(f"{written(replicas)}, {carry()},{written(replicas)}"):
        assert "primary" == role()


def test_what_a_block_wrote_its_caller_sees_too(replicas: SimulatedReplicas) -> None:
    replicas.pause(SHARD)
    with restored(""):
        current().note_write(SHARD)

    assert "primary" == role()


def test_a_job_may_hand_over_another(replicas: SimulatedReplicas) -> None:
    with restored(written(replicas)):
        token = carry()

    with session_scope(Session()), restored(token):
        assert "primary" == role()


@pytest.mark.django_db(databases="__all__")
@pytest.mark.usefixtures("replicas")
def test_what_was_written_in_a_block_that_has_ended_is_demanded_by_its_position() -> None:
    """In the transaction of a test, too, where nothing commits."""
    with transaction.atomic():
        shard = Alias(str(Customer.objects.create(name="Ada", email="ada@example.org").shard))

    assert isinstance(tokens.loads(carry()).entries[shard].required, Counter)


@pytest.mark.django_db(databases="__all__")
def test_what_is_not_yet_committed_is_demanded_as_well(replicas: SimulatedReplicas) -> None:
    with transaction.atomic():
        shard = Alias(str(Customer.objects.create(name="Ada", email="ada@example.org").shard))
        token = carry()
        replicas.pause(shard)

    assert UNKNOWN is tokens.loads(token).entries[shard].required


@pytest.mark.usefixtures("replicas")
def test_on_an_event_loop_positions_are_asked_for_on_a_thread() -> None:
    async def send() -> tuple[str, str]:
        current().note_write(SHARD)
        return carry(), await acarry()

    here, there = async_to_sync(send)()

    assert [UNKNOWN] != [entry.required for entry in tokens.loads(there).entries.values()]
    assert tokens.loads(here).entries.keys() == tokens.loads(there).entries.keys()


@pytest.fixture
def customer(replicas: SimulatedReplicas) -> Customer:
    with session_scope(Session()):
        made = Customer.objects.create(name="Ada", email="ada@example.org")
    replicas.pause(str(made.shard))
    return made


@pytest.mark.django_db(databases="__all__")
def test_what_a_block_wrote_in_a_transaction_that_goes_on_its_caller_demands_after_that(customer: Customer) -> None:
    with transaction.atomic(), restored(""):
        Customer.objects.filter(pk=customer.pk).update(name="Grace")

    assert "primary" == role(Alias(str(customer.shard)))


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_the_same_with_a_commit(customer: Customer) -> None:
    with transaction.atomic(), restored(""):
        Customer.objects.filter(pk=customer.pk).update(name="Grace")

    assert "primary" == role(Alias(str(customer.shard)))


def test_what_a_block_read_its_caller_has_seen(replicas: SimulatedReplicas) -> None:
    """A replica that is further behind would take the caller back in time."""
    chosen = Reading()
    with restored(""):
        replicas.lose(f"{SHARD}_replica_1")
        chosen.connection(SHARD)
        chosen.done()
    replicas.resume(f"{SHARD}_replica_1")

    assert f"{SHARD}_replica_2" == Reading().looked_up(SHARD).alias


def test_a_caller_and_a_block_that_read_two_replicas_have_seen_what_the_primary_has(
    replicas: SimulatedReplicas,
) -> None:
    first, second = Reading(), Reading()
    first.connection(SHARD)
    first.done()
    replicas.lose(f"{SHARD}_replica_1")
    with restored(""):
        second.connection(SHARD)
        second.done()
    replicas.resume(f"{SHARD}_replica_1")

    assert "primary" == role()


@pytest.mark.django_db(databases="__all__")
@pytest.mark.urls("tests.integration.replication.pages")
def test_a_websocket_begins_with_the_cookies_of_its_handshake(
    customer: Customer, settings: Settings, client: Client
) -> None:
    settings.MIDDLEWARE = ["shardkit.middleware.StickyPrimaryMiddleware"]
    shard = Alias(str(customer.shard))
    client.get(f"/write/{customer.pk}/Grace")
    cookies = {name: morsel.value for name, morsel in client.cookies.items()} | {"other": "cookie"}

    with restored(brought_by(cookies)):
        assert "primary" == role(shard)


@pytest.mark.django_db(databases="__all__")
@pytest.mark.urls("tests.integration.replication.pages")
def test_a_websocket_begins_with_the_headers_of_its_handshake(
    customer: Customer, settings: Settings, client: Client
) -> None:
    settings.MIDDLEWARE = ["shardkit.middleware.StickyPrimaryMiddleware"]
    settings.SHARDKIT = {**settings.SHARDKIT, "STICKY_STORE": "header"}
    headers = client.get(f"/write/{customer.pk}/Grace").headers

    with restored(brought_by({}, headers)):
        assert "primary" == role(Alias(str(customer.shard)))
    with restored(brought_by({}, {"X-Shardkit-Session": "forged"})):
        assert "primary" == role(SHARD)
    with restored(brought_by({})):
        assert "replica" == role(Alias(str(customer.shard)))


class Worker:
    """The tasks of a running worker, as those who send them see them."""

    def __init__(self) -> None:
        from tests.integration.replication import worker

        self.tasks: Any = worker

    def answer(self, task: Any, *args: Any) -> Any:
        return task.apply_async(args).get(timeout=120)


@pytest.fixture(scope="module")
def worker(redis_server: str, pytestconfig: pytest.Config) -> Iterator[Worker]:
    """Run a worker that forks, with Redis as its broker."""
    os.environ["TESTS_BROKER"] = f"{redis_server}/1"
    project = ("-A", "tests.integration.replication.worker:app")
    options = ("--pool=prefork", "--concurrency=1", "--loglevel=WARNING", "--without-mingle", "--without-gossip")
    command = [sys.executable, "-m", "celery", *project, "worker", *options]
    # Its tasks ask no database, but some checks of Django do, and this run's has another name than the worker's.
    environment = {**os.environ, "TESTAPP_VENDOR": "sqlite"}
    environment.pop("DATABASE_SERVER_URL", None)
    with subprocess.Popen(command, cwd=pytestconfig.rootpath, env=environment) as process:
        yield Worker()
        process.terminate()


def test_a_task_of_celery_reads_what_its_sender_wrote(worker: Worker) -> None:
    with simulated_replicas(worker.tasks.REPLICAS) as replicas:
        assert "shard_0_replica_1" == worker.answer(worker.tasks.where)
        replicas.pause(SHARD)
        current().note_write(SHARD)
        assert "shard_0" == worker.answer(worker.tasks.where)
    with simulated_replicas(worker.tasks.REPLICAS):
        assert "shard_0_replica_1" == worker.answer(worker.tasks.where)


def test_a_task_of_celery_may_always_read_the_primary(worker: Worker) -> None:
    with simulated_replicas(worker.tasks.REPLICAS):
        assert "shard_0" == worker.answer(worker.tasks.where_always)


def test_a_delayed_task_of_celery_begins_later(worker: Worker) -> None:
    with simulated_replicas(worker.tasks.REPLICAS) as replicas:
        replicas.pause(SHARD)
        current().note_write(SHARD)
        alias, seconds = worker.answer(worker.tasks.where_later, time.time())  # noqa: TID251 - processes compare it

    assert "shard_0" == alias
    assert seconds >= 1


def test_a_task_of_celery_that_hands_over_another_is_seen_by_that(worker: Worker) -> None:
    with simulated_replicas(worker.tasks.REPLICAS):
        assert "shard_0" == worker.tasks.app.AsyncResult(worker.answer(worker.tasks.hand_over)).get(timeout=120)
        assert "shard_0" == worker.tasks.in_turn().apply_async().get(timeout=120)


def test_a_task_of_a_sender_who_knows_no_sessions_reads_the_primary(worker: Worker) -> None:
    from celery import signals

    from shardkit.consistency.jobs import celery

    with simulated_replicas(worker.tasks.REPLICAS):
        signals.before_task_publish.disconnect(dispatch_uid="shardkit.carry")
        try:
            assert "shard_0" == worker.answer(worker.tasks.where)
        finally:
            celery.connect()


def test_an_eager_task_stays_in_the_session_of_its_caller(worker: Worker) -> None:
    with simulated_replicas(worker.tasks.REPLICAS) as replicas:
        replicas.pause(SHARD)
        worker.tasks.write.apply()

        assert "shard_0" == worker.tasks.where.apply().get()
        assert "primary" == role()


def test_an_eager_task_that_must_always_see_everything_reads_the_primary(worker: Worker) -> None:
    with simulated_replicas(worker.tasks.REPLICAS):
        assert "shard_0" == worker.tasks.where_always.apply().get()
        assert "shard_0_replica_1" == worker.tasks.where.apply().get()
        assert "replica" == role()


def test_a_task_that_nobody_listens_to_is_warned_of(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    from shardkit.consistency.jobs import celery

    heard = check_tasks()
    monkeypatch.setattr(celery, "_connected", set())
    unheard = check_tasks()

    assert [] == heard
    assert {"shardkit.W006"} == {message.id for message in unheard}
    names = (worker.tasks.where_always.name, worker.tasks.where_later.name)
    assert all(any(name in message.msg for message in unheard) for name in names)
    assert 2 == len(unheard)
