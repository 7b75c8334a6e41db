"""Does every wrong setting have its fact and its remedy?"""

from __future__ import annotations

from typing import Any

import pytest

from shardkit.conf.problems import problems


def sqlite(name: str, **more: Any) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, **more}


def postgresql(name: str, **more: Any) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, **more}


LOGICAL = {"ENGINE": "shardkit.backends.sqlite3", "NAME": "/data/default"}
DATABASES: dict[str, dict[str, Any]] = {
    "default": LOGICAL,
    "one": sqlite("/data/one"),
    "two": sqlite("/data/two"),
    "copy": sqlite("/data/copy"),
    "audit": sqlite("/data/audit"),
}
SHARDKIT: dict[str, Any] = {"SHARDS": ["one", "two"]}


def ids(raw: object, databases: dict[str, dict[str, Any]] | None = None, **more: Any) -> list[str]:
    found = problems(raw, DATABASES if databases is None else databases, **more)
    assert all(problem.fact.endswith((".", "?")) and problem.hint.endswith((".", "?")) for problem in found)
    return [problem.id.removeprefix("shardkit.") for problem in found]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        SHARDKIT,
        {"SHARDS": ("one", "two")},
        {"SHARDS": {"eu": "one", "us": {"primary": "two", "replicas": ["copy"]}}},
        {"PLACEMENT": {"auditlog": "audit", "blog.Post": "audit", "blog": "default"}},
        {**SHARDKIT, "BUCKETS": 2, "ID_BLOCK": 1, "MIGRATE_WORKERS": 1, "REPLICAS": {"default": ["copy"]}},
        {"SHARDS": None, "PLACEMENT": None, "REPLICAS": None},
        {
            **SHARDKIT,
            "FANOUT_CAP": 1,
            "FANOUT_DEADLINE": 0.5,
            "GATHER_ROWS": 1,
            "GATHER_BYTES": 1,
            "GATHER_CTE_ROWS": 0,
        },
        {**SHARDKIT, "FANOUT_BUDGET": {"statements": 0, "action": "raise"}},
        {**SHARDKIT, "FANOUT_BUDGET": None, "FANOUT_CAP": None, "FANOUT_DEADLINE": None, "GATHER_COORDINATOR": None},
    ],
)
def test_right_settings_have_no_problems(raw):
    assert ids(raw) == []


