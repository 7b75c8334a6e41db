"""Which replicas are the database of their own primary, and what are they in tests?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from shardkit.consistency.reading import Reading
from shardkit.replication import mirrors, monitor
from shardkit.replication.mirrors import COPY_IN_MEMORY, IN_MEMORY, ITSELF
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role

PRIMARY, COPY, OTHER = Alias("home"), Alias("copy"), Alias("other")
MEMORY = "file:memorydb_default?mode=memory&cache=shared"


def entry(vendor: str, name: str, **more: Any) -> dict[str, Any]:
    return {"ENGINE": f"django.db.backends.{vendor}", "NAME": name, "USER": "", "TEST": {"MIRROR": None}, **more}


@pytest.fixture
def databases(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what says which entries DATABASES has of a primary and its replicas."""

    def say(primary: dict[str, Any], *replicas: dict[str, Any]) -> None:
        names = (COPY, OTHER)[: len(replicas)]
        for alias, found in zip((PRIMARY, *names), (primary, *replicas), strict=True):
            monkeypatch.setitem(connections.settings, alias, found)
        settings.SHARDKIT = {"REPLICAS": {PRIMARY: list(names)}}

    return say


@pytest.mark.parametrize(
    ("primary", "replica", "why"),
    [
        (entry("sqlite3", "/data/home"), entry("sqlite3", "/data/copy"), None),
        (entry("sqlite3", "/data/home"), entry("sqlite3", "/data/x/../home"), ITSELF.format(COPY)),
        (entry("sqlite3", MEMORY), entry("sqlite3", MEMORY), IN_MEMORY),
        (entry("sqlite3", ":memory:"), entry("sqlite3", "/data/copy"), IN_MEMORY),
        ({**entry("sqlite3", MEMORY), "ENGINE": "shardkit.backends.sqlite3"}, entry("sqlite3", MEMORY), IN_MEMORY),
        (entry("sqlite3", "/data/home"), entry("sqlite3", ":memory:"), COPY_IN_MEMORY.format(COPY)),
        (entry("postgresql", "app", HOST="one"), entry("postgresql", "app", HOST="two"), None),
        (entry("postgresql", "app"), entry("postgresql", "app", HOST="localhost", PORT=5432), ITSELF.format(COPY)),
        (entry("postgresql", "app", USER="app"), entry("postgresql", "app", USER="reader"), None),
    ],
)
def test_a_replica_that_cannot_differ_from_its_primary_is_not_measured(
    databases: Any, primary: dict[str, Any], replica: dict[str, Any], why: str | None
) -> None:
    databases(primary, replica)

    assert why == mirrors.why_unmeasured(PRIMARY)
    assert (() if why else (COPY,)) == mirrors.measured(PRIMARY)


def test_one_replica_that_can_be_measured_is_enough(databases: Any) -> None:
    databases(entry("sqlite3", "/data/home"), entry("sqlite3", "/data/home"), entry("sqlite3", "/data/other"))

    assert mirrors.why_unmeasured(PRIMARY) is None
    assert (OTHER,) == mirrors.measured(PRIMARY)


def test_what_a_test_runner_renames_is_looked_at_anew(databases: Any) -> None:
    databases(entry("sqlite3", "/data/home"), entry("sqlite3", "/data/copy"))
    assert mirrors.why_unmeasured(PRIMARY) is None
    for alias in (PRIMARY, COPY):
        connections.settings[alias]["NAME"] = MEMORY

    assert IN_MEMORY == mirrors.why_unmeasured(PRIMARY)


def test_the_primary_answers_for_replicas_that_are_not_measured_and_says_why(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a read would wait for a replica, or be refused without one."""
    alias = Alias("audit")
    for name in (alias, COPY):
        monkeypatch.setitem(connections.settings, name, {**connections.settings[alias], "NAME": MEMORY})
    monkeypatch.setitem(connections.settings[alias], "ENGINE", "django.db.backends.sqlite3")
    settings.SHARDKIT = {"REPLICAS": {alias: [COPY]}, "REPLICA_WHEN_STALE": "raise"}
    reading = Reading()
    reading.connection(alias)

    assert (Role.PRIMARY, IN_MEMORY) == (reading.choices[alias].role, reading.choices[alias].why)
    assert reading.choices[alias] == Reading().looked_up(alias)
    monitor.watch(alias)
    assert {} == monitor._groups


def test_each_replica_is_a_mirror_of_its_primary_in_tests(databases: Any) -> None:
    shared = {"MIRROR": None, "CHARSET": "utf8"}
    primary, replica = (entry("mysql", "app", HOST=host, TEST=shared) for host in ("one", "two"))
    databases(primary, replica, entry("mysql", "app", HOST="three", TEST={"MIRROR": "default"}))
    mirrors.declare()

    assert {"MIRROR": PRIMARY, "CHARSET": "utf8"} == connections.settings[COPY]["TEST"]
    assert shared is connections.settings[PRIMARY]["TEST"]
    assert {"MIRROR": "default"} == connections.settings[OTHER]["TEST"]


def test_a_replica_that_is_in_no_settings_is_left_to_the_checks(databases: Any, settings: Any) -> None:
    databases(*(entry("mysql", "app", HOST=host) for host in ("one", "two", "three")))
    settings.SHARDKIT = {"REPLICAS": {PRIMARY: ["nowhere"], "nobody": [COPY]}}
    mirrors.declare()

    assert connections.settings[COPY]["TEST"].get("MIRROR") is None
    assert mirrors.why_unmeasured(Alias("nobody")) is None
