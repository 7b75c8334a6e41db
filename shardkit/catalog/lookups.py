"""Which bucket was this key given?

A directory is a table in the catalog: one row per key, written once by `assign` and changed by `move`. Processes read
it through Django's cache framework and see a change as soon as it is committed; `lookupcache` says why.

Only buckets are cached, never that a key has none: `assign` therefore tells the cache nothing. Inside a transaction
the database may answer from an old snapshot, so what is found there is cached after the commit, by a new question. A
transaction that has moved a key reads its own rows from the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final
from weakref import WeakKeyDictionary

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from shardkit.catalog import lookupcache
from shardkit.catalog.names import DIRECTORY_TABLE
from shardkit.catalog.statements import own_statements
from shardkit.catalog.transactions import in_transaction
from shardkit.conf import get_settings
from shardkit.errors import ShardKeyNotCovered, UnknownBucket
from shardkit.topology.hashing import canonical_key
from shardkit.topology.names import LOGICAL, BucketId
from shardkit.topology.placements import Sharding

#: How many keys that one transaction missed are cached after its commit: more would make the caller wait.
FILLS_PER_TRANSACTION: Final = 100
#: How long a directory's name may be.
NAME_LENGTH: Final = 200

# Plain SQL on the primary's own connection: this is asked for every query of a sharded model.
BUCKET_SQL = "SELECT bucket FROM {table} WHERE digest = %s"

# The directories that the open transaction of each connection has moved keys of, or only written to (empty).
_changed: WeakKeyDictionary[BaseDatabaseWrapper, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ByLookup(Sharding):
    """Place each key where the *directory* says.

    A new key is placed by *new_keys* when a row of it is inserted, and recorded; without, it must be assigned before.
    """

    directory: str
    new_keys: Sharding | None = None

    def find(self, values: tuple[object, ...], buckets: int) -> BucketId | None:  # noqa: ARG002 - as all shardings
        """Return the bucket of the key *values*, None when it has none, so that no row has it."""
        return find(self.directory, values)

    def bucket_for(self, values: tuple[object, ...], buckets: int) -> BucketId:
        """Return the bucket of the key *values*, which is assigned one now if *new_keys* says which."""
        bucket = self.find(values, buckets)
        if bucket is not None:
            return bucket
        if self.new_keys is None:
            raise _not_covered(self.directory)
        return assign(self.directory, values, self.new_keys.bucket_for(values, buckets))

    def problems(self, buckets: int, *, columns: int = 1) -> list[str]:
        """Say what is wrong with the directory's name, and with the placement of new keys."""
        fits = 0 < len(self.directory) <= NAME_LENGTH
        return [
            *([] if fits else [f"ByLookup names its directory with 1 to {NAME_LENGTH} characters."]),
            *(self.new_keys.problems(buckets, columns=columns) if self.new_keys else []),
        ]


def find(directory: str, key: object) -> BucketId | None:
    """Return the bucket of *key* in *directory*, None when it has none. A key of several columns is a tuple."""
    digest = _digest(directory, _values(key))
    connection = connections[LOGICAL]
    if directory in _changed_by(connection):
        return _stored(digest)
    seen = lookupcache.look(directory, digest)
    if seen.bucket is not None:
        return BucketId(seen.bucket)
    bucket = _stored(digest)
    if bucket is not None and seen.token is not None:
        _fill(connection, directory, digest, bucket, seen.token)
    return bucket


def assign(directory: str, key: object, bucket: int) -> BucketId:
    """Give *key* a *bucket* unless it has one, and return the one it has: of several callers the first decides."""
    from shardkit.catalog.tables import DirectoryEntry

    _require_bucket(bucket)
    values = _values(key)
    digest = _digest(directory, values)
    _note_change(connections[LOGICAL])
    entry = DirectoryEntry(digest=digest, directory=directory, key=canonical_key(values), bucket=bucket)
    with own_statements(), transaction.atomic(using=LOGICAL):
        DirectoryEntry.objects.using(LOGICAL).bulk_create([entry], ignore_conflicts=True)
        stored = _stored(digest)
        if stored is None:  # our snapshot is older than the row of whoever was first; a lock looks beyond it
            rows = DirectoryEntry.objects.using(LOGICAL).select_for_update()
            stored = BucketId(rows.values_list("bucket", flat=True).get(digest=digest))
    return stored


