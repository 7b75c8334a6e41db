"""Do the commands work on the databases of this run, from inside a process?"""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings

from shardkit.conf import get_settings
from shardkit.management.targets import Part, all_targets, targets_named
from testapp.flights.models import Booking

SHARDS = get_settings().topology.primaries
ALIASES = ["default", *SHARDS, "audit"]

pytestmark = pytest.mark.skipif(not SHARDS, reason="TESTAPP_SHARDS is 0: there is no cluster to work on")


def migrate_shards(*labels: str, **options: Any) -> Any:
    out = StringIO()
    call_command("migrate_shards", *labels, as_json=True, stdout=out, **options)
    return json.loads(out.getvalue())


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_migrations_are_taken_back_and_applied_on_every_database():
    table = Booking._meta.db_table

    back = migrate_shards("flights", "zero", workers=8)
    without = [table in connections[alias].introspection.table_names() for alias in SHARDS]
    again = migrate_shards()

    assert not any(without)
    assert all(table in connections[alias].introspection.table_names() for alias in SHARDS)
    assert table not in connections["default"].introspection.table_names()
    for outcome in (back, again):
        applied = {each["database"]: " ".join(each["applied"]) for each in outcome["databases"]}
        assert applied == dict.fromkeys(ALIASES, "flights.0001_initial")


@pytest.mark.django_db(databases="__all__")
def test_inside_a_transaction_the_work_stays_in_its_thread():
    assert {each["state"] for each in migrate_shards()["databases"]} == {"up to date"}


@pytest.mark.django_db(databases="__all__")
def test_the_cluster_is_well():
    out = StringIO()

    call_command("shards", "--rows", stdout=out)

    assert "Shard map version 1, " in out.getvalue()
    assert out.getvalue().count("well") == len(ALIASES)


@pytest.mark.django_db(databases="__all__")
def test_a_test_runner_hears_nothing_of_other_databases():
    out = StringIO()

    call_command("migrate", database="default", verbosity=1, stdout=out)

    assert "lacks" not in out.getvalue()


def test_the_targets_are_default_the_shards_and_the_placed_databases():
    assert [(target.alias, target.part) for target in all_targets()] == [
        ("default", Part.DEFAULT),
        *((alias, Part.SHARD) for alias in SHARDS),
        ("audit", Part.PLACED),
    ]


def test_a_replica_is_no_target():
    shardkit = {"SHARDS": list(SHARDS), "REPLICAS": {"default": ["follower"]}}

    with override_settings(SHARDKIT=shardkit), pytest.raises(CommandError, match="'follower' is a replica, which"):
        targets_named(["follower"])


def test_without_shards_the_targets_are_default_and_what_models_name():
    with override_settings(SHARDKIT={}):
        assert [target.part for target in all_targets()] == [Part.DEFAULT, Part.PLACED]
