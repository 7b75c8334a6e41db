"""Which SELECTs is a statement made of, what does each read, and what may it do that only all rows can answer?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shardkit.routing import registry
from shardkit.routing.expressions import is_clock, roots, subqueries, tells_time, values, walk
from shardkit.routing.opaque import is_opaque, text_of
from shardkit.routing.texts import is_of_one_row, strangers_in, tables_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from django.db.models.sql.query import Query

_SELECTS: Final = re.compile(r"select|\btable\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT of a statement with every join set up, and the SELECTs inside it."""

    #: The query as it stands in the statement, for telling it from others.
    source: Query
    #: A copy with all joins that Django makes while it compiles, ordered by the expressions that Django orders by.
    query: Query
    inside: tuple[Select, ...]
    #: The known tables that text of this level reads behind the ORM's back.
    hidden: frozenset[str] = frozenset()
    #: What text of this level reads that is no known table: a view, say, which may read any.
    strangers: frozenset[str] = frozenset()
    #: Whether text among what this level selects or is ordered by may aggregate or look at other rows.
    opaque: bool = False
    #: Whether this level selects, groups by or is ordered by the time at which its database looks at the clock.
    tells_time: bool = False

    def levels(self) -> Iterator[Select]:
        """Yield this SELECT and all those inside it, at any depth."""
        yield self
        for nested in self.inside:
            yield from nested.levels()


def dissect(query: Query, prepare: Callable[[Query], Any]) -> Select:
    """Take *query* apart into its SELECTs; *prepare* returns a compiler of such a copy of each."""
    compiler = prepare(query)
    prepared: Any = compiler.query
    nodes = [node for root in roots(prepared) for node in walk(root)]
    inside = tuple(dissect(nested, prepare) for nested in subqueries(prepared, nodes))
    opaque = {id(node): text_of(node, compiler) for node in nodes if is_opaque(node)}
    extra = [sql for sql, _ in prepared.extra.values()]
    texts = [*extra, *opaque.values()]
    if not texts and not prepared.extra_tables and not any(map(is_clock, nodes)):
        return Select(query, prepared, inside)
    return Select(
        query,
        prepared,
        inside,
        frozenset(_hidden(prepared, texts)),
        frozenset(_strangers(prepared, texts)),
        not all(map(is_of_one_row, [*extra, *_of_values(prepared, opaque)])),
        any(map(tells_time, values(prepared))),
    )


def tables(select: Select) -> set[str]:
    """Return the name of every table that is read at any level of *select*."""
    found: set[str] = set()
    for level in select.levels():
        query = level.query
        found.update(table.table_name for alias, table in query.alias_map.items() if query.alias_refcount.get(alias))
        if not query.alias_map and query.model is not None and getattr(query, "inner_query", None) is None:
            found.add(query.model._meta.db_table)
        found |= level.hidden
    return found


def _hidden(query: Any, texts: Iterable[str]) -> Iterator[str]:
    """Yield the known tables that *texts* of *query*'s own level read.

    A text that names a table of the FROM clause only to qualify a column reads nothing; with the word SELECT it may.
    (That is how Django prefetches many-to-many rows.)
    """
    joined = {table.table_name for alias, table in query.alias_map.items() if query.alias_refcount.get(alias)}
    if query.model is not None:
        joined.add(query.model._meta.db_table)
    for name in query.extra_tables:
        yield from registry.tables_called(name)
    for text in texts:
        yield from tables_named(text) - (set() if _SELECTS.search(text) else joined)


def _strangers(query: Any, texts: Iterable[str]) -> Iterator[str]:
    yield from (name for name in query.extra_tables if not registry.tables_called(name))
    for text in texts:
        yield from strangers_in(text)


def _of_values(query: Any, opaque: dict[int, str]) -> Iterator[str]:
    """Yield those of the *opaque* texts that stand in what *query* selects or is ordered by.

    A condition can hold no aggregate and no window function.
    """
    for root in values(query) if opaque else ():
        yield from (opaque[id(node)] for node in walk(root) if id(node) in opaque)
