"""Do the shards answer as one plain database does?

Inside `compared_with` each SELECT that goes through the logical database is run once more, on a plain database that
holds the same rows, and a difference is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from shardkit import conf
from shardkit.errors import ShardkitError
from shardkit.orm._django import MULTI, SINGLE, Query
from shardkit.orm.aliases import is_routing
from shardkit.orm.query import ShardedQuerySet
from shardkit.routing.plan import Plan
from shardkit.routing.registry import models_placed
from shardkit.signals import query_planned
from shardkit.testing.answers import TOLERANCE, canonical
from shardkit.testing.comparing import Rows, same_rows, ways_to_compare
from shardkit.testing.copying import copy_tables
from shardkit.testing.watching import Written, replaced, unseen, watched
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

#: The alias of the plain database, unless another is named.
ORACLE: Final = "oracle"
#: How many rows of a difference a message shows.
SHOWN_ROWS: Final = 5


class OracleRouter:
    """Make every table on the plain database, and say nothing about any other; it stands before `ShardRouter`."""

    #: The alias of the plain database.
    alias = ORACLE

    def allow_migrate(self, db: str, *_what: Any, **_hints: Any) -> bool | None:
        """Allow every table on the plain database."""
        return True if db == self.alias else None


class AnswersDiffer(AssertionError):
    """The shards and one plain database gave different answers to the same query."""

    def __init__(self, sql: str, plan: str, shards: str, plain: str) -> None:
        super().__init__(sql, plan, shards, plain)
        self.sql, self.plan, self.shards, self.plain = sql, plan, shards, plain

    def __str__(self) -> str:
        return (
            f"{self.sql}\n  plan:           {self.plan}"
            f"\n  shards:         {self.shards}\n  plain database: {self.plain}"
        )


class Comparison:
    """What `compared_with` does and has done."""

    def __init__(self, alias: str, tolerance: float) -> None:
        self.alias, self.tolerance = alias, tolerance
        #: How many queries were compared so far.
        self.compared = 0
        self.written = Written()
        self._plan: Plan | None = None
        self._busy = False
        self._has_tables = False

    def copy_again(self) -> None:
        """Copy all tables before the next query: something was written without Django's cursors."""
        self.written.note_all()

    def note_plan(self, plan: Plan, **_kwargs: Any) -> None:
        """Remember the plan of the query that runs."""
        self._plan = plan

    def execute(self, compiler: Any, execute: Callable[[], Any], result_type: str) -> Any:
        """Run a statement of *compiler* by *execute*, and compare what it answers."""
        if self._busy or result_type not in {MULTI, SINGLE} or compiler.query.explain_info:
            return execute()
        query = compiler.query.clone()
        with unseen():
            self._copy()  # before: an error can leave the shards in transactions that answer nothing
        try:
            result = self._alone(execute)
        except ShardkitError:
            raise  # refused by name
        except Exception as error:  # of any class: one database has to raise the same
            self._require_same_error(query, compiler, result_type, error)
            raise
        if result_type == SINGLE:
            self._require_same(query, compiler, SINGLE, [] if result is None else [result])
            return result
        return self._passed_on(query, compiler, result)

    def _alone(self, execute: Callable[[], Any]) -> Any:
        """Execute without comparing the statements that this one is made of."""
        self._busy = True
        try:
            return execute()
        finally:
            self._busy = False

    def _passed_on(self, query: Query, compiler: Any, chunks: Iterable[Iterable[Any]]) -> Iterator[Iterator[Any]]:
        """Pass on the rows one by one, as each is tagged with its shard, and compare all after the last."""
        rows: list[Any] = []
        for chunk in chunks:
            yield _remembered(chunk, rows)
        self._require_same(query, compiler, MULTI, rows)

    def _require_same(self, query: Query, compiler: Any, result_type: str, rows: list[Any]) -> None:
        plan = self._plan
        shards = _converted(compiler, rows)

        def whole(unlimited: Any) -> Rows:
            return self._plain(unlimited, compiler, result_type)

        with unseen():
            try:
                plain = self._plain(query, compiler, result_type)
            except Exception as error:  # of any class: the shards answered and one database does not
                raise self._different(query, plan, f"{len(shards)} rows", repr(error)) from error
            self.compared += 1
            ways = ways_to_compare(query, self.tolerance)
            is_same = same_rows(shards, plain, query, whole=whole, alias=self.alias, ways=ways)
        if not is_same:
            raise self._different(query, plan, *_contrasted(shards, plain))

    def _require_same_error(self, query: Query, compiler: Any, result_type: str, error: Exception) -> None:
        plan = self._plan
        with unseen():
            try:
                plain = self._plain(query, compiler, result_type)
            except type(error):
                return
        raise self._different(query, plan, repr(error), f"{len(plain)} rows") from error

    def _copy(self) -> None:
        """Give the plain database the newest rows."""
        models = self.written.take()
        if not self._has_tables:
            _require_tables(models, self.alias)
            self._has_tables = True
        try:
            copy_tables(models, self.alias)
        except BaseException:  # Ctrl-C too: what was not copied is to be copied the next time
            self.written.note_all()
            raise

    def _plain(self, query: Any, compiler: Any, result_type: str) -> Rows:
        """Return the rows that the plain database answers to *query*."""
        asked = query.clone()
        asked.select_for_update = False
        plain = asked.get_compiler(self.alias, elide_empty=compiler.elide_empty)
        with transaction.atomic(using=self.alias):  # an error leaves the transaction of the test as it was
            result = plain.execute_sql(result_type)
            rows = ([] if result is None else [result]) if result_type == SINGLE else list(chain.from_iterable(result))
        return _converted(plain, rows)

    def _different(self, query: Query, plan: Plan | None, shards: str, plain: str) -> AnswersDiffer:
        return AnswersDiffer(str(query), repr(plan), shards, plain)


