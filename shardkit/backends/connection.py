"""What does the logical connection do that its vendor's connection does not?

It hands out planning compilers, lets shards join its transactions, and answers for the sharded tables wherever Django
asks one database about all of them.
"""

from __future__ import annotations

from functools import cache, cached_property
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.db import connections

from shardkit.catalog.names import ID_RANGE_TABLE, SHARD_MAP_TABLE
from shardkit.orm.compilers import compilers_over
from shardkit.orm.placing import catch_up
from shardkit.replication import monitor
from shardkit.routing import owners
from shardkit.routing.registry import Kind, databases_of, placement_of, placement_of_table
from shardkit.routing.transactions import JoinedTransactions
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from shardkit.topology.names import Alias


class LogicalOperations:
    """Hand out planning compilers, and leave to each shard what only it can do (a mixin of `DatabaseOperations`)."""

    if TYPE_CHECKING:
        compiler_module: str
        connection: Any

    def compiler(self, compiler_name: str) -> Any:
        """Return the planning subclass of the vendor's compiler of that name."""
        return getattr(self._compilers, compiler_name, None) or super().compiler(compiler_name)  # type: ignore[misc]

    @cached_property
    def _compilers(self) -> SimpleNamespace:
        return compilers_over(import_module(self.compiler_module))

    def sql_flush(self, style: Any, tables: Iterable[str], **options: Any) -> list[str]:
        """Flush *tables*, but keep the shard map and the ranges of ids: neither is data of the application.

        Without the map no row could be placed, and a range that began again would give ids twice.
        """
        kept = {ID_RANGE_TABLE, SHARD_MAP_TABLE}
        flushed: list[str] = super().sql_flush(style, [table for table in tables if table not in kept], **options)  # type: ignore[misc]
        return flushed

    def sequence_reset_sql(self, style: Any, model_list: Sequence[type[Model]]) -> list[str]:
        """Reset the sequences of the tables that are here; ids of sharded models come from the catalog.

        What `loaddata` inserted on shards moves the catalog's range on instead.
        """
        here = [model for model in model_list if placement_of(model).kind in {Kind.GLOBAL, Kind.REFERENCE}]
        for model in model_list:
            if placement_of(model).kind is Kind.SHARDED:
                catch_up(model)
        statements: list[str] = super().sequence_reset_sql(style, here)  # type: ignore[misc]
        return statements


class LogicalCreation:
    """Make test databases that can be destroyed (a mixin of `DatabaseCreation`)."""

    def destroy_test_db(self, *args: Any, **kwargs: Any) -> None:
        """Stop the monitor first: PostgreSQL drops no database that somebody is connected to."""
        monitor.stop()
        super().destroy_test_db(*args, **kwargs)  # type: ignore[misc]


class LogicalConnection(JoinedTransactions):
    """The connection of the alias `default` (a mixin of a vendor's `DatabaseWrapper`)."""

    def check_constraints(self, table_names: Iterable[str] | None = None) -> None:
        """Check *table_names* where they are; without names, `default` and the shards of this transaction."""
        if table_names is None:
            super().check_constraints()
            for alias in self._enlisted:
                connections[alias].check_constraints()
            return
        for alias, names in _by_database(table_names).items():
            if alias == self.alias:
                super().check_constraints(names)
            else:
                connections[alias].check_constraints(names)


def _by_database(table_names: Iterable[str]) -> dict[Alias, list[str]]:
    found: dict[Alias, list[str]] = {}
    for name in table_names:
        for alias in _holders(name):
            found.setdefault(alias, []).append(name)
    return found


def _holders(table: str) -> Iterable[Alias]:
    """Return the databases that may have rows in *table*."""
    placement = placement_of_table(table)
    if placement is None:
        return (LOGICAL,)
    return owners.all_aliases() if placement.kind is Kind.SHARDED else databases_of(placement.model)


@cache
def logical_wrapper(engine: str, creation: type = LogicalCreation) -> type[BaseDatabaseWrapper]:
    """Return the `DatabaseWrapper` of the Django backend *engine* as a logical connection.

    *creation* is the mixin that makes its test databases.
    """
    base = import_module(f"{engine}.base").DatabaseWrapper
    classes = {
        "ops_class": type("DatabaseOperations", (LogicalOperations, base.ops_class), {}),
        "creation_class": type("DatabaseCreation", (creation, base.creation_class), {}),
        "plain_class": base,
    }
    wrapper: type[BaseDatabaseWrapper] = type(
        "DatabaseWrapper", (LogicalConnection, base), {**classes, "__module__": base.__module__}
    )
    return wrapper
