"""Does the environment become the databases that it describes?"""

from __future__ import annotations

from typing import Any

import environ
import pytest

from shardkit.conf import problems
from shardkit.conf.shapes import KNOWN_KEYS
from shardkit.environment import OPTION_VARIABLES, from_env
from shardkit.errors import EnvironmentInvalid


def read(*placed: str, **variables: str) -> tuple[dict[str, Any], dict[str, Any]]:
    env = environ.Env()
    env.ENVIRON = {"PATH": "/bin", **variables}
    return from_env(env, placed=placed)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".shardkit"


def test_one_url_is_one_plain_database():
    databases, shardkit = read(DATABASE_URL="postgres://me:secret@db:5433/app?CONN_MAX_AGE=60")

    assert shardkit == {}
    assert databases == {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "app",
            "USER": "me",
            "PASSWORD": "secret",
            "HOST": "db",
            "PORT": 5433,
            "CONN_MAX_AGE": 60,
            "OPTIONS": {},
        }
    }


def test_shard_urls_are_numbered_and_make_default_the_logical_connection():
    databases, shardkit = read(DATABASE_URL="mysql://db/app", SHARD_URLS="mysql://db/one, mysql://db/two")

    assert shardkit == {
        "SHARDS": {
            "shard_0": {"primary": "shard_0", "replicas": []},
            "shard_1": {"primary": "shard_1", "replicas": []},
        }
    }
    assert [(alias, config["ENGINE"], config["NAME"]) for alias, config in databases.items()] == [
        ("default", "shardkit.backends.mysql", "app"),
        ("shard_0", "django.db.backends.mysql", "one"),
        ("shard_1", "django.db.backends.mysql", "two"),
    ]
    assert problems(shardkit, databases) == []


def test_a_comma_between_hosts_does_not_split_a_url():
    databases, _ = read(DATABASE_URL="postgres://db/app", SHARD_URLS="postgres://a:1,b:2/one,postgres://c/two,")

    assert databases["shard_0"]["HOST"] == "a,b"
    assert databases["shard_1"]["HOST"] == "c"
    assert len(databases) == 3


def test_named_shards_are_in_natural_order_and_in_lower_case():
    names = ("EU", "0", "10", "9")
    variables = {f"SHARD_{name}_URL": f"postgres://db/{name}" for name in names}

    _, shardkit = read(DATABASE_URL="postgres://db/app", **variables)

    assert list(shardkit["SHARDS"]) == ["shard_0", "shard_9", "shard_10", "eu"]


def test_replicas_belong_to_their_primary_and_mirror_it_in_tests():
    databases, shardkit = read(
        DATABASE_URL="postgres://db/app",
        DATABASE_REPLICA_URLS="postgres://db2/app",
        DATABASE_AUDIT_URL="postgres://db/audit",
        DATABASE_AUDIT_REPLICA_URLS="postgres://db2/audit",
        SHARD_URLS="postgres://db/one",
        SHARD_0_REPLICA_URLS="postgres://db2/one,postgres://db3/one",
        SHARD_EU_URL="postgres://db/eu",
        SHARD_EU_REPLICA_URLS="postgres://db2/eu",
    )

    assert shardkit["SHARDS"]["shard_0"]["replicas"] == ["shard_0_replica_0", "shard_0_replica_1"]
    assert shardkit["SHARDS"]["eu"]["replicas"] == ["eu_replica_0"]
    assert shardkit["REPLICAS"] == {"default": ["default_replica_0"], "audit": ["audit_replica_0"]}
    assert databases["shard_0_replica_1"]["HOST"] == "db3"
    assert databases["shard_0_replica_1"]["TEST"] == {"MIRROR": "shard_0"}
    assert problems(shardkit, databases) == []