def _remembered(chunk: Iterable[Any], rows: list[Any]) -> Iterator[Any]:
    for row in chunk:
        rows.append(row)
        yield row


def _converted(compiler: Any, rows: list[Any]) -> Rows:
    """Turn *rows* of a driver into what Django would make of them."""
    if rows in ([], [True], [False]):
        return list(rows)
    if getattr(compiler.query, "inner_query", None) is not None:
        fields = list(compiler.query.annotation_select.values())
    else:
        fields = [column for column, *_ in compiler.select[: compiler.col_count]]
    converters = compiler.get_converters(fields)
    cut = [tuple(row)[: len(fields)] for row in rows]
    return [canonical(tuple(row)) for row in (compiler.apply_converters(cut, converters) if converters else cut)]


def _contrasted(shards: Rows, plain: Rows) -> tuple[str, str]:
    """Say how two answers differ: by the rows that only one has, else by their order."""
    mine, others = Counter(shards), Counter(plain)
    if mine == others:
        return _some(shards), _some(plain)
    return f"only here {_some((mine - others).elements())}", f"only here {_some((others - mine).elements())}"


def _some(rows: Iterable[Hashable]) -> str:
    found = list(rows)
    more = f" and {len(found) - SHOWN_ROWS} more" if len(found) > SHOWN_ROWS else ""
    return f"{found[:SHOWN_ROWS]}{more}"


@contextmanager
def compared_with(alias: str = ORACLE, *, tolerance: float = TOLERANCE) -> Iterator[Comparison]:
    """Run each query inside the block on the plain database *alias* too, and raise `AnswersDiffer` if it differs.

    The plain database is given the rows of all databases before, whenever they have changed. Rows without an order
    compare as a multiset, ties may come in any order, and sums and means of floats may differ by *tolerance*. Where
    shardkit is off there is nothing to compare.
    """
    comparison = Comparison(alias, tolerance)
    if not is_routing():
        yield comparison
        return
    _require_plain(alias)
    with ExitStack() as stack:
        stack.enter_context(watched(comparison.written, but=alias))
        stack.enter_context(mock.patch.object(ShardedQuerySet, "db", property(_marked)))
        stack.enter_context(_compiling(connections[LOGICAL], comparison, lambda _: True))
        for other in set(connections) - {LOGICAL, alias}:
            stack.enter_context(_compiling(connections[other], comparison, lambda using: type(using) is _Glanced))
        query_planned.connect(comparison.note_plan)
        stack.callback(query_planned.disconnect, comparison.note_plan)
        yield comparison


def _require_plain(alias: str) -> None:
    """Refuse at once what could not be compared with, or would lose its rows."""
    settings = conf.get_settings()
    ours = {LOGICAL, *settings.topology.primaries, *settings.replica_aliases, *(each.alias for each in models_placed())}
    if alias not in connections:
        fact = "is not in DATABASES. Add it there, as docs/how-to/test-your-project.md shows"
    elif alias in ours:
        fact = "is a database of the cluster, whose rows would be replaced. Name a plain one"
    elif connections[alias].vendor != connections[LOGICAL].vendor:
        fact = (
            f"is {connections[alias].vendor}, and the cluster is {connections[LOGICAL].vendor}. Name one of that vendor"
        )
    else:
        return
    raise ImproperlyConfigured(f"compared_with({alias!r}): the database {alias!r} {fact}.")


def _require_tables(models: Iterable[type[Model]], alias: str) -> None:
    """Say what the plain database lacks, and why it may."""
    wanted = {model._meta.db_table for model in models}
    if not wanted:
        return
    missing = sorted(wanted - set(connections[alias].introspection.table_names()))
    if missing:
        raise ImproperlyConfigured(
            f"compared_with({alias!r}): the database {alias!r} has no table {', '.join(missing)}. It needs every one, "
            "and has them when shardkit.testing.OracleRouter is the first of DATABASE_ROUTERS."
        )


class _Glanced(str):
    """The alias of a shard to which a query goes without having named it."""

    __slots__ = ()


_alias_of: Final[Any] = ShardedQuerySet.db.fget  # type: ignore[attr-defined]


def _marked(queryset: Any) -> str:
    alias: str = _alias_of(queryset)
    chosen = vars(queryset)["_db"]
    named = chosen is not None and chosen != LOGICAL
    return alias if named or alias == LOGICAL else _Glanced(alias)


@contextmanager
def _compiling(
    connection: BaseDatabaseWrapper, comparison: Comparison, applies: Callable[[Any], bool]
) -> Iterator[None]:
    """Let *connection* hand out compilers that compare, for aliases to which that *applies*."""
    operations: Any = connection.ops
    original = operations.compiler

    def compiler(name: str) -> Any:
        found = original(name)
        return _comparing(found, comparison, applies) if name in {"SQLCompiler", "SQLAggregateCompiler"} else found

    with replaced(operations, "compiler", compiler):
        yield


@cache
def _comparing(base: type, comparison: Comparison, applies: Callable[[Any], bool]) -> type:
    class Comparing(base):  # type: ignore[misc]
        def execute_sql(self, result_type: str = MULTI, *how: Any, **options: Any) -> Any:
            execute = super().execute_sql
            if not applies(self.using):
                return execute(result_type, *how, **options)
            return comparison.execute(self, lambda: execute(result_type, *how, **options), result_type)

    return Comparing