def test_without_shards_and_placement_nothing_else_is_asked_of_the_settings():
    assert ids({}, {"default": sqlite("/data/default")}, routers=[], caches=[]) == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (["one"], ["E001"]),
        ({"SHARDS": "one"}, ["E003"]),
        ({"SHARDS": [1]}, ["E003"]),
        ({"SHARDS": {"eu": 1}}, ["E003"]),
        ({"SHARDS": {"eu": {"primry": "one"}}}, ["E003"]),
        ({"SHARDS": {"eu": {"primary": "one", "replicas": "copy"}}}, ["E003"]),
        ({"PLACEMENT": ["auditlog"]}, ["E004"]),
        ({"PLACEMENT": {"blog.post.title": "audit"}}, ["E004"]),
        ({"PLACEMENT": {"blog": None}}, ["E004"]),
        ({"PLACEMENT": {7: "audit"}}, ["E004"]),
        ({"REPLICAS": ["copy"]}, ["E005"]),
        ({"FANOUT_CAP": 0}, ["E026"]),
        ({"FANOUT_DEADLINE": -1}, ["E026"]),
        ({"FANOUT_DEADLINE": float("inf")}, ["E026"]),
        ({"FANOUT_DEADLINE": True}, ["E026"]),
        ({"FANOUT_BUDGET": {"statements": 4}}, ["E026"]),
        ({"FANOUT_BUDGET": {"statements": 4, "action": "shout"}}, ["E026"]),
        ({"FANOUT_BUDGET": 4}, ["E026"]),
        ({"GATHER_ROWS": 0}, ["E026"]),
        ({"GATHER_BYTES": "many"}, ["E026"]),
        ({"GATHER_CTE_ROWS": -1}, ["E026"]),
        ({"GATHER_COORDINATOR": 1}, ["E026"]),
        ({"REPLICA_INTERVAL": 0}, ["E028"]),
        ({"REPLICA_MAX_LAG": "long"}, ["E028"]),
        ({"REPLICA_MAX_LAG": None}, ["E028"]),
        ({"REPLICA_MAX_LAG": {"one": -1}}, ["E028"]),
        ({"REPLICA_PRIMARY_CAP": 0}, ["E028"]),
        ({"REPLICA_WAIT": float("nan")}, ["E028"]),
        ({"REPLICA_WAIT": {"one": 1, "*": None}}, ["E028"]),
        ({"REPLICA_WEIGHTS": {"one_copy": True}}, ["E028"]),
        ({"REPLICA_WHEN_STALE": "hope"}, ["E028"]),
        ({"REPLICA_WHEN_STALE": {"one": "wait", "*": "hope"}}, ["E028"]),
        ({"STICKY_STORE": None}, ["E028"]),
        ({"REPLICAS": {"default": "copy"}}, ["E005"]),
        ({"BUCKETS": 0}, ["E006"]),
        ({"BUCKETS": 4097}, ["E006"]),
        ({"BUCKETS": "1024"}, ["E006"]),
        ({"BUCKETS": True}, ["E006"]),
        ({"ID_BLOCK": 0}, ["E007"]),
        ({"MIGRATE_WORKERS": -1}, ["E007"]),
        ({"PLACEMENT": {"blog.Post": "audit", "blog.post": "one"}}, ["E008"]),
        ({"LOOKUP_CACHE": None}, ["E022"]),
        ({"SHARDS": "one", "BUCKETS": 0}, ["E003", "E006"]),
    ],
)
def test_what_cannot_be_understood_is_named_and_nothing_else_is_judged(raw, expected):
    assert ids(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({**SHARDKIT, "SHARD": 1}, ["E002"]),
        ({"SHARDS": ["one", "too"]}, ["E010"]),
        ({"SHARDS": {"eu": {"primary": "one", "replicas": ["copied"]}}}, ["E010"]),
        ({"PLACEMENT": {"blog": "post"}}, ["E010"]),
        ({"REPLICAS": {"nowhere": ["copy"]}}, ["E010"]),
        ({"SHARDS": ["default", "one"]}, ["E011"]),
        ({"SHARDS": {"eu": "one", "us": "one"}}, ["E012"]),
        ({"SHARDS": {"eu": {"primary": "one", "replicas": ["two"]}, "us": "two"}}, ["E014"]),
        ({"SHARDS": {"eu": {"primary": "one", "replicas": ["one"]}}}, ["E014"]),
        ({**SHARDKIT, "REPLICAS": {"default": ["copy"], "audit": ["copy"]}}, ["E015"]),
        ({**SHARDKIT, "BUCKETS": 1}, ["E017"]),
        ({**SHARDKIT, "LOOKUP_CACHE": "memcached"}, ["E022"]),
        ({"SHARDS": {"eu": {"primary": "one", "replicas": ["copy"]}}, "PLACEMENT": {"blog": "copy"}}, ["E025"]),
        ({**SHARDKIT, "GATHER_COORDINATOR": "nowhere"}, ["E027"]),
        ({**SHARDKIT, "GATHER_COORDINATOR": "audit"}, ["E027"]),
    ],
)
def test_what_contradicts_the_databases_is_a_problem(raw, expected):
    assert sorted(set(ids(raw))) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"two": sqlite("/data/x/../one")}, ["E012"]),
        ({"two": sqlite("file:/data/one?mode=rw")}, ["E012"]),
        ({"two": sqlite("/data/default")}, ["E013"]),
        ({"one": sqlite(":memory:"), "two": sqlite(":memory:")}, []),
        (
            {"one": sqlite("file:a?mode=memory&cache=shared"), "two": sqlite("file:a?mode=memory&cache=shared")},
            ["E012"],
        ),
        ({"one": sqlite("file::memory:"), "two": sqlite("file::memory:")}, []),
        ({"default": sqlite("/data/default")}, ["E018"]),
        ({"one": {**LOGICAL, "NAME": "/data/one"}}, ["E019"]),
        ({"one": postgresql("one")}, ["E020"]),
        ({"one": sqlite("/data/one", AUTOCOMMIT=False)}, ["E023"]),
        ({"default": {**LOGICAL, "AUTOCOMMIT": False}}, ["E023"]),
        ({"one": sqlite("/data/one", ATOMIC_REQUESTS=True)}, ["E024"]),
        ({"default": {**LOGICAL, "ATOMIC_REQUESTS": True}}, []),
        ({"audit": sqlite("/data/audit", AUTOCOMMIT=False, ATOMIC_REQUESTS=True)}, []),
        ({"one": {"ENGINE": "acme.backend", "NAME": "one"}}, []),
    ],
)
def test_databases_that_cannot_be_shards_are_problems(changed, expected):
    assert ids(SHARDKIT, {**DATABASES, **changed}) == expected


def test_a_replica_that_shows_the_rows_of_another_primary_is_a_problem():
    databases = {**DATABASES, "copy": sqlite("/data/two")}

    assert ids({"SHARDS": {"eu": {"primary": "one", "replicas": ["copy"]}, "us": "two"}}, databases) == ["E016"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"copy": sqlite("/data/copy", AUTOCOMMIT=False)}, ["E023"]),
        ({"copy": sqlite("/data/copy", ATOMIC_REQUESTS=True)}, ["E024"]),
        ({"default": {**LOGICAL, "ATOMIC_REQUESTS": True}}, ["W004"]),
        ({"audit": sqlite("/data/audit", ATOMIC_REQUESTS=True)}, ["W004"]),
    ],
)
def test_what_keeps_replicas_from_being_read_is_a_problem(changed, expected):
    assert ids({"REPLICAS": {"audit": ["copy"]}}, {**DATABASES, **changed}) == expected


