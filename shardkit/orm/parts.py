"""How are the statements of several shards run at the same time, and their rows read?

Everything that needs the thread's own connections happens here, in the calling thread: joining its transaction,
compiling, opening cursors. Only the waiting is shared.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet

from shardkit.fanout import Job, run
from shardkit.orm._django import GET_ITERATOR_CHUNK_SIZE
from shardkit.routing.transactions import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shardkit.topology.names import Alias


@dataclass(slots=True)
class Part:
    """The rows of one shard, as its driver gives them."""

    alias: Alias
    #: The untouched compiler of the shard, which knows what its columns are.
    compiler: Any
    cursor: Any
    chunk_size: int = GET_ITERATOR_CHUNK_SIZE

    def chunks(self) -> Iterator[list[Any]]:
        """Yield the rows in lists, and close the cursor after the last one."""
        with closing(self.cursor):
            while rows := self._fetched():
                yield rows

    def rows(self) -> Iterator[Any]:
        """Yield the rows, fetching a chunk at a time."""
        for rows in self.chunks():
            yield from rows

    def _fetched(self) -> list[Any]:
        with self.cursor.db.wrap_database_errors:
            fetched: list[Any] = self.cursor.fetchmany(self.chunk_size)
        return fetched


def open_parts(
    compilers: Iterable[tuple[Alias, Any]], *, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
) -> list[Part]:
    """Run the statement of each compiler on its shard, all at the same time.

    A statement that can match nothing is left out, and if that leaves none, `EmptyResultSet` is raised. Without
    *chunked_fetch* the driver may hold all rows of a shard.
    """
    parts: list[Part] = []
    jobs: list[Job] = []
    try:
        for alias, compiler in compilers:
            join(alias)
            try:
                sql, params = compiler.as_sql()
            except EmptyResultSet:
                continue
            connection = compiler.connection
            cursor = connection.chunked_cursor() if chunked_fetch else connection.cursor()
            parts.append(Part(alias, compiler, cursor, chunk_size))
            jobs.append(Job(alias, cursor, sql, params))
        run(jobs)
    except BaseException:
        close(parts)
        raise
    if not parts:
        raise EmptyResultSet
    return parts


def close(parts: Iterable[Part]) -> None:
    """Close the cursors of *parts*: nobody will read the rest of their rows."""
    for part in parts:
        part.cursor.close()