def test_placed_databases_and_options_are_read():
    databases, shardkit = read(
        DATABASE_URL="postgres://db/app",
        DATABASE_AUDIT_URL="sqlite:////data/audit",
        DATABASE_BLOG_URL="mysql://db/blog",
        SHARDKIT_PLACEMENT="auditlog=AUDIT, blog.Post=blog,",
        SHARDKIT_BUCKETS="64",
        SHARDKIT_ID_BLOCK="10",
        SHARDKIT_MIGRATE_WORKERS="2",
        SHARDKIT_LOOKUP_CACHE="redis",
        SHARDKIT_FANOUT_DEADLINE="2.5",
        SHARDKIT_GATHER_COORDINATOR="coordinator",
        SHARDKIT_GATHER_ROWS="500",
    )

    assert shardkit == {
        "PLACEMENT": {"auditlog": "audit", "blog.Post": "blog"},
        "BUCKETS": 64,
        "ID_BLOCK": 10,
        "MIGRATE_WORKERS": 2,
        "LOOKUP_CACHE": "redis",
        "FANOUT_DEADLINE": 2.5,
        "GATHER_COORDINATOR": "coordinator",
        "GATHER_ROWS": 500,
    }
    assert databases["audit"]["NAME"] == "/data/audit"
    assert databases["default"]["ENGINE"] == "shardkit.backends.postgresql"


def test_every_option_that_is_a_number_a_text_or_yes_or_no_is_read():
    written = {
        "FANOUT_CAP": ("16", 16),
        "GATHER_BYTES": ("1000", 1000),
        "GATHER_CTE_ROWS": ("0", 0),
        "REPLICA_INTERVAL": ("0.5", 0.5),
        "REPLICA_MAX_LAG": ("5", 5.0),
        "REPLICA_PRIMARY_CAP": ("8", 8),
        "REPLICA_READS": ("False", False),
        "REPLICA_WAIT": ("0.2", 0.2),
        "REPLICA_WHEN_STALE": ("wait", "wait"),
        "STICKY_CACHE": ("redis", "redis"),
        "STICKY_COOKIE": ("site", "site"),
        "STICKY_HEADER": ("X-Session", "X-Session"),
        "STICKY_KEY": ("session", "session"),
        "STICKY_STORE": ("cache", "cache"),
    }

    databases, shardkit = read(
        DATABASE_URL="mysql://db/app",
        DATABASE_REPLICA_URLS="mysql://db2/app",
        **{f"SHARDKIT_{key}": text for key, (text, _value) in written.items()},
    )

    replicas = shardkit.pop("REPLICAS")
    assert {key: value for key, (_text, value) in written.items()} == shardkit
    assert problems(shardkit | {"REPLICAS": replicas}, databases, caches={"default", "redis"}) == []


def test_every_option_has_its_variable():
    with_urls_of_their_own = {"SHARDS", "REPLICAS"}

    assert {f"SHARDKIT_{key}" for key in set(KNOWN_KEYS) - with_urls_of_their_own} <= set(OPTION_VARIABLES)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("40", {"statements": 40, "action": "warn"}),
        ("40:warn", {"statements": 40, "action": "warn"}),
        ("0:raise", {"statements": 0, "action": "raise"}),
    ],
)
def test_a_budget_is_a_number_of_statements_and_what_happens_beyond(text, budget):
    _, shardkit = read(DATABASE_URL="mysql://db/app", SHARDKIT_FANOUT_BUDGET=text)

    assert shardkit == {"FANOUT_BUDGET": budget}


def test_a_number_for_each_database_is_read_like_a_placement():
    _, shardkit = read(
        DATABASE_URL="mysql://db/app",
        SHARDKIT_REPLICA_MAX_LAG="shard_0=5, *=30",
        SHARDKIT_REPLICA_WEIGHTS="default_replica_0=3,default_replica_1=0.5,",
    )

    assert shardkit == {
        "REPLICA_MAX_LAG": {"shard_0": 5.0, "*": 30.0},
        "REPLICA_WEIGHTS": {"default_replica_0": 3.0, "default_replica_1": 0.5},
    }


def test_replicas_of_one_database_make_it_the_logical_connection():
    databases, shardkit = read(DATABASE_URL="mysql://db/app", DATABASE_REPLICA_URLS="mysql://db2/app")

    assert databases["default"]["ENGINE"] == "shardkit.backends.mysql"
    assert shardkit == {"REPLICAS": {"default": ["default_replica_0"]}}


def test_an_engine_without_a_twin_becomes_the_base_of_the_generic_one():
    databases, shardkit = read(DATABASE_URL="postgis://db/app", SHARD_URLS="postgis://db/one")

    assert databases["default"]["ENGINE"] == "shardkit.backends.logical"
    assert databases["default"]["BASE_ENGINE"] == "django.contrib.gis.db.backends.postgis"
    assert problems(shardkit, databases) == []


