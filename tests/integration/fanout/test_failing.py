"""Does a fan-out that fails end at once, say where, and leave connections that can be used?

A statement that is not cancelled would outlast these tests by far, so that their end proves that it was.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import (
    DatabaseError,
    DataError,
    Error,
    OperationalError,
    ProgrammingError,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError

from shardkit.errors import ShardDeadlineExceeded
from shardkit.fanout import run, stopping
from shardkit.fanout.inflight import InFlight
from shardkit.fanout.workers import Workers
from shardkit.vendors.registry import vendor_of
from tests.closing import close
from tests.integration.fanout.worlds import (
    IS_IN_FLIGHT,
    WORLD,
    asked,
    everywhere,
    fan_out_settings,
    in_blocks,
    job,
    jobs,
    runs_together,
    shards,
    values,
)

pytestmark = pytest.mark.django_db(databases="__all__")

FAILURES = (DataError, ProgrammingError, OperationalError)


@pytest.fixture(autouse=True)
def _open_blocks() -> Iterator[None]:
    """Let each test fail inside blocks that it can leave; its own transaction goes on."""
    yield
    for alias in shards():
        assert asked(alias) == 7


@pytest.fixture
def apart() -> Iterator[dict[Any, Any]]:
    """Yield a connection to each shard that is in no transaction; what they run on the server ends with the test."""
    copies = {alias: connections[alias].copy() for alias in shards()}
    numbers = [asked(alias, WORLD.session, on=copies) for alias in shards()]
    yield copies
    for connection in copies.values():
        with suppress(Error):  # it is closed
            close(connection)
    for number in numbers:
        with connections[shards()[0]].cursor() as cursor, suppress(OperationalError):  # it has ended by itself
            cursor.execute(WORLD.ending.format(number=number))


@pytest.fixture(name="threads")
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads wait, whatever the driver can do."""
    monkeypatch.setattr("shardkit.fanout.executor.can_fly", lambda _lane: False)


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@runs_together
def test_the_first_error_ends_the_others_and_is_djangos_with_its_database() -> None:
    statements = [WORLD.endless, WORLD.failing, WORLD.endless, WORLD.endless]

    with pytest.raises(FAILURES) as caught, in_blocks():
        run(jobs(*statements))

    assert f"ran on the database {shards()[1]!r}" in told(caught.value)
    assert shards()[1] == caught.value.shardkit_alias  # type: ignore[attr-defined]
    assert isinstance(caught.value, DatabaseError)


def test_an_error_of_the_last_statement_is_told_too() -> None:
    with pytest.raises(FAILURES) as caught, in_blocks():
        run(jobs("SELECT 1", "SELECT 1", WORLD.failing))

    assert f"ran on the database {shards()[2]!r}" in told(caught.value)
    assert shards()[2] == caught.value.shardkit_alias  # type: ignore[attr-defined]


def test_an_error_of_one_job_alone_is_told_too() -> None:
    with pytest.raises(FAILURES) as caught, in_blocks():
        run(jobs(WORLD.failing))

    assert f"ran on the database {shards()[0]!r}" in told(caught.value)
    assert shards()[0] == caught.value.shardkit_alias  # type: ignore[attr-defined]


@runs_together
def test_a_second_statement_does_not_begin_when_the_first_of_its_connection_was_cancelled() -> None:
    first, second = shards()[:2]
    done = [job(first, WORLD.endless), job(first, "SELECT 1"), job(second, WORLD.failing)]

    with pytest.raises(FAILURES), in_blocks():
        run(done)

    assert not done[1].cursor.description


@runs_together
def test_parameters_that_do_not_fit_are_no_reason_to_leave_statements_running() -> None:
    done = jobs(WORLD.endless, "SELECT %s")
    done[1].params = []

    with pytest.raises((DatabaseError, TypeError, IndexError)), in_blocks():
        run(done)


def test_a_connection_whose_transaction_is_broken_runs_nothing() -> None:
    with in_blocks():
        transaction.set_rollback(True, using=shards()[1])
        with pytest.raises(TransactionManagementError):
            run(everywhere("SELECT 1"))


def test_a_deadline_names_who_has_not_answered() -> None:
    with fan_out_settings(FANOUT_DEADLINE=0.2), pytest.raises(ShardDeadlineExceeded) as caught, in_blocks():
        run(jobs("SELECT 1", WORLD.endless))

    assert (shards()[1], 0.2) == (caught.value.aliases, caught.value.seconds)


def test_a_deadline_ends_what_runs_on_every_shard() -> None:
    with fan_out_settings(FANOUT_DEADLINE=0.2), pytest.raises(ShardDeadlineExceeded) as caught, in_blocks():
        run(everywhere(WORLD.endless))

    assert ", ".join(shards()) == caught.value.aliases


def test_what_ends_in_time_is_left_alone() -> None:
    with fan_out_settings(FANOUT_DEADLINE=60):
        run(done := everywhere("SELECT 4"))

    assert {4} == set(values(done))


@runs_together
@pytest.mark.usefixtures("threads")
def test_a_deadline_ends_what_threads_wait_for() -> None:
    with fan_out_settings(FANOUT_DEADLINE=0.2), pytest.raises(ShardDeadlineExceeded), in_blocks():
        run(everywhere(WORLD.endless))


