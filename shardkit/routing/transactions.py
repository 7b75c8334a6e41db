"""How do shards take part in the transaction of the logical connection?

`transaction.atomic()` opens a block on `default` alone. The first statement that touches a shard *enlists* it: the
shard opens a block of its own with the same savepoints. From then on savepoints, rollback and commit of `default` are
theirs too, and `needs_rollback` of any of them is `needs_rollback` of all.

Committing is best effort: what can still fail (deferred constraints) is asked of every shard before the first one
commits, then the shards commit, then `default`. A failure after the first commit is a `PartialCommit` that names who
has committed. Two-phase commit replaces `_commit_in_turn`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, OperationalError, connections, transaction
from django.db.transaction import TransactionManagementError

from shardkit.catalog import idranges, lookups
from shardkit.consistency.pool import pool
from shardkit.errors import MigrationLeavesDatabase, PartialCommit, ShardUnavailable
from shardkit.routing.data_migrations import migrated_alias
from shardkit.topology.names import LOGICAL, Alias
from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper as _Wrapper
else:
    _Wrapper = object


def join(alias: Alias, tables: Iterable[str] = ()) -> None:
    """Use the database *alias* in the transaction that is open on `default`, if one is.

    *tables* are the tables about to be written there. Raise `ShardUnavailable` when the database does not answer.
    """
    logical = connections[LOGICAL]
    if isinstance(logical, JoinedTransactions):
        logical.use(alias, tables)


def _connect(connection: _Wrapper) -> bool:
    """Connect, and say whether that is allowed here: on a thread that runs an event loop it is not.

    `QuerySet.aiterator()` asks there for the name of its database, and again on the thread that runs the statement.
    """
    try:
        connection.ensure_connection()
    except SynchronousOnlyOperation:
        return False
    except OperationalError as error:
        raise ShardUnavailable("The statement", connection.alias, str(error).strip()) from error
    return True


class JoinedTransactions(_Wrapper):
    """Carry the shards along with the atomic blocks of the logical connection (a mixin of its `DatabaseWrapper`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: The connections of this thread that have been used.
        self._reached: dict[Alias, _Wrapper] = {}
        self._enlisted: dict[Alias, transaction.Atomic] = {}
        self._written: dict[Alias, set[str]] = {}
        #: What every open savepoint is called on each shard, in the order in which they were opened.
        self._shard_savepoints: dict[str, dict[Alias, Any]] = {}
        #: The savepoint by which a shard's block began, where the shard was in a block of the caller's already.
        self._block_savepoints: dict[Alias, Any] = {}
        #: The caller's savepoint below that one, and our savepoints that were open when the shard joined.
        self._callers_savepoints: dict[Alias, tuple[Any, frozenset[str]]] = {}
        self._needs_rollback = False
        super().__init__(*args, **kwargs)

    @property
    def needs_rollback(self) -> bool:
        """Say whether `default` or any shard in its transaction has failed."""
        return self._needs_rollback or any(connections[alias].needs_rollback for alias in self._enlisted)

    @needs_rollback.setter
    def needs_rollback(self, value: bool) -> None:
        self._needs_rollback = value
        if not value:
            for alias in getattr(self, "_enlisted", ()):
                connections[alias].needs_rollback = False

    def use(self, alias: Alias, tables: Iterable[str] = ()) -> None:
        """Make sure that *alias* answers, and let it take part in the transaction that is open, if one is."""
        migrated = migrated_alias()
        if migrated is not None and alias != migrated:
            raise MigrationLeavesDatabase(migrated, alias)
        if tables:
            pool().require_writable(alias)
        in_transaction = self.in_atomic_block or (self.connection is not None and not self.autocommit)
        # Asking `connections` takes as long as all the rest, so a statement on its own asks once per connection.
        connection = None if in_transaction else self._reached.get(alias)
        if connection is None or connection.connection is None:
            connection = self._reached[alias] = connections[alias]
            if connection.connection is None and not _connect(connection):
                return
        if not in_transaction:
            return
        if alias != LOGICAL:
            self.enlist(alias, tables)
        elif tables:
            self._written.setdefault(alias, set()).update(tables)

    def enlist(self, alias: Alias, tables: Iterable[str] = ()) -> None:
        """Let the shard *alias* take part in the open transaction, in which it writes *tables*."""
        if not self.in_atomic_block:
            if self.get_autocommit():
                return
            raise TransactionManagementError(
                "Autocommit is off on 'default' without an atomic block, so that shards could not be committed with "
                "it. Use transaction.atomic()."
            )
        if self.needs_rollback:
            self.validate_no_broken_transaction()
        if alias not in self._enlisted:
            self._open(alias)
        if tables:
            self._written.setdefault(alias, set()).update(tables)

    def _open(self, alias: Alias) -> None:
        connection = connections[alias]
        is_inner, callers = connection.in_atomic_block, connection.savepoint_ids[-1:]
        block = transaction.Atomic(alias, savepoint=True, durable=False)
        block.__enter__()
        self._enlisted[alias] = block
        if is_inner:
            self._block_savepoints[alias] = connection.savepoint_ids[-1]
        if callers:
            self._callers_savepoints[alias] = (callers[0], frozenset(self._shard_savepoints))
        for on_shards in self._shard_savepoints.values():
            on_shards[alias] = connection.savepoint()

    def savepoint(self) -> str | None:
        """Open a savepoint here and on every shard in the transaction."""
        self._forget_released()
        savepoint: str | None = super().savepoint()
        if savepoint:
            self._shard_savepoints[savepoint] = {alias: connections[alias].savepoint() for alias in self._enlisted}
        return savepoint

    def savepoint_rollback(self, sid: str) -> None:
        """Roll back to a savepoint here and on every shard; a shard that has none cannot go on."""
        super().savepoint_rollback(sid)
        idranges.rolled_back(self)
        self._forget_released()
        self._forget_savepoints(after=sid)
        on_shards = self._shard_savepoints.get(sid, {})
        for alias in self._enlisted:
            savepoint = on_shards.get(alias) or self._callers_savepoint(alias, joined_after=sid)
            if savepoint:
                connections[alias].savepoint_rollback(savepoint)
            connections[alias].needs_rollback = not savepoint

    def _callers_savepoint(self, alias: Alias, *, joined_after: str) -> Any:
        """Return the savepoint with which the block of the caller began that the shard joined us in.

        All that the shard did for us came after it, so it stands for each of our savepoints that is older than the
        joining. That is how a test's transaction ends: Django ends the shards' blocks first, then that of `default`.
        """
        savepoint, older = self._callers_savepoints.get(alias, (None, frozenset()))
        return savepoint if joined_after in older and savepoint in connections[alias].savepoint_ids else None

    def savepoint_commit(self, sid: str) -> None:
        """Release a savepoint here and on every shard."""
        self._require_unbroken()
        self._forget_released()
        self._forget_savepoints(after=sid)
        for alias, savepoint in self._shard_savepoints.get(sid, {}).items():
            connections[alias].savepoint_commit(savepoint)
        super().savepoint_commit(sid)
        self._shard_savepoints.pop(sid, None)

    def _forget_savepoints(self, *, after: str) -> None:
        """Forget the savepoints opened after one that is rolled back to or released: they are gone with it."""
        known = list(self._shard_savepoints)
        for sid in known[known.index(after) + 1 :] if after in known else ():
            del self._shard_savepoints[sid]

    def _forget_released(self) -> None:
        """Forget the savepoints that went with a block of the caller's.

        Where ``atomic(using=shard)`` was opened inside our transaction and the shard joined it inside that block, the
        end of that block released our savepoints, and the end of ours will commit it.
        """
        for alias, savepoint in list(self._block_savepoints.items()):
            if savepoint not in connections[alias].savepoint_ids:
                del self._block_savepoints[alias]
                for on_shards in self._shard_savepoints.values():
                    on_shards.pop(alias, None)

    def _require_unbroken(self) -> None:
        """Refuse to go on where a database has given up the transaction after an error that somebody swallowed."""
        for alias in self._enlisted:
            if vendor_of(connections[alias]).transaction_has_failed():
                raise TransactionManagementError(
                    f"A statement failed on {alias!r} and its error was caught inside the transaction, so that this "
                    "database can only roll back. Catch it around an atomic block of its own."
                )

    def commit(self) -> None:
        """Commit the shards and then `default`; or `default` first, when the catalog gave ids or places in it.

        What a crash between two commits would take back must not be what a row on a shard was written by.
        """
        self._require_unbroken()
        default_first = idranges.has_uncommitted(self) or lookups.has_uncommitted(self)
        self._fire_deferred_constraints(default_first=default_first)
        if default_first:
            super().commit()
            self._commit_in_turn([LOGICAL])
        else:
            committed = self._commit_in_turn([])
            self._commit_last(committed)
        idranges.committed(self)
        lookups.ended(self)

    def _commit_last(self, committed: list[Alias]) -> None:
        try:
            super().commit()
        except Error as error:
            if not committed:
                raise
            raise PartialCommit(", ".join(committed), LOGICAL, str(error)) from error

    def rollback(self) -> None:
        """Roll back `default` and every shard."""
        idranges.rolled_back(self)
        lookups.ended(self)
        try:
            self._abandon(self._leave())
        finally:
            super().rollback()

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back, on the shards too."""
        try:
            self._abandon(self._leave())
        finally:
            super().close()

    def _leave(self) -> list[tuple[Alias, transaction.Atomic]]:
        """Forget who takes part, and return it, last come first."""
        enlisted = list(self._enlisted.items())[::-1]
        self._enlisted, self._written, self._shard_savepoints = {}, {}, {}
        self._block_savepoints, self._callers_savepoints = {}, {}
        return enlisted

    def _fire_deferred_constraints(self, *, default_first: bool) -> None:
        """Let every database say now what it would only say at COMMIT. One writer alone says it in time."""
        shards = self._written.keys() - {LOGICAL}
        if not shards or (len(self._written) == 1 and not default_first):
            return
        for alias, tables in self._written.items():
            if not vendor_of(connections[alias]).defers_constraints:
                continue
            if alias == LOGICAL:
                super().check_constraints(sorted(tables))
            else:
                connections[alias].check_constraints(sorted(tables))

    def _commit_in_turn(self, committed: list[Alias]) -> list[Alias]:
        blocks = self._leave()[::-1]
        for position, (alias, block) in enumerate(blocks):
            self._take_hooks(alias)
            try:
                block.__exit__(None, None, None)
            except BaseException as error:  # Ctrl-C too: the blocks that are left must not stay open
                self._abandon(blocks[position + 1 :])
                if not committed or not isinstance(error, Error):
                    raise
                raise PartialCommit(", ".join(committed), alias, str(error)) from error
            committed.append(alias)
        return committed

    def _take_hooks(self, alias: Alias) -> None:
        """Let what waits for the commit of the shard *alias* wait for ours, which comes after all shards'."""
        connection = connections[alias]
        if not connection.savepoint_ids:
            self.run_on_commit += connection.run_on_commit
            connection.run_on_commit = []

    @staticmethod
    def _abandon(blocks: list[tuple[Alias, transaction.Atomic]]) -> None:
        """Roll back *blocks*, every one of them, whatever the others say."""
        with ExitStack() as leaving:
            for alias, block in reversed(blocks):
                leaving.callback(_roll_back, alias, block)


def _roll_back(alias: Alias, block: transaction.Atomic) -> None:
    connections[alias].needs_rollback = True
    block.__exit__(None, None, None)
