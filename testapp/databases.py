"""Which databases does this project run on?

As a site: those that the environment names as any project's would, and an embedded cluster if it names none. The tests
choose a vendor and a number of shards instead, on one server:

====================  ================================================================================
TESTAPP_VENDOR        ``sqlite`` (default), ``postgresql`` or ``mysql``
TESTAPP_SHARDS        how many shards (default 4); 0 is one plain database, and shardkit does nothing
TESTAPP_ORACLE        1 adds ``oracle``, one plain database that holds every table
DATABASE_SERVER_URL   the server of PostgreSQL or MariaDB, such as ``postgres://postgres@127.0.0.1:5432``
====================  ================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import environ

import shardkit

#: The database that `AuditLog` names.
PLACED: Final = ("audit",)
DEFAULT_SHARDS: Final = 4
TEST_VARIABLES: Final = ("TESTAPP_VENDOR", "TESTAPP_SHARDS", "TESTAPP_ORACLE")

Config = dict[str, Any]


def database_settings(env: environ.Env) -> tuple[dict[str, Config], Config]:
    """Return DATABASES and SHARDKIT."""
    if any(name in env for name in TEST_VARIABLES):
        return tested_databases(env)
    return shardkit.from_env(env, placed=PLACED)


def tested_databases(env: environ.Env) -> tuple[dict[str, Config], Config]:
    """Return DATABASES and SHARDKIT as plain dictionaries, for a run of the tests."""
    vendor = env.str("TESTAPP_VENDOR", default="sqlite")
    shards = [f"shard_{number}" for number in range(env.int("TESTAPP_SHARDS", default=DEFAULT_SHARDS))]
    aliases = ["default", *shards, *PLACED] if shards else ["default"]
    databases = {alias: _database(env, vendor, alias if shards else "plain") for alias in aliases}
    if shards:
        databases["default"]["ENGINE"] = f"shardkit.backends.{ENGINES[vendor]}"
    if env.bool("TESTAPP_ORACLE", default=False):
        databases["oracle"] = _database(env, vendor, "oracle")
    return databases, {"SHARDS": shards} if shards else {}


#: The module of each vendor's engine, in Django and in shardkit.
ENGINES: Final = {"sqlite": "sqlite3", "postgresql": "postgresql", "mysql": "mysql"}


def _database(env: environ.Env, vendor: str, name: str) -> Config:
    """Describe the database called *name*: a file, or one of the server's."""
    engine = {"ENGINE": f"django.db.backends.{ENGINES[vendor]}"}
    if vendor == "sqlite":
        home = Path(env.str("SHARDKIT_HOME", default=".shardkit")).absolute()
        home.mkdir(parents=True, exist_ok=True)
        return {**engine, "NAME": str(home / f"testapp_{name}.sqlite3")}
    server = dict(env.db_url_config(env.str("DATABASE_SERVER_URL")))
    return {**server, **engine, "NAME": f"testapp_{name}"}
