"""Does ``shards replicas`` say of each replica how far behind it is, and whether it is read?"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from shardkit.management import replicas
from shardkit.replication import mirrors, monitor
from tests.fix_replicas import PRIMARY, REPLICAS, Family
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def _replicas(settings: Any, family: Family, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001 - first
    settings.SHARDKIT = {
        **settings.SHARDKIT,
        "REPLICAS": {PRIMARY: list(REPLICAS)},
        "REPLICA_INTERVAL": 0.05,
        "REPLICA_MAX_LAG": 20,
    }
    monkeypatch.setattr(replicas, "PATIENCE", 30.0)
    yield
    monitor.stop()


def told(*arguments: str) -> tuple[str, str, int]:
    """Return what the command writes, and complains of, and its exit code."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command("shards", "replicas", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(end.code or 0)
    return out.getvalue(), err.getvalue(), code


def test_replicas_that_follow_are_read(family: Family) -> None:
    family.write()
    family.catch_up()

    out, err, code = told()

    assert ("", 0) == (err, code)
    header, _, *lines = out.splitlines()
    assert ["primary", "replica", "read", "why", "position"] == header.split()
    assert [[PRIMARY, alias, "yes", "fresh"] for alias in REPLICAS] == [line.split()[:4] for line in lines]


def test_positions_are_those_of_the_replicas(family: Family) -> None:
    family.write()
    family.catch_up()

    found = json.loads(told("--json")[0])

    assert [(PRIMARY, alias, True) for alias in REPLICAS] == [
        (each["primary"], each["replica"], each["is_read"]) for each in found
    ]
    assert all(each["position"] for each in found)


def test_a_replica_that_is_too_far_behind_is_not_read(
    family: Family, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_MAX_LAG": 0.5}
    told()
    monkeypatch.setattr(replicas, "PATIENCE", 1.0)
    family.pause(0)
    family.write()

    assert told_when_late("s > 0.5 s")


def test_a_replica_that_was_behind_before_anybody_looked_is_not_read(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "PATIENCE", 1.0)
    family.pause(0)
    family.write()

    assert told_when_late(monitor.LACKS_ALL)


def told_when_late(why: str) -> bool:
    """Wait until the first replica, and no other one, is not read, because of *why*."""

    def one_lags() -> bool:
        out, _, code = told("--json")
        late, fresh = json.loads(out)
        return code == 1 and not late["is_read"] and why in late["why"] and bool(fresh["is_read"])

    wait_for(one_lags)
    return True


def test_replicas_that_nobody_measures(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(replicas, "PATIENCE", 0.0)
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_READS": False}
    monkeypatch.setattr(mirrors, "why_unmeasured", lambda primary: f"{primary} is in memory")

    out, err, code = told()

    assert 1 == code
    assert 2 == out.count(f"no    {PRIMARY} is in memory")
    assert "REPLICA_READS is False" in err


def test_a_project_without_replicas(settings: Any) -> None:
    with override_settings(SHARDKIT={**settings.SHARDKIT, "REPLICAS": {}}):
        assert ("SHARDKIT names no replicas.\n", "", 0) == told()
