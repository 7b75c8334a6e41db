"""Does `shards` say what lives where, and whether all is well?"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.any_vendor

BOOK = "INSERT INTO flights_auditlog (at, action, detail) VALUES ('2013-01-01', 'booked', '')"
FLY = (
    "INSERT INTO flights_plane (tailnum, type, manufacturer, model, engines, seats, engine) "
    "VALUES ('N1', '', '', '', 2, 2, '')"
)


def test_a_cluster_that_is_well(migrated):
    migrated.sql("shard_1", FLY)
    migrated.sql("audit", BOOK)

    ended = migrated.run("shards", "--rows")

    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ended.stdout.startswith("Shard map version 1, 1,024 buckets.\n")
    assert lines[3][:8] == ["default", "default", "-", "-", "-", "0", "0", "well"]
    assert lines[5][:8] == ["shard_1", "shard", "shard_1", "256", "1", "0", "0", "well"]
    assert lines[8][:8] == ["audit", "placed", "-", "-", "1", "0", "0", "well"]
    assert ["flights.Plane", "-", "0", "1", "0", "0", "-"] in lines
    assert ["flights.Airline", "0", "0", "0", "0", "0", "-"] in lines


def test_the_same_as_json(migrated):
    migrated.sql("shard_1", FLY)

    status = migrated.json("shards")

    assert (status["ok"], status["map_version"], status["buckets"], status["problems"]) == (True, 1, 1024, [])
    shard = status["databases"][2]
    assert shard["rows"].pop("flights.Plane") == 1
    assert set(shard["rows"].values()) == {0}
    assert shard | {"rows": {}} == {
        "database": "shard_1",
        "role": "shard",
        "shard": "shard_1",
        "buckets": 256,
        "place": str(migrated.file("shard_1")),
        "replicas": [],
        "reachable": True,
        "error": "",
        "unapplied": [],
        "missing_tables": [],
        "rows": {},
        "copies": {"flights.Airline": 0, "flights.Airport": 0},
        "differing_copies": [],
    }


def test_rows_need_not_be_counted(migrated):
    assert migrated.run("shards", "--no-rows").returncode == 0
    assert migrated.json("shards", "--no-rows")["databases"][1]["rows"] == {}


def test_a_database_that_is_down_is_reported_and_the_others_are_shown(migrated):
    migrated.file("shard_2").unlink()
    migrated.file("shard_2").mkdir()

    ended = migrated.run("shards")

    assert ended.returncode == 1
    assert "shard_2 does not answer: OperationalError: unable to open database file." in ended.stderr
    assert [line.split()[7] for line in ended.stdout.splitlines()[3:]] == ["well"] * 3 + ["down"] + ["well"] * 2
    assert [each["reachable"] for each in migrated.json("shards")["databases"]] == [True] * 3 + [False] + [True] * 2


def test_missing_migrations_and_tables_are_reported(migrated):
    migrated.sql("shard_0", "DELETE FROM django_migrations WHERE app = 'sessions'")
    migrated.sql("shard_1", "DROP TABLE flights_booking")

    ended = migrated.run("shards")

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == ["shard_0 lacks 1 migration.", "shard_1 lacks the tables flights_booking."]


def test_a_copy_that_differs_from_that_of_default_is_reported(migrated):
    for alias in ("default", "shard_0", "shard_1", "shard_2", "shard_3"):
        migrated.sql(alias, "INSERT INTO flights_airline (carrier, name) VALUES ('UA', 'United')")
    migrated.sql("shard_2", "UPDATE flights_airline SET name = 'Untied'")

    ended = migrated.run("shards")

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "shard_2 has other rows of flights.Airline than default: see `manage.py shards copies`."
    ]
    assert [line.split()[7] for line in ended.stdout.splitlines()[3:]] == ["well"] * 3 + ["differs"] + ["well"] * 2
    assert migrated.json("shards")["databases"][3]["differing_copies"] == ["flights.Airline"]


def test_copies_that_differ_are_mended_when_somebody_says_so(migrated):
    migrated.sql("default", "INSERT INTO flights_airline (carrier, name) VALUES ('UA', 'United')")
    migrated.sql("shard_0", "INSERT INTO flights_airline (carrier, name) VALUES ('UA', 'Untied')")
    migrated.sql("shard_1", "INSERT INTO flights_airline (carrier, name) VALUES ('AA', 'American')")
    migrated.sql("shard_2", "INSERT INTO flights_airline (carrier, name) VALUES ('UA', 'United')")

    compared = migrated.run("shards", "copies")
    mended = migrated.run("shards", "copies", "--repair")
    again = migrated.run("shards", "copies")

    told = [
        "flights.Airline on shard_0 has 1 row otherwise (UA)",
        "flights.Airline on shard_1 lacks 1 row (UA), has 1 row more (AA)",
        "flights.Airline on shard_3 lacks 1 row (UA)",
    ]
    assert compared.returncode == 1
    assert [f"{line}." for line in told] == compared.stdout.splitlines()
    assert "`manage.py shards copies --repair`" in compared.stderr
    assert (0, [f"{line}: mended." for line in told]) == (mended.returncode, mended.stdout.splitlines())
    assert (0, "2 reference tables: the same rows on 4 shards as on default.\n") == (again.returncode, again.stdout)
    assert [("UA", "United")] == migrated.sql("shard_1", "SELECT carrier, name FROM flights_airline")


def test_nothing_but_copies_can_be_mended(migrated):
    ended = migrated.run("shards", "--repair")

    assert ended.returncode == 1
    assert "manage.py shards copies --repair" in ended.stderr


def test_copies_that_cannot_be_read_are_reported(migrated):
    migrated.sql("shard_1", "DROP TABLE flights_airline")

    ended = migrated.run("shards", "copies")

    assert ended.returncode == 1
    assert "CommandError: Not every copy could be read, or mended: no such table: flights_airline" in ended.stderr


def test_a_missing_map_is_reported(migrated):
    migrated.sql("default", "DELETE FROM shardkit_shardmapversion")

    ended = migrated.run("shards")

    assert ended.returncode == 1
    assert ended.stdout.startswith("Shard map missing, 1,024 buckets.")
    assert "The shard map: The database 'default' holds no shard map. Run `manage.py migrate_shards`" in ended.stderr


def test_a_shard_that_only_the_map_knows_is_reported(migrated):
    migrated.sql("default", """UPDATE shardkit_shardmapversion SET owners = '[["shard_0",512],["shard_7",512]]'""")

    ended = migrated.run("shards")

    assert ended.returncode == 1
    assert "There is no shard 'shard_7'." in ended.stderr


def test_a_cluster_that_is_down_altogether_is_reported(migrated):
    migrated.file("default").unlink()
    migrated.file("default").mkdir()

    status = migrated.json("shards")

    assert status["ok"] is False
    assert status["map_version"] is None
    assert [each["reachable"] for each in status["databases"]] == [False, True, True, True, True, True]
