"""Which databases did a block of code ask, and how often?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest
from django.db import connections

from shardkit.catalog.names import SHARD_MAP_TABLE

#: What opens and closes transactions asks a database nothing, and the shard map is read once in a process.
_BOOKKEEPING: Final = re.compile(
    rf"\s*(SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|START|SET|PRAGMA)\b|SELECT version.*{SHARD_MAP_TABLE}", re.IGNORECASE
)


class Statements(Counter[str]):
    """How many statements each database ran, by alias; `texts` holds them in order."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []

    def note(self, alias: str, sql: str) -> None:
        if not _BOOKKEEPING.match(sql):
            self[alias] += 1
            self.texts.append((alias, sql))


@contextmanager
def queries_by_database() -> Iterator[Statements]:
    """Count the statements that each database runs inside the block, without those of transactions and of the map."""
    seen = Statements()
    with ExitStack() as stack:
        for alias in connections:
            connection = connections[alias]
            stack.enter_context(connection.execute_wrapper(_noting(seen, alias)))
        yield seen


def _noting(seen: Statements, alias: str) -> Callable[..., Any]:
    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        seen.note(alias, str(sql))
        return execute(sql, params, many, context)

    return note


@pytest.fixture
def counting() -> Callable[[], Any]:
    """Return `queries_by_database`."""
    return queries_by_database
