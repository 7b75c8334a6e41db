"""Which statements of this process changed a primary, or showed something of it?

Every connection to a primary that has replicas is watched: what is written through it, be it raw SQL, a procedure or
the second phase of a commit, is noted in the session of the caller when it is committed, and what is read at once.
What is still open when Django turns autocommit on again was committed by that, if by nothing else. Connections to
replicas are made read-only.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.db import connections
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper

from shardkit import conf
from shardkit.catalog.statements import are_own
from shardkit.consistency.pool import pool
from shardkit.consistency.session import Session, current
from shardkit.consistency.statements import Effect, effect_of
from shardkit.vendors.replication.registry import replication_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper as _Wrapper

    _Cursor = CursorWrapper
else:
    _Wrapper = _Cursor = object

#: A procedure may do anything, and be at work when its first rows are here.
CALLED: Final = Effect.WRITES | Effect.COMMITS


def start() -> None:
    """Watch every connection of this process: those that are opened from here on, and those that are open."""
    connection_created.connect(watch, dispatch_uid="shardkit.consistency")
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            watch(sender=type(connection), connection=connection)


def watch(*, sender: Any, connection: _Wrapper, **_kwargs: object) -> None:
    """Watch a *connection* that was just opened, if replicas follow its database; make one to a replica read-only."""
    del sender
    settings = conf.get_settings()
    if connection.alias in settings.primary_of:
        replication_of(connection).make_read_only(connection)
    elif connection.alias in settings.replicas:
        watch_writes(connection)


def watch_writes(connection: Any) -> None:
    """Note in sessions what is written and seen through *connection*."""
    if _noting not in connection.execute_wrappers:
        # At the front: Django's execute_wrapper() takes the last one away when its block ends.
        connection.execute_wrappers.insert(0, _noting)
        connection.shardkit_writers = set()
        connection.__class__ = _watched(connection.__class__)


class Watched(_Wrapper):
    """A connection whose transactions and procedures are seen (a mixin of its vendor's `DatabaseWrapper`)."""

    #: The sessions that have written in the transaction that is open.
    shardkit_writers: set[Session]

    def commit(self) -> None:
        """Commit, and note what was written."""
        try:
            super().commit()
        finally:  # an error may have come after the database had committed
            note_committed(self)

    def rollback(self) -> None:
        """Roll back; nothing was written."""
        super().rollback()
        self.shardkit_writers = set()

    def _set_autocommit(self, autocommit: bool) -> None:  # noqa: FBT001 - Django's signature
        """Tell the driver, which commits what is open before it goes on without transactions."""
        try:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
        finally:
            if autocommit:
                note_committed(self)

    def make_cursor(self, cursor: Any) -> Any:
        """Return a cursor whose procedures are seen."""
        return _observed(super().make_cursor(cursor))

    def make_debug_cursor(self, cursor: Any) -> Any:
        """Return one that is logged, too."""
        return _observed(super().make_debug_cursor(cursor))


class Observed(_Cursor):
    """A cursor that tells of what runs past Django's execute wrappers (a mixin of a `CursorWrapper`)."""

    #: It has executed something that may go on while its rows are read.
    shardkit_goes_on = False

    def callproc(self, procname: str, params: Any = None, kparams: Any = None) -> Any:
        """Call a procedure, which may write."""
        try:
            return super().callproc(procname, params, kparams)
        finally:
            _note(self.db, self, CALLED)

    def close(self) -> None:
        """Close the cursor, which waits for what it has begun."""
        try:
            self.cursor.close()
        finally:
            if self.shardkit_goes_on:
                _note(self.db, self, CALLED)
                self.shardkit_goes_on = False


@cache
def _watched(kind: Any) -> Any:
    """Return *kind*, the class of a connection, with what watches it; its SQL stays that of the plain class."""
    if issubclass(kind, Watched):
        return kind
    plain = getattr(kind, "plain_class", kind)
    return type(kind.__name__, (Watched, kind), {"plain_class": plain, "__module__": kind.__module__})


def _observed(cursor: Any) -> Any:
    if isinstance(cursor, CursorWrapper):  # a tool's own may be anything
        kind: Any = type(cursor)
        cursor.__class__ = _observed_class(kind)
    return cursor


@cache
def _observed_class(kind: Any) -> Any:
    return type(kind.__name__, (Observed, kind), {"__module__": kind.__module__})


def _noting(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's signature
    effect = effect_of(sql if isinstance(sql, str) else str(sql))
    if effect is Effect.NOTHING or are_own():
        return execute(sql, params, many, context)
    try:
        return execute(sql, params, many, context)
    finally:  # an error does not say that nothing was done
        _note(context["connection"], context["cursor"], effect)


def is_noting(wrapper: object) -> bool:
    """Say whether the execute wrapper *wrapper* is what watches a connection."""
    return wrapper is _noting


def _note(connection: Any, cursor: Any, effect: Effect) -> None:
    if effect is Effect.SHOWS:
        current().note_seen(connection.alias)
    elif pool().is_in_transaction(connection):
        if Effect.WRITES in effect:
            connection.shardkit_writers.add(current())
        if Effect.COMMITS in effect:
            _note_written(connection)
    elif Effect.WRITES in effect:
        current().note_write(connection.alias)
        if isinstance(cursor, Observed):
            cursor.shardkit_goes_on = Effect.COMMITS in effect


def note_committed(connection: Any) -> None:
    """Note in the sessions that have written through *connection* that their transaction has ended."""
    _note_written(connection)
    connection.shardkit_writers = set()


def _note_written(connection: Any) -> None:
    writers: Iterable[Session] = getattr(connection, "shardkit_writers", ())
    for session in writers:
        session.note_write(connection.alias)
