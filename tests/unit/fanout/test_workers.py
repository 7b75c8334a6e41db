from __future__ import annotations

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from shardkit.fanout import workers
from shardkit.fanout.permits import permits
from shardkit.fanout.workers import submit

name: ContextVar[str] = ContextVar("name", default="nobody")


def test_a_worker_is_another_thread_in_the_callers_context() -> None:
    token = name.set("caller")
    try:
        found = submit(lambda: (name.get(), threading.get_ident())).result()
    finally:
        name.reset(token)

    assert found[0] == "caller"
    assert found[1] != threading.get_ident()


def test_what_a_worker_sets_stays_there() -> None:
    submit(name.set, "worker").result()

    assert name.get() == "nobody"


def test_what_no_thread_can_do_the_caller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = ThreadPoolExecutor()
    ended.shutdown()
    monkeypatch.setattr(workers, "_pool", lambda: ended)

    assert submit(threading.get_ident).result() == threading.get_ident()
    assert isinstance(submit(int, "x").exception(), ValueError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_threads_and_permits_of_its_own() -> None:
    submit(int).result()
    with permits.held(1, cap=1, seconds=0), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of threads, which is what this is about
        child = os.fork()
        if child == 0:
            os._exit(_answer_in_child())

    assert 7 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _answer_in_child() -> int:
    """Return 7 if a thread answers and there is a permit; nothing of pytest's may run here."""
    if submit(int, "7").result(10) != 7:
        return 1
    return submit(_permitted).result(10)


def _permitted() -> int:
    with permits.held(1, cap=1, seconds=1) as are_held:
        return 7 if are_held else 2
