"""When does the coordinator answer in place of a gather, and how?

A coordinator opens connections of its own, so it sees what is committed and nothing of the caller's transaction: it is
asked outside of transactions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections

from shardkit import conf

if TYPE_CHECKING:
    from shardkit.topology.names import Alias


def coordinator_for(compiler: Any) -> Alias | None:
    """Return the database that can answer the statement of *compiler* in place of a gather, None if none can."""
    alias = conf.get_settings().gather_coordinator
    if alias is None or compiler.connection.vendor != "postgresql" or compiler.connection.in_atomic_block:
        return None
    return alias


def run(compiler: Any, alias: Alias, *how: Any) -> Any:
    """Run the statement of *compiler* on the coordinator *alias*, as its vendor's own compiler does.

    Its tables have no primary keys, so a GROUP BY names every column that depends on one.
    """
    compiler.connection = connections[alias]
    compiler.collapse_group_by = lambda expressions, _having: expressions
    return compiler.execute_unplanned(*how)