def test_nothing_set_is_an_embedded_cluster_under_the_current_directory(home):
    databases, shardkit = read()

    assert list(databases) == ["default", "shard_0", "shard_1", "shard_2", "shard_3"]
    assert list(shardkit["SHARDS"]) == ["shard_0", "shard_1", "shard_2", "shard_3"]
    assert databases["default"]["ENGINE"] == "shardkit.backends.sqlite3"
    assert databases["shard_3"]["NAME"] == str(home / "shard_3.sqlite3")
    assert "journal_mode=WAL" in databases["shard_3"]["OPTIONS"]["init_command"]
    assert home.is_dir()
    assert problems(shardkit, databases) == []


def test_the_embedded_cluster_begins_as_a_writer_on_shards_only(home):
    databases, _ = read()

    modes = {alias: config["OPTIONS"].get("transaction_mode") for alias, config in databases.items()}
    assert home.is_dir()
    assert modes.pop("default") is None
    assert set(modes.values()) == {"IMMEDIATE"}


def test_the_embedded_cluster_can_live_elsewhere_and_holds_placed_databases(tmp_path):
    databases, _ = read(
        "audit",
        SHARDKIT_HOME=str(tmp_path / "deep" / "home"),
        SHARDKIT_PLACEMENT="blog=blog",
        DATABASE_BLOG_URL="sqlite:////data/blog",
    )

    assert databases["audit"]["NAME"] == str(tmp_path / "deep" / "home" / "audit.sqlite3")
    assert databases["blog"]["NAME"] == "/data/blog"
    assert (tmp_path / "deep" / "home").is_dir()


def test_an_empty_variable_is_not_set(home):
    databases, _ = read(DATABASE_URL="", SHARD_URLS="")

    assert databases["default"]["NAME"] == str(home / "default.sqlite3")


def test_a_prefix_of_the_environment_is_honoured():
    env = environ.Env()
    env.prefix = "APP_"
    env.ENVIRON = {
        "APP_DATABASE_URL": "mysql://db/app",
        "APP_SHARD_EU_URL": "mysql://db/eu",
        "DATABASE_URL": "nonsense",
    }

    databases, shardkit = from_env(env)

    assert databases["default"]["NAME"] == "app"
    assert list(shardkit["SHARDS"]) == ["eu"]


def test_the_embedded_cluster_can_have_replicas(tmp_path):
    databases, shardkit = read(
        "audit",
        "billing",
        SHARDKIT_HOME=str(tmp_path),
        SHARDKIT_REPLICAS="2",
        DATABASE_BILLING_URL="postgres://db/billing",
    )

    assert shardkit["SHARDS"]["shard_3"] == {
        "primary": "shard_3",
        "replicas": ["shard_3_replica_0", "shard_3_replica_1"],
    }
    assert shardkit["REPLICAS"] == {
        "default": ["default_replica_0", "default_replica_1"],
        "audit": ["audit_replica_0", "audit_replica_1"],
    }
    assert databases["audit_replica_1"]["NAME"] == str(tmp_path / "audit_replica_1.sqlite3")
    assert databases["audit_replica_1"]["TEST"] == {"MIRROR": "audit"}
    assert problems(shardkit, databases) == []


def test_secrets_in_files_are_read(tmp_path):
    (tmp_path / "url").write_text("mysql://db/app")
    env = environ.FileAwareEnv()
    env.ENVIRON = environ.FileAwareMapping(env={"DATABASE_URL_FILE": str(tmp_path / "url")})

    databases, _ = from_env(env)

    assert databases["default"]["NAME"] == "app"


DEFAULT = {"DATABASE_URL": "postgres://me:secret@db/app"}


