"""Which statement on which shard gives the wanted rows of a table?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models.sql.where import AND

from shardkit.orm._django import Query
from shardkit.orm.gathering.partners import pin_of, where_of
from shardkit.orm.parts import compiler_on
from shardkit.routing import owners
from shardkit.routing.narrowing import Narrowing
from shardkit.routing.registry import Kind
from shardkit.shadows import Source
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shardkit.orm.gathering.push import Occurrence
    from shardkit.routing.registry import ModelPlacement
    from shardkit.topology.names import Alias


def sources(
    placement: ModelPlacement,
    columns: Sequence[str],
    wanted: Sequence[Occurrence],
    *,
    distinct: bool = False,
    order: Sequence[Any] = (),
    limit: int | None = None,
) -> Iterator[Source]:
    """Yield a SELECT of *columns* for each database with rows that one of the *wanted* occurrences may want.

    Without any occurrence, every row is wanted. *order* is of the first one's columns.
    """
    query: Any = Query(placement.model)
    base = query.get_initial_alias()
    where = where_of(wanted, base) if wanted else None
    if where is not None:
        query.where.add(where, AND)
    narrowed = Narrowing(query)
    ordered = [one.relabeled_clone({wanted[0].alias: base}) for one in order]
    start = "SELECT DISTINCT" if distinct else "SELECT"
    end = "" if limit is None else f" LIMIT {limit}"
    for alias in _databases(placement, wanted):
        source = _rows(narrowed.on(alias), columns, alias, ordered)
        if source is not None:
            yield replace(source, sql=f"{start} {source.sql}{end}")


def _databases(placement: ModelPlacement, wanted: Sequence[Occurrence]) -> Sequence[Alias]:
    if placement.kind is not Kind.SHARDED:
        return (LOGICAL,)
    pin = pin_of(wanted) if wanted else None
    return owners.all_aliases() if pin is None else owners.in_order(pin)


def _rows(query: Any, columns: Sequence[str], alias: Alias, order: Sequence[Any]) -> Source | None:
    """Return a SELECT of *columns* without that word from the one table of *query*, None when no row can match.

    The columns stand as they are: Django would let some fields wrap theirs.
    """
    compiler = compiler_on(alias, query, elide_empty=True)
    quote = compiler.connection.ops.quote_name
    try:
        condition, params = compiler.compile(query.where)
    except EmptyResultSet:
        return None
    except FullResultSet:
        condition, params = "", ()
    table = quote(query.get_initial_alias())
    named = ", ".join(f"{table}.{quote(column)}" for column in columns)
    where = f" WHERE {condition}" if condition else ""
    keys = [compiler.compile(one) for one in order]
    ordered = " ORDER BY " + ", ".join(sql for sql, _ in keys) if keys else ""
    return Source(
        alias, f"{named} FROM {table}{where}{ordered}", (*params, *(one for _, found in keys for one in found))
    )
