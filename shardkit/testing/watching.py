"""Which tables were written since they were last copied?"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit.routing.registry import databases_of, models_placed

if TYPE_CHECKING:
    from django.db.models import Model

#: What leaves all tables as they are. A CTE reads here: Django writes none that changes a table.
_HARMLESS: Final = re.compile(
    r"\s*\(*\s*((SELECT|WITH|SAVEPOINT|RELEASE|BEGIN|START|SET|SHOW|EXPLAIN|PRAGMA|FETCH|DECLARE|CLOSE|ANALYZE)\b|"
    # How rows are gathered: read by COPY, and put into temporary tables.
    r"COPY\s*\(|(CREATE|DROP)\s+TEMPORARY\b|(COPY|INSERT|CREATE|ALTER|DROP)\b[^;(]*?\b(pg_temp|temp)\.)",
    re.IGNORECASE,
)
_WRITE: Final = re.compile(r"\s*(INSERT|REPLACE|UPDATE|DELETE)\b", re.IGNORECASE)


class Written:
    """The models whose tables may have changed; all of them at first."""

    def __init__(self) -> None:
        self.models: dict[type[Model], None] = {}
        self.note_all()

    def note_all(self) -> None:
        """Note that any table may have changed."""
        self.models = dict.fromkeys(placement.model for placement in models_placed())

    def note(self, alias: str, sql: str) -> None:
        """Note the tables that the statement *sql* on *alias* may have changed."""
        if _HARMLESS.match(sql):
            return
        if not _WRITE.match(sql):  # such as a ROLLBACK TO SAVEPOINT, which undoes what was written
            self.note_all()
            return
        for placement in models_placed():
            model = placement.model
            if model._meta.db_table in sql and alias in databases_of(model):
                self.models[model] = None

    def take(self) -> list[type[Model]]:
        """Return the models that changed, and forget them."""
        found, self.models = list(self.models), {}
        return [model for model in found if model._meta.managed]


@contextmanager
def watched(written: Written, *, but: str) -> Iterator[None]:
    """Note inside the block what is written to any database *but* that one."""
    with ExitStack() as stack:
        for alias in set(connections) - {but}:
            connection = connections[alias]
            stack.enter_context(connection.execute_wrapper(_noting(written, alias)))
            stack.enter_context(_noting_rollback(written, connection))
        yield


def _noting(written: Written, alias: str) -> Callable[..., Any]:
    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        written.note(alias, str(sql))
        return execute(sql, params, many, context)

    return note


@contextmanager
def _noting_rollback(written: Written, connection: Any) -> Iterator[None]:
    """Note a ROLLBACK, which runs through no cursor."""
    original = connection.rollback

    def rollback() -> None:
        written.note_all()
        original()

    with replaced(connection, "rollback", rollback):
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let one instance have another attribute *name* inside the block; blocks may stand inside each other."""
    missing = object()
    before = vars(owner).get(name, missing)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


@contextmanager
def unseen() -> Iterator[None]:
    """Let nobody see the statements of the block: no log of queries, and no execute wrapper."""
    with ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            stack.enter_context(replaced(connection, "force_debug_cursor", False))
            stack.enter_context(replaced(connection, "execute_wrappers", []))
            stack.enter_context(replaced(connection, "queries_log", deque(maxlen=1)))
        yield