@pytest.mark.parametrize(
    ("variables", "blamed"),
    [
        ({"SHARD_URLS": "postgres://db/one"}, "DATABASE_URL"),
        ({**DEFAULT, "SHARD_URL": "postgres://db/one"}, "SHARD_URL"),
        ({**DEFAULT, "SHARD_0_REPLICA_URL": "postgres://db/one"}, "SHARD_0_REPLICA_URL"),
        ({**DEFAULT, "DATABASE_REPLICA_URL": "postgres://db/one"}, "DATABASE_REPLICA_URL"),
        ({**DEFAULT, "SHARDKIT_BUKETS": "64"}, "SHARDKIT_BUKETS"),
        ({**DEFAULT, "SHARDKIT_BUCKETS": "many"}, "SHARDKIT_BUCKETS"),
        ({**DEFAULT, "SHARDKIT_COLOUR": "blue"}, "SHARDKIT_COLOUR"),
        ({**DEFAULT, "SHARDKIT_FANOUT_BUDGET": "40:explode"}, "SHARDKIT_FANOUT_BUDGET"),
        ({**DEFAULT, "SHARDKIT_FANOUT_BUDGET": "many"}, "SHARDKIT_FANOUT_BUDGET"),
        ({**DEFAULT, "SHARDKIT_REPLICA_MAX_LAG": "5 s"}, "SHARDKIT_REPLICA_MAX_LAG"),
        ({**DEFAULT, "SHARDKIT_REPLICA_MAX_LAG": "shard_0=soon"}, "SHARDKIT_REPLICA_MAX_LAG"),
        ({**DEFAULT, "SHARDKIT_REPLICA_READS": "perhaps"}, "SHARDKIT_REPLICA_READS"),
        ({**DEFAULT, "SHARDKIT_REPLICA_WAIT": "long"}, "SHARDKIT_REPLICA_WAIT"),
        ({**DEFAULT, "SHARDKIT_REPLICA_WEIGHTS": "heavy"}, "SHARDKIT_REPLICA_WEIGHTS"),
        ({**DEFAULT, "SHARDKIT_PLACEMENT": "blog"}, "SHARDKIT_PLACEMENT"),
        ({**DEFAULT, "SHARDKIT_PLACEMENT": "blog=blog"}, "DATABASE_BLOG_URL"),
        ({**DEFAULT, "DATABASE_DEFAULT_URL": "postgres://db/one"}, "DATABASE_DEFAULT_URL"),
        ({**DEFAULT, "SHARD_DEFAULT_URL": "postgres://db/one"}, "SHARD_DEFAULT_URL"),
        ({**DEFAULT, "SHARD_EU_URL": "postgres://db/eu", "DATABASE_EU_URL": "postgres://db/eu"}, "SHARD_EU_URL"),
        ({**DEFAULT, "SHARD_URLS": "postgres://db/one", "SHARD_0_URL": "postgres://db/eu"}, "SHARD_0_URL"),
        ({**DEFAULT, "SHARD_EU_REPLICA_URLS": "postgres://db/eu"}, "SHARD_EU_REPLICA_URLS"),
        ({**DEFAULT, "SHARD_REPLICA_URLS": "postgres://db/eu"}, "SHARD_REPLICA_URLS"),
        ({**DEFAULT, "SHARDKIT_REPLICAS": "1"}, "SHARDKIT_REPLICAS"),
        ({"DATABASE_URL": "secret"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://me:secret@db:port/app"}, "DATABASE_URL"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named_without_its_value(variables, blamed):
    with pytest.raises(EnvironmentInvalid) as caught:
        read(**variables)

    assert caught.value.variable == blamed
    assert "secret" not in str(caught.value)


def test_a_misspelled_variable_is_answered_with_the_right_one():
    with pytest.raises(EnvironmentInvalid, match=r"Did you mean SHARD_0_REPLICA_URLS\?"):
        read(DATABASE_URL="postgres://db/app", SHARD_0_REPLICA_URL="postgres://db/one")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SHARDKIT_MAX_LAG", "SHARDKIT_REPLICA_MAX_LAG"),
        ("SHARDKIT_STORE", "SHARDKIT_STICKY_STORE"),
        ("SHARDKIT_SHARDS", "SHARD_URLS"),
    ],
)
def test_an_unknown_variable_is_answered_with_the_nearest_one(written, meant):
    with pytest.raises(EnvironmentInvalid, match=rf"{written} is not a variable of shardkit. Did you mean {meant}\?"):
        read(DATABASE_URL="postgres://db/app", **{written: "5"})


def test_a_placed_database_without_a_url_is_asked_for():
    with pytest.raises(EnvironmentInvalid, match="DATABASE_AUDIT_URL is not set"):
        read("audit", DATABASE_URL="postgres://db/app")