@runs_together
@pytest.mark.usefixtures("threads")
def test_an_error_ends_what_threads_wait_for() -> None:
    with pytest.raises(FAILURES), in_blocks():
        run(jobs(WORLD.endless, WORLD.failing))


def test_outside_of_a_transaction_every_connection_is_the_same_and_usable(apart: Any) -> None:
    before = [connection.connection for connection in apart.values()]
    with fan_out_settings(FANOUT_DEADLINE=0.2), pytest.raises(ShardDeadlineExceeded):
        run(jobs(*[WORLD.endless] * len(shards()), on=apart))

    assert {7} == {asked(alias, on=apart) for alias in shards()}
    assert before == [connection.connection for connection in apart.values()]


@runs_together
@pytest.mark.parametrize(
    "lose", [lambda each: each.close(), lambda each: each.connection.close()], ids=["by Django", "by the driver"]
)
def test_a_connection_that_is_lost_already_is_djangos_error(apart: Any, lose: Callable[[Any], None]) -> None:
    done = jobs(WORLD.endless, "SELECT 1", on=apart)
    lose(apart[shards()[1]])

    with pytest.raises(Error) as caught:
        run(done)

    assert f"ran on the database {shards()[1]!r}" in told(caught.value)
    assert shards()[1] == caught.value.shardkit_alias  # type: ignore[attr-defined]
    assert asked(shards()[0], on=apart) == 7


@runs_together
def test_an_interruption_that_comes_too_late_hits_nothing() -> None:
    for alias in shards() * 5:
        vendor = vendor_of(connections[alias])
        vendor.interrupt(vendor.session(), 5)
        vendor.settle()

        assert asked(alias) == 7


@runs_together
def test_ctrl_c_ends_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    has_begun = threading.Event()
    for kind in (InFlight, Workers):
        monkeypatch.setattr(kind, "launch", _telling(kind.launch, has_begun))
    # A process that a script started in the background ignores the signal until it says otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    presser = threading.Thread(target=_press_ctrl_c, args=[has_begun])
    presser.start()

    with pytest.raises(KeyboardInterrupt), in_blocks():
        run(everywhere(WORLD.endless))
    presser.join()
    signal.signal(signal.SIGINT, before)


def _telling(launch: Callable[[Any], None], has_begun: threading.Event) -> Callable[[Any], None]:
    def tell(flight: Any) -> None:
        launch(flight)
        has_begun.set()

    return tell


def _press_ctrl_c(has_begun: threading.Event) -> None:
    assert has_begun.wait(20)
    time.sleep(0.05)  # it is waiting by then; if not yet, it is not one bit less interrupted
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a shard whose server ends nothing when it is asked to."""
    alias = shards()[1]
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(type(vendor_of(connections[alias])), "interrupt", lambda *_: None)
    return alias


@runs_together
def test_a_server_that_ends_nothing_loses_its_connection_and_not_the_caller(
    stubborn: Any, apart: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = [apart[alias].connection for alias in shards()[:2]]
    with fan_out_settings(FANOUT_DEADLINE=0.1), pytest.raises(ShardDeadlineExceeded):
        run(jobs("SELECT 1", WORLD.endless, on=apart))

    assert [7, 7] == [asked(alias, on=apart) for alias in shards()[:2]]
    assert before[0] is apart[shards()[0]].connection
    assert before[1] is not apart[stubborn].connection
    assert f"The database {stubborn!r} did not end a cancelled statement" in caplog.text


@runs_together
@pytest.mark.usefixtures("threads")
def test_so_it_does_when_a_thread_waits(stubborn: Any, apart: Any) -> None:
    with fan_out_settings(FANOUT_DEADLINE=0.1), pytest.raises(ShardDeadlineExceeded):
        run(jobs("SELECT 1", WORLD.endless, on=apart))

    assert [7, 7] == [asked(alias, on=apart) for alias in (shards()[0], stubborn)]


@runs_together
def test_a_server_that_refuses_to_cancel_loses_its_connection_too(
    stubborn: Any, apart: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_args: Any) -> None:
        raise OperationalError("no")

    monkeypatch.setattr(type(vendor_of(connections[stubborn])), "interrupt", refuse)

    with fan_out_settings(FANOUT_DEADLINE=0.1), pytest.raises(ShardDeadlineExceeded):
        run(jobs("SELECT 1", WORLD.endless, on=apart))

    assert f"A statement on {stubborn!r} could not be cancelled: no" in caplog.text


@pytest.mark.skipif(not IS_IN_FLIGHT, reason="a selector hears nothing of a connection that is closed")
def test_a_connection_that_somebody_closes_does_not_keep_the_caller_waiting(
    apart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shardkit.fanout.inflight.LOOK_SECONDS", 0.05)
    closing = apart[shards()[1]].connection
    has_begun = threading.Event()
    monkeypatch.setattr(InFlight, "launch", _telling(InFlight.launch, has_begun))

    def close() -> None:
        assert has_begun.wait(20)
        closing.pgconn.finish()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(OperationalError, match="closed"):
        run(jobs(*[WORLD.endless] * len(shards()), on=apart))
    closer.join()
