"""When does the coordinator answer in place of a gather, and how?

A coordinator opens connections of its own, so it sees what is committed and nothing of the caller's transactions: it is
asked outside of them only. It reads what `manage.py shards coordinator` told it to read, so it is asked only while
that is what the settings and the models say today.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from django.db import ProgrammingError, connections

from shardkit import conf
from shardkit.errors import CoordinatorOutOfDate
from shardkit.orm.reaching import asked
from shardkit.routing import owners
from shardkit.routing.registry import Kind, databases_of, models_placed
from shardkit.topology.names import LOGICAL, Alias

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The table in which a coordinator keeps what it was told.
RECORD: Final = "shardkit_coordinator"
#: From an entry of DATABASES to the name of the option of a server.
SERVER_OPTIONS: Final = {"HOST": "host", "PORT": "port", "NAME": "dbname"}

#: The coordinators that were found to be up to date.
_checked: Final[set[Alias]] = set()
conf.settings_reset.append(_checked.clear)


def coordinator_for(compiler: Any) -> Alias | None:
    """Return the database that can answer the statement of *compiler* in place of a gather, None if none can."""
    alias = conf.get_settings().gather_coordinator
    if alias is None or compiler.connection.vendor != "postgresql":
        return None
    if any(connections[name].in_atomic_block for name in (LOGICAL, *owners.all_aliases())):
        return None
    if alias not in _checked:
        require_up_to_date(alias)
        _checked.add(alias)
    return alias


def run(compiler: Any, alias: Alias, *how: Any) -> Any:
    """Run the statement of *compiler* on the coordinator *alias*, as its vendor's own compiler does.

    Its tables have no primary keys, so a GROUP BY names every column that depends on one.
    """
    compiler.connection = connections[alias]
    compiler.collapse_group_by = lambda expressions, _having: expressions
    return compiler.execute_unplanned(*how)


def tables_to_read() -> Iterator[tuple[str, tuple[Alias, ...]]]:
    """Yield each table that a gather may read, with the databases whose rows together are the table's."""
    for placement in models_placed():
        options = placement.model._meta
        if placement.kind is Kind.SHARDED:
            yield options.db_table, databases_of(placement.model)
        elif placement.kind is not Kind.PLACED and options.managed:
            yield options.db_table, (LOGICAL,)


def server_options(alias: Alias) -> dict[str, str]:
    """Say where the database *alias* is."""
    config = connections[alias].settings_dict
    return {option: str(config[key]) for key, option in SERVER_OPTIONS.items() if config.get(key)}


def fingerprint() -> str:
    """Return what changes when a coordinator has to be told anew: which tables it reads, and where."""
    tables = sorted(tables_to_read())
    servers = {name: server_options(name) for _, names in tables for name in names}
    return sha256(json.dumps([tables, servers], sort_keys=True).encode()).hexdigest()


def require_up_to_date(alias: Alias) -> None:
    """Raise `CoordinatorOutOfDate` unless the coordinator *alias* reads what it has to read today."""
    try:
        told = asked(connections[alias], f"SELECT fingerprint FROM {RECORD}")  # noqa: S608 - our own name
    except ProgrammingError:  # nobody has told it anything
        told = ""
    if told != fingerprint():
        raise CoordinatorOutOfDate(alias)
