"""Which statements does shardkit run for itself, while somebody asks for something else?

Those of the catalog, and those about what stands on a connection for the time of one statement. They always run on the
primary, and say nothing of what that somebody has seen or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_own: Final[ContextVar[bool]] = ContextVar("shardkit_own_statements", default=False)


def are_own() -> bool:
    """Say whether statements that run now are shardkit's own."""
    return _own.get()


@contextmanager
def own_statements() -> Iterator[None]:
    """Let the statements inside the block, or those of a function, be shardkit's own."""
    token = _own.set(True)
    try:
        yield
    finally:
        _own.reset(token)
