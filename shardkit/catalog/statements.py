"""Which statements does the catalog run for itself, while somebody asks for something else?

They are always run on the primary, and say nothing of what that somebody has seen or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_own: Final[ContextVar[bool]] = ContextVar("shardkit_catalogs_own", default=False)


def are_own() -> bool:
    """Say whether statements that run now are the catalog's own."""
    return _own.get()


@contextmanager
def own_statements() -> Iterator[None]:
    """Let the statements inside the block, or those of a function, be the catalog's own."""
    token = _own.set(True)
    try:
        yield
    finally:
        _own.reset(token)