def move(directory: str, key: object, bucket: int) -> None:
    """Look for *key* in another *bucket* from the commit on. Rows that exist are not moved by this.

    Raise `LookupCacheUnanswered` and change nothing when the cache does not answer.
    """
    from shardkit.catalog.tables import DirectoryEntry

    _require_bucket(bucket)
    digest = _digest(directory, _values(key))
    with transaction.atomic(using=LOGICAL):
        entries = DirectoryEntry.objects.using(LOGICAL).filter(digest=digest)
        if not entries.update(bucket=bucket, version=F("version") + 1):
            raise _not_covered(directory)
        lookupcache.close(directory)  # we hold the row's lock, so nobody else is about to reopen for this key
        _note_change(connections[LOGICAL], directory)
        transaction.on_commit(partial(lookupcache.reopen, directory), using=LOGICAL)


def directories() -> list[str]:
    """Name every directory that holds a key; none before the catalog's tables are made."""
    from shardkit.catalog.tables import DirectoryEntry

    if DIRECTORY_TABLE not in connections[LOGICAL].introspection.table_names():
        return []
    names = DirectoryEntry.objects.using(LOGICAL).values_list("directory", flat=True)
    return list(names.order_by("directory").distinct())


def has_uncommitted(connection: BaseDatabaseWrapper) -> bool:
    """Say whether the open transaction of *connection* may have written to a directory.

    It is then committed before the shards, so that no shard holds a row whose key a crash forgets.
    """
    return connection in _changed and in_transaction(connection)


def ended(connection: BaseDatabaseWrapper) -> None:
    """Forget what the transaction of *connection* wrote, now that it is committed or rolled back."""
    _changed.pop(connection, None)


def _fill(connection: BaseDatabaseWrapper, directory: str, digest: str, bucket: int, token: str) -> None:
    """Cache *bucket* if it was read outside a transaction, or else ask for it again after the commit."""
    if not in_transaction(connection):
        lookupcache.store(digest, bucket, token)
    elif connection.in_atomic_block and len(connection.run_on_commit) < FILLS_PER_TRANSACTION:
        connection.on_commit(partial(_fill_after_commit, connection, directory, digest), robust=True)


def _fill_after_commit(connection: BaseDatabaseWrapper, directory: str, digest: str) -> None:
    if in_transaction(connection):
        return  # a test runs the hooks before it rolls back
    seen = lookupcache.look(directory, digest)
    if seen.bucket is None and seen.token is not None:
        bucket = _stored(digest)
        if bucket is not None:
            lookupcache.store(digest, bucket, seen.token)


@own_statements()
def _stored(digest: str) -> BucketId | None:
    connection = connections[LOGICAL]
    table = connection.ops.quote_name(DIRECTORY_TABLE)
    with connection.cursor() as cursor:
        cursor.execute(BUCKET_SQL.format(table=table), (digest,))
        row = cursor.fetchone()
        return None if row is None else BucketId(row[0])


def _changed_by(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the directories that the open transaction has moved keys of."""
    changed = _changed.get(connection)
    if changed is None:
        return set()
    if not in_transaction(connection):
        del _changed[connection]
        return set()
    return changed


def _note_change(connection: BaseDatabaseWrapper, *moved: str) -> None:
    _changed_by(connection)
    _changed.setdefault(connection, set()).update(moved)


def _values(key: object) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else (key,)


def _digest(directory: str, values: Sequence[object]) -> str:
    """Write directory and key as one text of fixed length. NULL is not the text that stands for it in a hash."""
    null = values == (None,)
    text = f"{len(directory)}:{directory}{len(values)}{'' if null else '='}{canonical_key(tuple(values))}"
    return sha256(text.encode()).hexdigest()


def _require_bucket(bucket: int) -> None:
    buckets = get_settings().buckets
    if not 0 <= bucket < buckets:
        raise UnknownBucket(bucket, buckets)


def _not_covered(directory: str) -> ShardKeyNotCovered:
    return ShardKeyNotCovered(
        f"The directory {directory!r}",
        "shard_key",
        f"Give it a bucket first: shardkit.directories.assign({directory!r}, key, bucket).",
    )
