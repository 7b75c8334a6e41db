"""How are the statements of several shards run at the same time, and their rows read?

Everything that needs the thread's own connections happens here, in the calling thread: joining its transaction,
compiling, opening cursors. Only the waiting is shared.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.db.models.expressions import ColPairs, OrderBy

from shardkit.consistency.reading import connection_of
from shardkit.fanout import Job, run
from shardkit.fanout.statements import naming
from shardkit.orm._django import GET_ITERATOR_CHUNK_SIZE
from shardkit.orm.reaching import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shardkit.topology.names import Alias


@dataclass(slots=True)
class Part:
    """The rows of one shard, as its driver gives them."""

    alias: Alias
    #: The untouched compiler of the shard, which knows what its columns are.
    compiler: Any
    cursor: Any
    chunk_size: int = GET_ITERATOR_CHUNK_SIZE

    def types(self) -> Sequence[Any] | None:
        """List the driver's types of the columns; None while it knows them not yet."""
        return None if self.cursor.description is None else [column[1] for column in self.cursor.description]

    def chunks(self) -> Iterator[list[Any]]:
        """Yield the rows in lists, and close the cursor after the last one."""
        with closing(self.cursor):
            while rows := self._fetched():
                yield rows

    def whole(self) -> Iterator[list[Any]]:
        """Yield all rows in one list."""
        with closing(self.cursor), self._naming(), self.cursor.db.wrap_database_errors:
            rows = list(self.cursor.fetchall())
        yield rows

    def rows(self) -> Iterator[Any]:
        """Yield the rows, fetching a chunk at a time."""
        for rows in self.chunks():
            yield from rows

    def _fetched(self) -> list[Any]:
        with self._naming(), self.cursor.db.wrap_database_errors:
            return list(self.cursor.fetchmany(self.chunk_size))

    def _naming(self) -> AbstractContextManager[None]:
        return naming(self.alias, self.cursor.db)


@dataclass(slots=True)
class Twin:
    """The compiler of a statement that another connection runs too, with the same text and parameters."""

    original: Any
    connection: Any

    def as_sql(self) -> tuple[str, Any]:
        """Return what the original was compiled to."""
        if self.original.compiled is None:
            raise EmptyResultSet
        statement: tuple[str, Any] = self.original.compiled
        return statement

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


def are_alike(one: Any, other: Any) -> bool:
    """Say whether the two connections get the same SQL for the same query."""
    return (
        _plain_class(one) is _plain_class(other)
        and one.timezone_name == other.timezone_name
        and one.settings_dict["OPTIONS"] == other.settings_dict["OPTIONS"]
        and one.get_database_version() == other.get_database_version()
    )


def _plain_class(connection: Any) -> type:
    """Return the class of *connection*, or what the logical one is without planning, which changes no text."""
    found: type = getattr(type(connection), "plain_class", type(connection))
    return found


def compiler_on(alias: Alias, query: Any, *, elide_empty: bool) -> Any:
    """Return an untouched compiler of *query* on the connection that answers for *alias* in this statement."""
    connection = connection_of(alias)
    return connection.ops.compiler(query.compiler)(query, connection, connection.alias, elide_empty)


def open_parts(
    compilers: Iterable[tuple[Alias, Any]],
    *,
    chunked_fetch: bool = False,
    chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    one_by_one: bool = False,
) -> list[Part]:
    """Run the statement of each compiler on its shard, all at the same time.

    A statement that can match nothing is left out, and if that leaves none, `EmptyResultSet` is raised. Without
    *chunked_fetch*, and where DISABLE_SERVER_SIDE_CURSORS is set, the driver may hold all rows of a shard. What locks
    rows runs *one_by_one*, so that two callers lock them in the same order and neither waits for the other.
    """
    parts: list[Part] = []
    jobs: list[Job] = []
    try:
        for alias, compiler in compilers:
            reach(alias)
            try:
                sql, params = compiler.as_sql()
            except EmptyResultSet:
                continue
            connection = compiler.connection
            chunked = chunked_fetch and not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
            cursor = connection.chunked_cursor() if chunked else connection.cursor()
            parts.append(Part(alias, compiler, cursor, chunk_size))
            jobs.append(Job(alias, cursor, sql, params))
        for together in [[job] for job in jobs] if one_by_one else [jobs]:
            run(together)
    except BaseException:  # whatever went wrong is raised; open cursors would keep their connections busy
        close(parts)
        raise
    if not parts:
        raise EmptyResultSet
    return parts


def describe_as(compiler: Any, found: Any) -> None:
    """Let *compiler* describe the rows of its statement as *found* does, the compiler whose statement made them."""
    for name in ("select", "klass_info", "annotation_col_map", "col_count"):
        setattr(compiler, name, getattr(found, name, None))


def width_of(select: Iterable[Any]) -> int:
    """Return how many columns a row has of what a compiler selects: a composite primary key has several."""
    return sum(map(_columns_of, (entry[0] for entry in select)))


def _columns_of(expression: Any) -> int:
    """Say how many columns are selected for *expression*; SELECT DISTINCT selects terms of the ORDER BY too."""
    found = expression.expression if isinstance(expression, OrderBy) else expression
    return len(found) if isinstance(found, ColPairs) else 1


def close(parts: Iterable[Part]) -> None:
    """Close the cursors of *parts*: nobody will read the rest of their rows."""
    for part in parts:
        part.cursor.close()
