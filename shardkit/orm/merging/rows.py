"""How do the rows of several shards become one database's rows?

Each shard sorts its own, and sends as many as could be wanted, with what they are sorted by. The merge puts them in the
order that one database would give them, cuts off what was added, and hands them out in runs of one shard each.
"""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from shardkit.merge.blocks import Batch, between, concatenated, merged
from shardkit.merge.errors import OrderUnknown, Uncertain
from shardkit.merge.terms import Term, positions_in_order
from shardkit.orm._django import GET_ITERATOR_CHUNK_SIZE, SINGLE
from shardkit.orm.aliases import tag
from shardkit.orm.gathering import gather
from shardkit.orm.merging.sort_columns import sort_terms, sorting
from shardkit.orm.parts import Twin, are_alike, close, describe_as, open_parts
from shardkit.orm.planning import locks_rows, refuse
from shardkit.orm.reaching import reach
from shardkit.routing.narrowing import Narrowing
from shardkit.routing.plan import Gather, Merge

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from shardkit.topology.names import Alias

#: From so many rows on that are read to be skipped, they are not held all at once.
_DEEP: Final = 2000


def execute(compiler: Any, plan: Merge, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* on the shards of *plan*, and answer as Django's own method does."""
    is_deep = compiler.query.low_mark >= _DEEP
    chunk = max(chunk_size, _DEEP) if is_deep else chunk_size if chunked_fetch else None
    try:
        try:
            rows = _Rows(compiler, plan, chunk, careful=False)
        except Uncertain:
            rows = _Rows(compiler, plan, chunk, careful=True)
        if result_type == SINGLE:
            return rows.first()
        return rows.as_read() if chunked_fetch else rows.at_hand()
    except OrderUnknown as unknown:
        found = Gather(plan.aliases, f"{unknown} and {plan.why}")
        return gather.execute(compiler, found, result_type, chunked_fetch, chunk_size)


class _Rows:
    """The rows of one SELECT on several shards, read in chunks of so many, or each shard's at once."""

    def __init__(self, compiler: Any, plan: Merge, chunk: int | None, *, careful: bool) -> None:
        self.compiler, self.plan, self.chunk = compiler, plan, chunk
        self.query = compiler.query
        self.parts = open_parts(
            self._compilers(careful=careful),
            chunked_fetch=chunk is not None,
            chunk_size=chunk or GET_ITERATOR_CHUNK_SIZE,
            one_by_one=locks_rows(self.query),
        )
        shape = self.parts[0].compiler
        describe_as(compiler, shape)
        self.width = getattr(shape, "width", None)
        try:
            self.terms: list[Term] = list(sort_terms(shape, self.parts[0].types())) if len(self.parts) > 1 else []
        except BaseException:  # whatever went wrong is raised; open cursors would keep their connections busy
            close(self.parts)
            raise

    def first(self) -> Any:
        """Return the first row, None if there is none."""
        with closing(self.batches()) as batches:
            for batch in batches:
                return batch.rows[0]
        return None

    def at_hand(self) -> Iterator[list[Any]]:
        """Return all rows, read to the last one before the caller asks the database anything else."""
        return self._handed_out(iter(list(self.batches())))

    def as_read(self) -> Iterator[list[Any]]:
        """Return rows as they are read. The first are read now: what cannot be put in order mostly shows in them."""
        batches = self.batches()
        begun = next(batches, None)
        return self._handed_out(iter(()) if begun is None else chain([begun], batches))

    def batches(self) -> Generator[Batch]:
        """Yield the rows in their order, as wide as Django expects them."""
        width = self.width
        try:
            for batch in between(self._merged(), self.query.low_mark, self.query.high_mark):
                yield batch if width is None else Batch([row[:width] for row in batch.rows], batch.owners)
        finally:
            close(self.parts)

    def _handed_out(self, batches: Iterator[Batch]) -> Iterator[list[Any]]:
        """Yield the rows of *batches*, and say where each is from before it goes, if instances are made of them."""
        using, aliases = self.compiler.using, [part.alias for part in self.parts]
        try:
            for batch in batches:
                if not self.query.default_cols:
                    yield batch.rows
                    continue
                for number, rows in batch.runs():
                    tag(using, aliases[number])
                    yield rows
        except OrderUnknown as unknown:
            refuse(Merge(self.plan.aliases, f"{unknown} and {self.plan.why}"), self.query.model, "reading")

    def _merged(self) -> Iterator[Batch]:
        streams = [part.whole() if self.chunk is None else part.chunks() for part in self.parts]
        if not self.terms:
            return concatenated(streams)
        least = sys.maxsize if self.chunk is None else max(self.chunk // 2, 1)
        return merged(streams, lambda rows: positions_in_order(rows, self.terms), least=least)

    def _compilers(self, *, careful: bool) -> Iterator[tuple[Alias, Any]]:
        """Yield a compiler for each shard; where the statement is the same, it is compiled once."""
        queries = Narrowing(self.query)
        shared: Any = None
        for alias in self.plan.aliases:
            connection = reach(alias)  # before anything asks what its database can do: one that is down is named
            if shared is not None and not queries.shares and are_alike(connection, shared.connection):
                yield alias, Twin(shared, connection)
                continue
            query = queries.on(alias)
            query.low_mark = 0  # what is skipped is only known after the merge
            base: Any = connection.ops.compiler(query.compiler)
            shared = sorting(base)(query, connection, alias, self.compiler.elide_empty)
            shared.careful = careful
            yield alias, shared
