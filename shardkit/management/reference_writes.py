"""How do the migrations of all databases, each for itself, leave the copies of a reference model equal?

Each writes its own copy, by the same code. What the databases would do differently is the number of a new row: a shard
takes the one that the row has on `default`, whose migration has inserted it before. What remains, such as the time at
which a row was made, is copied from `default` at the end; so is all that a new shard lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import connections, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from shardkit import conf
from shardkit.errors import CopiesWouldDiffer
from shardkit.management.copies import differences, repair
from shardkit.routing.data_migrations import Migrating
from shardkit.routing.registry import Kind, databases_of, placement_of, placement_of_table
from shardkit.topology.names import LOGICAL, Alias

#: What a statement makes or writes to: the table behind its verb.
_WRITTEN: Final = re.compile(
    r"\s*(?:(?P<makes>CREATE\s+TABLE)|INSERT(?:\s+IGNORE|\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE(?:\s+FROM)?)"
    r"\s+(?:ONLY\s+)?[\"`]?(?P<table>\w+)",
    re.IGNORECASE,
)


@contextmanager
def watched(running: Migrating) -> Iterator[None]:
    """Inside the block, let the migration of one database write its copies as those of the others do, or refuse."""
    if running.alias not in {LOGICAL, *conf.get_settings().topology.primaries}:
        yield
        return
    with ExitStack() as stack:
        connection = connections[running.alias]
        stack.enter_context(connection.execute_wrapper(_checking(running)))
        stack.enter_context(_numbering(running.alias))
        yield


def settle(running: Migrating) -> None:
    """Copy from `default` what a shard has otherwise, or not yet, as a new one; say so if it has rows of its own."""
    if running.alias == LOGICAL or not running.written or _lacks_any(LOGICAL) or _lacks_any(running.alias):
        return
    found = differences(list(running.written), [running.alias])
    repair([each for each in found if not each.extra])
    left = [str(each) for each in found if each.extra]
    if left:
        raise CommandError(
            f"{'; '.join(left)}: migrations have not written the same rows as on 'default'. "
            "`manage.py shards copies --repair` makes them so."
        )


def _lacks_any(alias: Alias) -> bool:
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _checking(running: Migrating) -> Callable[..., Any]:
    def check(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        found = _WRITTEN.match(str(sql))
        placement = placement_of_table(found["table"]) if found else None
        if found and placement is not None and placement.kind is Kind.REFERENCE:
            if not found["makes"]:
                _require_equal(running, placement.model)
            running.written[placement.model] = None
        return execute(sql, params, many, context)

    return check


def _require_equal(running: Migrating, model: type[models.Model]) -> None:
    """Refuse a write of a data migration that the other copies will not see, or not see first on `default`."""
    running.require_on_every_copy(model)
    is_told = running.question is not None and running.migration is not None
    if not is_told or running.alias == LOGICAL or running.has_run_on_default:
        return
    is_applied = running.migration in MigrationRecorder(connections[LOGICAL]).applied_migrations()
    running.has_run_on_default = is_applied != running.is_backwards
    if not running.has_run_on_default:
        why = f"has not run on {LOGICAL!r}"
        remedy = f"Let it run there first: `manage.py migrate_shards` begins with {LOGICAL!r}."
        raise CopiesWouldDiffer(running.alias, model._meta.label, why, remedy)


@contextmanager
def _numbering(alias: Alias) -> Iterator[None]:
    """Let the connection of *alias* hand out compilers that number new reference rows."""
    operations: Any = connections[alias].ops
    original = operations.compiler

    def compiler(name: str) -> Any:
        found = original(name)
        return _numbering_compiler(found, alias) if name == "SQLInsertCompiler" else found

    operations.compiler = compiler
    try:
        yield
    finally:
        del operations.compiler


@cache
def _numbering_compiler(base: type, alias: Alias) -> type:
    class NumberingInsertCompiler(base):  # type: ignore[misc]
        def execute_sql(self, returning_fields: Any = None) -> Any:
            _number(self.query, alias)
            return super().execute_sql(returning_fields)

    return NumberingInsertCompiler


def _number(query: Any, alias: Alias) -> None:
    """Give the new reference rows of *query* their primary keys, where a database would number them by itself."""
    model = query.get_meta().model
    pk: Any = model._meta.auto_field
    if pk is None or pk in query.fields or placement_of(model).kind is not Kind.REFERENCE:
        return
    if query.on_conflict is not None:
        why = "inserts rows without primary keys, ignoring or updating those that are there"
        raise CopiesWouldDiffer(alias, model._meta.label, why, "Give the rows their primary keys.")
    if alias == LOGICAL or alias not in databases_of(model):
        return
    for instance, number in zip(query.objs, _numbers(model._meta.db_table, pk.column, alias), strict=False):
        setattr(instance, pk.attname, number)
    query.fields = [pk, *query.fields]


def _numbers(table: str, column: str, alias: Alias) -> Iterator[int]:
    """Yield the ids that rows have on `default` and not on *alias*, lowest first, and then new ones."""
    taken = _ids(table, column, alias)
    yield from sorted(_ids(table, column, LOGICAL) - taken)
    number = max(taken, default=0)
    while True:  # `default` has no such row any more: a later migration has deleted it, or its table
        number += 1
        yield number


def _ids(table: str, column: str, alias: Alias) -> set[int]:
    connection = connections[alias]
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return set()
        columns = {each.name for each in connection.introspection.get_table_description(cursor, table)}
        if column not in columns:
            return set()
        name = connection.ops.quote_name
        cursor.execute(f"SELECT {name(column)} FROM {name(table)}")  # noqa: S608
        return {number for (number,) in cursor.fetchall()}
