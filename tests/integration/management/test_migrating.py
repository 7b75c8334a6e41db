"""Does every database get its migrations, whatever happens to another one?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fix_embedded import Embedded

pytestmark = pytest.mark.any_vendor

ALIASES = ["default", "shard_0", "shard_1", "shard_2", "shard_3", "audit"]


def tables(cluster: Embedded, alias: str) -> set[str]:
    return {name for (name,) in cluster.sql(alias, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def states(outcome: dict[str, Any]) -> dict[str, str]:
    return {each["database"]: each["state"] for each in outcome["databases"]}


def test_each_table_is_made_where_its_rows_will_live(migrated):
    on_default, on_shard, on_audit = (tables(migrated, alias) for alias in ("default", "shard_2", "audit"))

    assert {"auth_user", "shardkit_shardmapversion", "flights_airline"} <= on_default
    assert on_default.isdisjoint({"flights_flight", "flights_booking", "flights_auditlog"})
    assert {"flights_airline", "flights_flight", "flights_booking", "flights_traveller_favourites"} <= on_shard
    assert on_shard.isdisjoint({"auth_user", "shardkit_shardmapversion", "flights_auditlog"})
    assert {name for name in on_audit if name.startswith(("flights", "auth"))} == {"flights_auditlog"}


def test_progress_and_a_summary_of_every_database_are_shown(embedded):
    ended = embedded.run("migrate_shards", "--workers=2")

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("[1/6] default: migrated, ")
    assert {line.split()[0] for line in lines[:6]} == {f"[{number}/6]" for number in range(1, 7)}
    assert lines[7].split() == ["database", "role", "applied", "seconds", "state"]
    assert [line.split()[0] for line in lines[9:]] == ALIASES
    assert "\x1b" not in ended.stdout
    assert ended.stderr == ""


def test_verbosity_2_shows_each_migration(embedded):
    ended = embedded.run("migrate_shards", "auth", "0001", "--verbosity=2")

    assert "shard_3: applying auth.0001_initial" in ended.stdout.splitlines()


def test_a_database_that_fails_does_not_stop_the_others_and_the_next_run_does_what_is_missing(embedded):
    embedded.sql("shard_1", "CREATE TABLE flights_plane (id)")
    embedded.file("shard_3").mkdir()

    first = embedded.run("migrate_shards")
    embedded.sql("shard_1", "DROP TABLE flights_plane")
    embedded.file("shard_3").rmdir()
    second = embedded.json("migrate_shards")

    assert first.returncode == 1
    assert "shard_1: OperationalError: table" in first.stderr
    assert "shard_3: OperationalError: unable to open database file" in first.stderr
    assert "CommandError: 2 of 6 databases failed: shard_1, shard_3." in first.stderr
    assert states(second) == dict.fromkeys(ALIASES, "up to date") | {"shard_1": "migrated", "shard_3": "migrated"}
    resumed = next(each for each in second["databases"] if each["database"] == "shard_1")
    assert "flights.0001_initial" in resumed["applied"]
    assert "auth.0001_initial" not in resumed["applied"]


def test_the_outcome_as_json_says_what_failed(migrated):
    migrated.file("audit").write_text("This is not a database, and long enough to be told from one." * 20)

    ended = migrated.run("migrate_shards", "--json")

    assert ended.returncode == 1
    outcome = migrated.json("migrate_shards")
    assert outcome["ok"] is False
    assert states(outcome) == dict.fromkeys(ALIASES, "up to date") | {"audit": "failed"}
    assert outcome["databases"][-1] | {"seconds": 0} == {
        "database": "audit",
        "role": "placed",
        "state": "failed",
        "applied": [],
        "seconds": 0,
        "error": "DatabaseError: file is not a database",
    }


def test_check_says_whether_anything_is_missing(migrated):
    complete = migrated.run("migrate_shards", "--check")
    migrated.sql("shard_2", "DELETE FROM django_migrations WHERE app = 'flights'")
    incomplete = migrated.run("migrate_shards", "--check")

    assert complete.returncode == 0
    assert incomplete.returncode == 1
    assert [line.split()[-1] for line in incomplete.stdout.splitlines() if "shard_2" in line] == ["pending"]


def test_a_plan_is_shown_once_for_the_databases_that_share_it(migrated):
    migrated.sql("shard_2", "DELETE FROM django_migrations WHERE app = 'sessions'")

    ended = migrated.run("migrate_shards", "--plan")

    assert "default, shard_0, shard_1, shard_3, audit:\nPlanned operations:\n  No planned" in ended.stdout
    assert "shard_2:\nPlanned operations:\nsessions.0001_initial" in ended.stdout


def test_one_database_may_be_named_and_an_unknown_one_is_refused(embedded):
    ended = embedded.run("migrate_shards", "--database=shard_1", "--database=audit")
    refused = embedded.run("migrate_shards", "--database=shard_9")

    assert ended.returncode == 0, ended.stderr
    tables = "SELECT name FROM sqlite_master WHERE name LIKE 'flights%'"
    made = {path.stem for path in embedded.home.glob("*.sqlite3") if embedded.sql(path.stem, tables)}
    assert made == {"audit", "shard_1"}  # `default` is only asked for the rows that each copy has
    assert refused.returncode == 1
    assert "The database 'shard_9' is unknown. This cluster has: default, shard_0," in refused.stderr


def test_the_number_of_workers_must_be_a_number(embedded):
    assert "'0' is not a whole number above 0." in embedded.run("migrate_shards", "--workers=0").stderr


def test_migrations_can_be_taken_back_everywhere(migrated):
    ended = migrated.run("migrate_shards", "flights", "zero")

    assert ended.returncode == 0, ended.stderr
    assert not any(name.startswith("flights") for alias in ALIASES for name in tables(migrated, alias))


def test_migrate_without_a_database_covers_them_all(embedded):
    ended = embedded.run("migrate", "flights")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0].startswith("[1/6] default: migrated, ")
    assert all("django_migrations" in tables(embedded, alias) for alias in ALIASES)


def test_migrate_with_the_default_database_says_which_others_lack_migrations(migrated):
    migrated.sql("shard_2", "DELETE FROM django_migrations WHERE app = 'sessions'")
    migrated.file("shard_3").unlink()
    migrated.file("shard_3").mkdir()

    ended = migrated.run("migrate", "--database=default")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-3:] == [
        "shard_2 lacks 1 migration.",
        "shard_3 does not say: OperationalError: unable to open database file.",
        "Run migrate_shards, or migrate without --database.",
    ]


@pytest.mark.parametrize("arguments", [["--database=shard_1"], ["--database=default", "--check"]])
def test_migrate_of_a_shard_or_as_a_question_is_djangos_own(migrated, arguments):
    migrated.sql("shard_2", "DELETE FROM django_migrations WHERE app = 'sessions'")

    ended = migrated.run("migrate", *arguments)

    assert ended.returncode == 0, ended.stderr
    assert "lacks" not in ended.stdout
