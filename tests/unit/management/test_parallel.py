"""Do all databases get their turn, at once, and leave nothing behind?"""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from shardkit.management import parallel
from shardkit.management.parallel import KeptError, on_each
from shardkit.topology.names import Alias

ALIASES = [Alias("one"), Alias("two"), Alias("three")]
colour: ContextVar[str] = ContextVar("colour", default="none")


@pytest.fixture
def here(monkeypatch):
    """Which databases only the caller's thread can see."""
    names: set[str] = set()
    monkeypatch.setattr(parallel, "_stays_here", names.__contains__)
    return names


def test_databases_are_worked_on_at_once(here):
    meeting = threading.Barrier(len(ALIASES), timeout=10)

    def meet(alias: Alias) -> str:
        meeting.wait()
        return alias.upper()

    assert dict(on_each(ALIASES, meet, workers=3)) == {"one": "ONE", "two": "TWO", "three": "THREE"}
    assert not here


def test_no_more_than_asked_are_worked_on_at_once(here):
    threads = {thread for _alias, thread in on_each(ALIASES, lambda _alias: threading.get_ident(), workers=1)}

    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert not here


def test_what_only_this_thread_sees_is_worked_on_here_and_first(here):
    here.update({"two", "three"})

    done = list(on_each(ALIASES, lambda _alias: threading.get_ident() == threading.main_thread().ident, workers=2))

    assert done == [("two", True), ("three", True), ("one", False)]


def test_nothing_to_do_is_done(here):
    assert list(on_each([], str, workers=2)) == []
    assert not here


def test_the_work_sees_the_callers_context(here):
    token = colour.set("red")
    try:
        assert [seen for _alias, seen in on_each(ALIASES, lambda _alias: colour.get(), workers=2)] == ["red"] * 3
    finally:
        colour.reset(token)
    assert not here


def test_an_error_is_kept_and_said_in_one_line():
    with KeptError() as kept:
        raise ValueError("first\nsecond")

    assert kept.reason == "ValueError: first"


def test_an_error_without_words_is_named():
    with KeptError() as kept:
        raise ValueError

    assert kept.reason == "ValueError"


def test_without_an_error_there_is_no_reason():
    with KeptError() as kept:
        pass

    assert kept.reason == ""


def test_leaving_the_program_is_not_kept():
    with pytest.raises(KeyboardInterrupt), KeptError():
        raise KeyboardInterrupt
