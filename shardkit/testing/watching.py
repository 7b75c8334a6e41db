"""Which tables were written since they were last copied?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit.routing.registry import databases_of, models_placed

if TYPE_CHECKING:
    from django.db.models import Model

#: What leaves all tables as they are. A CTE reads here: Django writes none that changes a table.
_HARMLESS: Final = re.compile(
    r"\s*\(*\s*(SELECT|WITH|SAVEPOINT|RELEASE|BEGIN|START|SET|SHOW|EXPLAIN|PRAGMA|FETCH|DECLARE|CLOSE)\b", re.IGNORECASE
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

    connection.rollback = rollback
    try:
        yield
    finally:
        del connection.rollback
