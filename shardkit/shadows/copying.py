"""How does a cursor of psycopg's copy lines out of a database, or into it, and still execute like any other?

What a copying cursor executes is a COPY. It is sent as any statement is, so that many can be sent and waited for at the
same time, and execute wrappers and the log of queries see it. Once it has been executed, lines that come out are read
as the caller needs them, and the first one is here; or the server waits for lines that go in.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.errors import UnsupportedDatabase

#: What we lean on of psycopg's insides: dotted name to the parameters it must accept, in this order; more may follow.
CALLABLES: Final[dict[str, tuple[str, ...]]] = {
    "psycopg.cursor.Cursor._execute_gen": ("self", "query", "params"),
    "psycopg.cursor.Cursor._start_copy_gen": ("self", "statement", "params"),
    "psycopg.Copy._read_gen": ("self",),
}


def copying(connection: BaseDatabaseWrapper) -> Any:
    """Open a cursor of Django's on *connection* that executes COPY statements."""
    cursor = connection.cursor()
    base: Any = type(cursor.cursor)
    if not hasattr(base, "_start_copy_gen"):
        raise UnsupportedDatabase(connection.alias, "postgresql without psycopg 3")
    with connection.wrap_database_errors:
        cursor.cursor.close()
        cursor.cursor = _class_over(base)(connection.connection)
    return cursor


@cache
def _class_over(base: Any) -> Any:
    """Return the subclass of *base*, the class of the connection's cursors, that copies."""
    return type("CopyingCursor", (Copying, base), {})


class Copying:
    """Execute a COPY (a mixin of a cursor of psycopg's)."""

    _start_copy_gen: Any
    _copy: Any = None
    _first: bytes = b""

    def _execute_gen(self, query: str, params: Any = None, **_: Any) -> Any:
        """Begin the COPY, and wait for its first line if lines come out."""
        from psycopg import Copy

        yield from self._start_copy_gen(query, params)
        self._copy = Copy(self)  # type: ignore[arg-type]
        if query.endswith("TO STDOUT"):
            self._first = bytes((yield from self._copy._read_gen()))  # noqa: SLF001 - listed above

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that come out, each of which is a row."""
        line = self._first
        while line:
            yield line
            line = bytes(self._copy.read())

    def write(self, lines: bytes) -> None:
        """Let *lines* go in, and no more."""
        with self._copy as copy:
            copy.write(lines)

    def end(self) -> None:
        """End the COPY on the server, if it has begun, so that the connection can be used again."""
        if self._copy is not None:
            self._copy.finish(GeneratorExit())  # which is why psycopg cancels what is still sent
