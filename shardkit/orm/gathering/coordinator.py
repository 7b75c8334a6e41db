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
from shardkit.consistency.session import current
from shardkit.errors import CoordinatorOutOfDate
from shardkit.orm._django import MULTI
from shardkit.orm.aliases import is_read
from shardkit.orm.reaching import asked
from shardkit.replication.selection import Choice
from shardkit.routing import owners
from shardkit.routing.registry import Kind, models_placed
from shardkit.signals import announce_reads
from shardkit.topology.names import LOGICAL, Alias
from shardkit.topology.nodes import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shardkit.routing.plan import Gather

#: The table in which a coordinator keeps what it was told.
RECORD: Final = "shardkit_coordinator"
#: From an entry of DATABASES to the name of the option of a server.
SERVER_OPTIONS: Final = {"HOST": "host", "PORT": "port", "NAME": "dbname"}

#: The coordinators that were found to be up to date, each with the owners of buckets at that time.
_checked: Final[set[tuple[Alias, ...]]] = set()
conf.settings_reset.append(_checked.clear)


def coordinator_for(compiler: Any) -> Alias | None:
    """Return the database that can answer the statement of *compiler* in place of a gather, None if none can."""
    alias = coordinator_over(compiler.connection)
    if alias is None:
        return None
    checked = (alias, *owners.all_aliases())
    if checked not in _checked:
        require_up_to_date(alias)
        _checked.add(checked)
    return alias


def coordinator_over(connection: Any) -> Alias | None:
    """Return the database that answers gathers of *connection* at this moment, if it is up to date."""
    alias = conf.get_settings().gather_coordinator
    if alias is None or connection.vendor != "postgresql":
        return None
    if any(connections[name].in_atomic_block for name in (LOGICAL, *owners.all_aliases())):
        return None
    return alias


def run(compiler: Any, alias: Alias, plan: Gather, *how: Any) -> Any:
    """Run the statement of *compiler* on the coordinator *alias*, as its vendor's own compiler does.

    Its tables have no primary keys, so a GROUP BY names every column that depends on one. It reads the primaries of
    *plan*, so the session has seen what they have.
    """
    compiler.connection = connections[alias]
    compiler.collapse_group_by = lambda expressions, _having: expressions
    answer = compiler.execute_unplanned(*how)
    primaries = primaries_of(plan)
    _note_seen(primaries)
    if is_read(compiler.using):
        announce_reads(compiler.query.model, {name: Choice(name, Role.PRIMARY, why(alias)) for name in primaries})
    result_type, is_chunked, *_ = how
    return _seen(primaries, answer) if result_type == MULTI and is_chunked else answer


def primaries_of(plan: Gather) -> tuple[Alias, ...]:
    """List the primaries with replicas that a coordinator reads for *plan*."""
    replicas = conf.get_settings().replicas
    return tuple(name for name in dict.fromkeys((LOGICAL, *plan.aliases)) if name in replicas)


def why(alias: Alias) -> str:
    """Say why what the coordinator *alias* answers comes from primaries."""
    return f"the coordinator {alias} reads primaries"


def _note_seen(primaries: Iterable[Alias]) -> None:
    for primary in primaries:
        current().note_seen(primary)


def _seen(primaries: Iterable[Alias], chunks: Iterable[Any]) -> Iterator[Any]:
    """Yield *chunks*, each of which may show more than the one before: foreign tables are opened one after another."""
    for chunk in chunks:
        _note_seen(primaries)
        yield chunk


def tables_to_read() -> Iterator[tuple[str, tuple[Alias, ...]]]:
    """Yield each table that a gather may read, with the databases whose rows together are the table's."""
    for placement in models_placed():
        options = placement.model._meta
        if placement.kind is Kind.SHARDED:
            yield options.db_table, owners.all_aliases()
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
