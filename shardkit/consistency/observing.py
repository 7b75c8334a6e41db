"""Which statements of this process changed a primary, or showed something of it?

Every connection to a primary that has replicas is watched: what is written through it, be it raw SQL or the second
phase of a commit, is noted in the session of the caller when it is committed, and what is read at once. A statement
that cannot be told for a read is a write. Connections to replicas are made read-only.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from django.db.backends.signals import connection_created

from shardkit import conf
from shardkit.catalog.statements import are_own
from shardkit.consistency.pool import pool
from shardkit.consistency.session import Session, current
from shardkit.vendors.replication.registry import replication_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

#: Statements of more characters than this are not remembered.
LONG: Final = 4000
#: What may stand before the first word of a statement: white space, comments and parentheses.
_BEFORE: Final = r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*"
_FLAGS: Final = re.IGNORECASE | re.DOTALL
#: Statements that change no row, as long as they hold no word that does.
_READS: Final = re.compile(rf"{_BEFORE}(?:SELECT|WITH|VALUES|TABLE|EXPLAIN|SHOW|DESCRIBE|DESC|FETCH)\b", _FLAGS)
#: Statements that neither read rows nor change any.
_NEITHER: Final = re.compile(
    rf"{_BEFORE}(?:SAVEPOINT|RELEASE|ROLLBACK|BEGIN|START|SET|RESET|PRAGMA|DECLARE|CLOSE|DISCARD)\b", _FLAGS
)
#: Words by which a statement that begins like a read may write, or be followed by one that does.
_CHANGES: Final = re.compile(
    r";\s*\S|\b(?:INTO|INSERT|UPDATE\s+(?!OF\b|NOWAIT\b|SKIP\b)\S|DELETE|MERGE|REPLACE\s+INTO)\b", re.IGNORECASE
)


def watch(*, sender: Any, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    """Watch a *connection* that was just opened, if replicas follow its database; make one to a replica read-only."""
    del sender
    settings = conf.get_settings()
    if connection.alias in settings.primary_of:
        replication_of(connection).make_read_only(connection)
    elif connection.alias in settings.replicas:
        watch_writes(connection)


def watch_writes(connection: Any) -> None:
    """Note in sessions what is written and seen through *connection*."""
    if not getattr(connection, "shardkit_is_watched", False):
        connection.shardkit_is_watched, connection.shardkit_writers = True, set()
        # At the front: Django's execute_wrapper() takes the last one away when its block ends.
        connection.execute_wrappers.insert(0, _noting)
        connection.commit = _committing(connection, connection.commit)


def start() -> None:
    """Watch every connection that is opened from here on."""
    connection_created.connect(watch, dispatch_uid="shardkit.consistency")


def _noting(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's signature
    connection = context["connection"]
    text = sql if isinstance(sql, str) else str(sql)
    effect = _remembered(text) if len(text) < LONG else effect_of(text)
    if effect is None or are_own():
        return execute(sql, params, many, context)
    try:
        return execute(sql, params, many, context)
    finally:  # an error does not say that nothing was done
        if effect is _wrote and pool().is_in_transaction(connection):
            connection.shardkit_writers.add(current())
        else:
            effect(connection.alias)


def _wrote(alias: Any) -> None:
    current().note_write(alias)


def _saw(alias: Any) -> None:
    current().note_seen(alias)


def effect_of(sql: str) -> Callable[[Any], None] | None:
    """Return what has to be noted after *sql*: that it wrote, that it showed something, or nothing."""
    if _READS.match(sql):
        return _wrote if _CHANGES.search(sql) else _saw
    return None if _NEITHER.match(sql) and not _CHANGES.search(sql) else _wrote


_remembered: Final = lru_cache(maxsize=1024)(effect_of)


def _committing(connection: BaseDatabaseWrapper, commit: Callable[[], None]) -> Callable[[], None]:
    def commit_and_note() -> None:
        try:
            commit()
        finally:  # an error may have come after the database had committed
            note_committed(connection)

    return commit_and_note


def note_committed(connection: Any) -> None:
    """Note in the sessions that have written through *connection* that their transaction has ended."""
    writers: set[Session] = getattr(connection, "shardkit_writers", set())
    connection.shardkit_writers = set()
    for session in writers:
        session.note_write(connection.alias)