@pytest.mark.parametrize(
    ("vendor", "names", "expected"),
    [
        ("postgresql", ("app", "app"), []),
        ("postgresql", ("app", "app_replica"), ["W005"]),
        ("mysql", ("app", "App"), ["W005"]),
        ("postgresql", ("app", ""), []),  # a service names it, perhaps
        ("sqlite3", ("app", "copy"), []),
    ],
)
def test_a_replica_that_is_called_otherwise_than_its_primary_is_a_problem(vendor, names, expected):
    primary, replica = ({"ENGINE": f"django.db.backends.{vendor}", "NAME": name} for name in names)
    databases = {**DATABASES, "audit": {**primary, "HOST": "one"}, "copy": {**replica, "HOST": "two"}}

    assert ids({"REPLICAS": {"audit": ["copy"]}}, databases) == expected


def test_a_shard_in_whose_transaction_every_request_is_has_one_problem():
    databases = {**DATABASES, "one": sqlite("/data/one", ATOMIC_REQUESTS=True)}

    assert ids({"SHARDS": {"eu": {"primary": "one", "replicas": ["copy"]}}}, databases) == ["E024"]


def test_a_missing_default_is_a_problem():
    databases = {alias: config for alias, config in DATABASES.items() if alias != "default"}

    assert ids(SHARDKIT, databases) == ["E009"]


def test_a_missing_router_is_a_problem():
    assert ids(SHARDKIT, routers=["acme.Router"]) == ["E021"]


def test_a_placed_database_that_is_a_shard_under_another_name_is_a_problem():
    databases = {**DATABASES, "audit": sqlite("/data/one")}

    assert ids({**SHARDKIT, "PLACEMENT": {"auditlog": "audit"}}, databases) == ["E013"]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({"HOST": "localhost"}, {"HOST": "127.0.0.1", "PORT": 5432}, True),
        ({"HOST": "a"}, {"HOST": "A", "PORT": "5432"}, True),
        ({"HOST": "a"}, {"HOST": "b"}, False),
        ({"PORT": 5432}, {"PORT": 5433}, False),
        ({}, {"NAME": "other"}, False),
        ({"OPTIONS": {"options": "-c search_path=s1"}}, {"OPTIONS": {"options": "-c search_path=s2"}}, False),
        ({"USER": "one"}, {"USER": "other", "PASSWORD": "secret"}, True),
    ],
)
def test_servers_are_the_same_whatever_they_are_spelled_like(left, right, same):
    databases = {
        "default": {"ENGINE": "shardkit.backends.postgresql", "NAME": "default"},
        "one": {**postgresql("app"), **left},
        "two": {**postgresql("app"), **right},
    }

    found = problems(SHARDKIT, databases)

    assert [problem.id for problem in found] == (["shardkit.E012"] if same else [])
    assert "secret" not in "".join(problem.fact for problem in found)


def test_the_engine_that_default_needs_is_named():
    gis = {"ENGINE": "django.contrib.gis.db.backends.postgis", "NAME": "default"}
    databases = {"default": gis, "one": postgresql("one"), "two": postgresql("two")}

    (problem,) = problems(SHARDKIT, databases)

    assert (
        "'ENGINE': 'shardkit.backends.logical', 'BASE_ENGINE': 'django.contrib.gis.db.backends.postgis'" in problem.hint
    )


def test_the_generic_engine_is_of_the_vendor_of_its_base():
    default = {"ENGINE": "shardkit.backends.logical", "BASE_ENGINE": "django.contrib.gis.db.backends.postgis"}
    databases = {"default": {**default, "NAME": "default"}, "one": postgresql("one"), "two": sqlite("/data/two")}

    assert ids(SHARDKIT, databases) == ["E020"]


def test_an_unknown_key_is_answered_with_the_nearest_one():
    (near, far) = problems({**SHARDKIT, "PLACEMENTS": {}, "COLOUR": 1}, DATABASES)

    assert near.hint == "Did you mean 'PLACEMENT'?"
    assert far.hint.startswith("The keys are: SHARDS, ")


def test_an_unknown_alias_is_answered_with_the_nearest_one():
    near, far = problems({"SHARDS": ["one", "twoo", "zebra"]}, DATABASES)

    assert (near.hint, far.hint) == ("Did you mean 'two'?", "Add it to DATABASES.")


def test_a_replica_on_the_database_of_its_own_primary_is_what_a_test_run_makes_of_it():
    databases = {**DATABASES, "copy": sqlite("/data/one")}

    assert ids({"SHARDS": {"eu": {"primary": "one", "replicas": ["copy"]}}}, databases) == []
