"""How does one PostgreSQL database come to read the tables of all the others?

A coordinator holds no rows. For each database of the cluster it has a server of ``postgres_fdw`` and a schema of
foreign tables; a sharded table is a parent whose children are the foreign tables of the shards, so that PostgreSQL
plans over all of them, pushes conditions and joins to each, and scans them at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import connections, transaction

from shardkit import conf
from shardkit.orm.gathering.coordinator import RECORD, fingerprint, server_options, tables_to_read
from shardkit.topology.names import LOGICAL, Alias

#: What we make carries this comment, and only what carries it is ever dropped.
MARK: Final = "made by shardkit: manage.py shards coordinator"
#: How many rows a foreign scan fetches at once. PostgreSQL's 100 makes a round trip for each hundred rows.
FETCH_SIZE: Final = 10_000
#: The providers of collations, as the catalog of PostgreSQL abbreviates them.
PROVIDERS: Final = {"b": "builtin", "c": "libc", "i": "icu"}


@dataclass(frozen=True, slots=True)
class Coordinated:
    """What the coordinator reads now."""

    alias: Alias
    databases: tuple[Alias, ...]
    tables: tuple[str, ...]


def coordinate() -> Coordinated:
    """Create or update everything on the coordinator, in one transaction; raise `CommandError` where that is unsafe."""
    alias = conf.get_settings().gather_coordinator
    if alias is None:
        raise CommandError("SHARDKIT['GATHER_COORDINATOR'] names no database.")
    tables = dict(tables_to_read())
    databases = tuple(dict.fromkeys(name for names in tables.values() for name in names))
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS postgres_fdw")
        _drop(cursor, alias, tables)
        _copy_collations(cursor)
        for name in databases:
            _add_server(cursor, name)
            _import(cursor, name, [table for table, owners in tables.items() if name in owners])
        for table, owners in tables.items():
            _publish(cursor, table, owners)
        cursor.execute(f"CREATE TABLE {RECORD} AS SELECT %s AS fingerprint", [fingerprint()])
        cursor.execute(f"COMMENT ON TABLE {RECORD} IS '{MARK}'")
    return Coordinated(alias, databases, tuple(tables))


def _drop(cursor: Any, alias: Alias, tables: Iterable[str]) -> None:
    """Drop what an earlier run made; refuse to touch a table that is not ours."""
    cursor.execute(
        "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'f', 'v', 'm')"
    )
    found = dict(cursor.fetchall())
    foreign = sorted(name for name in tables if name in found and found[name] != MARK)
    if foreign:
        raise CommandError(
            f"The database {alias!r} has tables of its own: {', '.join(foreign)}. "
            "A coordinator needs an empty database: name one in SHARDKIT['GATHER_COORDINATOR']."
        )
    for name in (name for name, comment in found.items() if comment == MARK):
        cursor.execute(f"DROP {_kind(cursor, name)} {_quoted(name)} CASCADE")
    cursor.execute("SELECT srvname FROM pg_foreign_server WHERE obj_description(oid, 'pg_foreign_server') = %s", [MARK])
    for (name,) in cursor.fetchall():
        cursor.execute(f"DROP SERVER {_quoted(name)} CASCADE")
    cursor.execute("SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = %s", [MARK])
    for (name,) in cursor.fetchall():
        cursor.execute(f"DROP SCHEMA {_quoted(name)} CASCADE")


def _copy_collations(cursor: Any) -> None:
    """Create the collations that migrations made on `default`, which columns may name."""
    with connections[LOGICAL].cursor() as there:
        # As JSON, since the name of the column with the locale changed in PostgreSQL 15 and 17.
        there.execute(
            "SELECT to_jsonb(c)::text FROM pg_collation c WHERE collnamespace = current_schema()::regnamespace"
        )
        found = [json.loads(text) for (text,) in there.fetchall()]
    for entry in found:
        locale = entry.get("colllocale") or entry.get("colliculocale") or entry.get("collcollate") or ""
        provider = PROVIDERS[entry["collprovider"]]
        kind = f"provider = {provider}, locale = '{_literal(locale)}', deterministic = {entry['collisdeterministic']}"
        cursor.execute(f"CREATE COLLATION IF NOT EXISTS {_quoted(entry['collname'])} ({kind})")


def _kind(cursor: Any, table: str) -> str:
    cursor.execute("SELECT relkind FROM pg_class WHERE oid = %s::regclass", [_quoted(table)])
    return "FOREIGN TABLE" if cursor.fetchone()[0] in {"f", b"f"} else "TABLE"


def _add_server(cursor: Any, alias: Alias) -> None:
    """Tell the coordinator where the database *alias* is and how to log in."""
    config: Mapping[str, Any] = connections[alias].settings_dict
    server = _quoted(_name(alias))
    options: dict[str, object] = {**server_options(alias), "fetch_size": FETCH_SIZE, "async_capable": "true"}
    options |= {"updatable": "false", "truncatable": "false"}  # it reads
    cursor.execute(f"CREATE SERVER {server} FOREIGN DATA WRAPPER postgres_fdw {_options(options)}")
    cursor.execute(f"COMMENT ON SERVER {server} IS '{MARK}'")
    login = {"user": config.get("USER"), "password": config.get("PASSWORD")}
    given = _options({option: value for option, value in login.items() if value})
    cursor.execute(f"CREATE USER MAPPING FOR CURRENT_USER SERVER {server} {given}")


def _import(cursor: Any, alias: Alias, tables: Sequence[str]) -> None:
    """Make foreign tables of *tables* in a schema of their own, with the types and collations that they have there."""
    schema = _quoted(_name(alias))
    cursor.execute(f"CREATE SCHEMA {schema}")
    cursor.execute(f"COMMENT ON SCHEMA {schema} IS '{MARK}'")
    with connections[alias].cursor() as there:
        there.execute("SELECT current_schema()")
        (remote,) = there.fetchone()
    names = ", ".join(map(_quoted, tables))
    cursor.execute(
        f"IMPORT FOREIGN SCHEMA {_quoted(remote)} LIMIT TO ({names}) FROM SERVER {_quoted(_name(alias))} INTO {schema}"
    )


def _publish(cursor: Any, table: str, owners: Sequence[Alias]) -> None:
    """Put *table* where a statement looks for it: itself, or a parent over those of several databases."""
    first = f"{_quoted(_name(owners[0]))}.{_quoted(table)}"
    if len(owners) == 1:
        cursor.execute("SELECT quote_ident(current_schema())")
        cursor.execute(f"ALTER FOREIGN TABLE {first} SET SCHEMA {cursor.fetchone()[0]}")
        cursor.execute(f"COMMENT ON FOREIGN TABLE {_quoted(table)} IS '{MARK}'")
        return
    cursor.execute(f"CREATE TABLE {_quoted(table)} (LIKE {first})")
    cursor.execute(f"COMMENT ON TABLE {_quoted(table)} IS '{MARK}'")
    for alias in owners:
        cursor.execute(f"ALTER FOREIGN TABLE {_quoted(_name(alias))}.{_quoted(table)} INHERIT {_quoted(table)}")


def _name(alias: Alias) -> str:
    """Name the server and the schema of the database *alias*."""
    return f"shardkit_{alias}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _options(options: Mapping[str, object]) -> str:
    """Write an OPTIONS clause; its values can only be literals."""
    if not options:
        return ""
    pairs = (f"{name} '{_literal(str(value))}'" for name, value in options.items())
    return f"OPTIONS ({', '.join(pairs)})"


def _literal(value: str) -> str:
    if "\\" in value or "\0" in value:
        raise CommandError("A name or password with a backslash cannot be told to postgres_fdw.")
    return value.replace("'", "''")
