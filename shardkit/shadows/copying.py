"""How does a cursor of psycopg's give rows as COPY's lines, one after another?

`CopyingCursor` sends a statement as any cursor does, so that many can be sent and waited for at the same time, but what
it executes is a COPY, and it has executed it when the first line is here. The rest is read as the caller needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

#: Dotted name to the parameters it must accept, in this order; more may follow. Part of psycopg's insides.
CALLABLES: Final[dict[str, tuple[str, ...]]] = {
    "psycopg.cursor.Cursor._execute_gen": ("self", "query", "params"),
    "psycopg.cursor.Cursor._start_copy_gen": ("self", "statement", "params"),
    "psycopg.Copy._read_gen": ("self",),
}


def copying(connection: BaseDatabaseWrapper) -> Any:
    """Open a cursor of Django's on *connection* that executes COPY … TO STDOUT."""
    cursor = connection.cursor()
    with connection.wrap_database_errors:
        cursor.cursor.close()
        cursor.cursor = _class_over(type(cursor.cursor))(connection.connection)
    return cursor


@cache
def _class_over(base: Any) -> Any:
    """Return the subclass of *base*, the class of the connection's cursors, that copies."""
    from psycopg import Copy

    class CopyingCursor(base):  # type: ignore[misc]
        """A cursor whose statement is a COPY."""

        _copy: Any = None
        _first: bytes = b""

        def _execute_gen(self, query: Any, params: Any = None, **_: Any) -> Any:
            """Begin the COPY, and wait for its first line."""
            yield from self._start_copy_gen(query, params)
            self._copy = Copy(self)
            self._first = bytes((yield from self._copy._read_gen()))  # noqa: SLF001 - listed above

        def lines(self) -> Iterator[bytes]:
            """Yield the lines, each of which is a row."""
            line = self._first
            while line:
                yield line
                line = bytes(self._copy.read())

        def abandon(self) -> None:
            """End the COPY on the server, if it has begun, so that the connection can be used again."""
            if self._copy is not None:
                self._copy.finish(None)

    return CopyingCursor
