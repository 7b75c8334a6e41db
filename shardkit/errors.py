"""What can go wrong, by name?

::

    ShardkitError
    ├── ShardKeyRequired      a write names no shard key
    ├── ShardKeyNotCovered    no range, list entry or directory row covers the key
    ├── ShardKeyUnhashable    the key's Python type has no canonical text
    ├── ShardKeyImmutable     a saved row's key was changed to another place
    ├── IdBelongsElsewhere    an id carries another bucket than its row's key
    ├── WrongShard            .using() names a shard that does not own the row
    ├── IdCarriesNoBucket     an id that shardkit did not make
    ├── IdsExhausted          the sequence of an id has reached its end
    ├── BucketNotInSql        a vendor cannot compute a column's bucket exactly
    ├── UnsupportedDatabase   a database of a vendor that shardkit does not know
    ├── InvalidSharding       a model's sharding attribute contradicts itself
    ├── UnknownShard          a name that the topology does not hold
    ├── UnknownBucket         a bucket that the cluster does not have
    ├── ShardUnavailable      a shard's database cannot be reached
    ├── ShardDeadlineExceeded some shards had not answered in time
    ├── GatherLimitExceeded   a query needs more rows in one place than the settings allow
    ├── FanoutBudgetExceeded  a request sends more statements to shards than its budget allows
    ├── CursorInvalid         a cursor is damaged, forged, or of another query
    ├── OrderNotPageable      the order of a query is none that a cursor could go on from
    ├── TextStyleDiffers      two databases write and read the same value differently
    ├── CrossShardQuery       the query needs several shards in a way not yet built
    ├── CrossDatabaseQuery    the query joins tables that live on different databases
    ├── MixedDatabases        two querysets of different databases were combined
    ├── MigrationLeavesDatabase  a data migration of one database reached for another
    ├── PartialCommit         some shards committed and a later one failed
    ├── LookupCacheUnanswered a key cannot be moved while the cache of lookups does not answer
    ├── SettingsInvalid       SHARDKIT cannot be understood, so nothing can go on
    ├── EnvironmentInvalid    an environment variable read by from_env() cannot be understood
    └── CatalogError
        ├── ShardMapMissing      the catalog holds no shard map
        ├── ShardMapTooNew       the catalog was written by a newer shardkit
        ├── ShardMapUnreadable   the catalog's shard map is damaged
        ├── ShardMapConflict     somebody else published this map version first
        └── BucketCountChanged   SHARDKIT["BUCKETS"] differs from the catalog

Each error is also Django's class of that meaning, names where it happened and what to do, and pickles.
"""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import BadRequest, ImproperlyConfigured
from django.core.paginator import InvalidPage
from django.db import DataError, IntegrityError, NotSupportedError, OperationalError
from django.db.transaction import TransactionManagementError


class ShardkitError(Exception):
    """Be the base of every error that shardkit raises by itself."""

    #: The message, filled from the instance's attributes.
    template: ClassVar[str] = "{args}"

    def __str__(self) -> str:
        return self.template.format(args=self.args, **self.__dict__)


class ShardKeyRequired(ShardkitError, NotSupportedError):
    """The operation is about one shard's rows but names no shard key."""

    template = "{model}.{operation} needs {shard_key!r} to find the shard. Set it before you save, or filter on it."

    def __init__(self, model: str, operation: str, shard_key: str) -> None:
        super().__init__(model, operation, shard_key)
        self.model, self.operation, self.shard_key = model, operation, shard_key


class ShardKeyNotCovered(ShardkitError, DataError):
    """No range, list entry or directory row says where this key lives."""

    template = "{placement} covers no such key of {shard_key!r}. {remedy}"

    def __init__(self, placement: str, shard_key: str, remedy: str) -> None:
        super().__init__(placement, shard_key, remedy)
        self.placement, self.shard_key, self.remedy = placement, shard_key, remedy


class ShardKeyUnhashable(ShardkitError, TypeError):
    """The key has a Python type without a canonical text."""

    template = (
        "A shard key cannot be a {type_name}: its text is not the same in every process and database. "
        "Use an integer, text, UUID, Decimal, boolean, date or datetime field."
    )

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name


class ShardKeyImmutable(ShardkitError, NotSupportedError):
    """A saved row's shard key was changed so that the row would live elsewhere."""

    template = (
        "{model}.{operation}: the row lives on {shard!r} and its new {shard_key!r} belongs elsewhere, and nothing was "
        "written. Create a row with the new key and delete this one, in one transaction."
    )

    def __init__(self, model: str, operation: str, shard_key: str, shard: str) -> None:
        super().__init__(model, operation, shard_key, shard)
        self.model, self.operation, self.shard_key, self.shard = model, operation, shard_key, shard


class IdBelongsElsewhere(ShardkitError, IntegrityError):
    """An id carries another bucket than the row's shard key."""

    template = (
        "{model}.{operation}: the id carries bucket {id_bucket} but {shard_key!r} places the row in bucket "
        "{key_bucket}, so get(pk=…) would not find it. Leave the id to shardkit, or declare a plain primary key."
    )

    def __init__(self, model: str, operation: str, shard_key: str, id_bucket: int, key_bucket: int) -> None:
        super().__init__(model, operation, shard_key, id_bucket, key_bucket)
        self.model, self.operation, self.shard_key = model, operation, shard_key
        self.id_bucket, self.key_bucket = id_bucket, key_bucket


class WrongShard(ShardkitError, NotSupportedError):
    """A shard was named with .using() that does not own the row."""

    template = (
        "{model}.{operation} names the database {alias!r}, but the row belongs on {owner!r}. "
        "Leave out using: shardkit finds the place."
    )

    def __init__(self, model: str, operation: str, alias: str, owner: str) -> None:
        super().__init__(model, operation, alias, owner)
        self.model, self.operation, self.alias, self.owner = model, operation, alias, owner


class IdCarriesNoBucket(ShardkitError, DataError):
    """A number or UUID is not an id that shardkit made, or cannot become one."""

    template = "{id} carries no bucket: {why}. A model whose ids come from elsewhere declares a plain primary key."

    def __init__(self, id_: str, why: str) -> None:
        super().__init__(id_, why)
        self.id, self.why = id_, why


class IdsExhausted(ShardkitError, DataError, OverflowError):
    """The sequence that ids are made of has reached its end."""

    template = (
        "Sequence number {sequence} makes an id of 2**53 or more, which JSON cannot carry; they end before {limit}. "
        "Use a ShardedUUIDField as the primary key, or see whether something wastes ids."
    )

    def __init__(self, sequence: int, limit: int) -> None:
        super().__init__(sequence, limit)
        self.sequence, self.limit = sequence, limit


class BucketNotInSql(ShardkitError, NotSupportedError):
    """The database cannot compute the bucket of a column as Python does."""

    template = "{vendor} cannot compute the bucket of a {kind} column in SQL: {why}."

    def __init__(self, vendor: str, kind: str, why: str) -> None:
        super().__init__(vendor, kind, why)
        self.vendor, self.kind, self.why = vendor, kind, why


class UnsupportedDatabase(ShardkitError, NotSupportedError):
    """The database is of a vendor that shardkit does not know."""

    template = "The database {alias!r} is {vendor}; shardkit knows PostgreSQL, MariaDB, MySQL and SQLite."

    def __init__(self, alias: str, vendor: str) -> None:
        super().__init__(alias, vendor)
        self.alias, self.vendor = alias, vendor


class InvalidSharding(ShardkitError, ImproperlyConfigured):
    """A sharding contradicts itself, whatever the cluster it is used in."""

    template = "{sharding}: {why}."

    def __init__(self, sharding: str, why: str) -> None:
        super().__init__(sharding, why)
        self.sharding, self.why = sharding, why


class UnknownShard(ShardkitError, LookupError):
    """A name that the topology does not hold."""

    template = "There is no shard {shard!r}. SHARDKIT['SHARDS'] has: {known}.{remedy}"

    def __init__(self, shard: str, known: str, remedy: str = "") -> None:
        super().__init__(shard, known, remedy)
        self.shard, self.known, self.remedy = shard, known, remedy and f" {remedy}"


class UnknownBucket(ShardkitError, LookupError):
    """A bucket that the cluster does not have."""

    template = "There is no bucket {bucket}: the cluster has {buckets}, numbered from 0."

    def __init__(self, bucket: int, buckets: int) -> None:
        super().__init__(bucket, buckets)
        self.bucket, self.buckets = bucket, buckets


class ShardUnavailable(ShardkitError, OperationalError):
    """A shard's database cannot be reached."""

    template = (
        "{operation} needs the database {alias!r}, which does not answer: {reason}. "
        "The other databases are not affected; bring it back, or check its entry in DATABASES."
    )

    def __init__(self, operation: str, alias: str, reason: str) -> None:
        super().__init__(operation, alias, reason)
        self.operation, self.alias, self.reason = operation, alias, reason


class ShardDeadlineExceeded(ShardkitError, OperationalError):
    """Some shards had not answered when SHARDKIT["FANOUT_DEADLINE"] was over."""

    template = (
        "{aliases} had not answered after {seconds} seconds; what still ran was cancelled. Filter on the shard key so "
        "that fewer shards are asked, look there for a missing index or a lock, or raise SHARDKIT['FANOUT_DEADLINE']."
    )

    def __init__(self, aliases: str, seconds: float) -> None:
        super().__init__(aliases, seconds)
        self.aliases, self.seconds = aliases, seconds


class GatherLimitExceeded(ShardkitError, OperationalError):
    """A query needs more rows of other databases in one place than the settings allow."""

    template = (
        "The query needs more than {limit} of other databases in one place; {counts} had come when reading stopped. "
        "Filter on columns of these tables, so that fewer rows travel, or raise {setting}."
    )

    def __init__(self, counts: str, limit: str, setting: str) -> None:
        super().__init__(counts, limit, setting)
        self.counts, self.limit, self.setting = counts, limit, setting


class FanoutBudgetExceeded(ShardkitError, NotSupportedError):
    """A request or a block of code sends more statements to shards than its budget allows."""

    template = (
        "The budget of {limit} statements to shards is exceeded: {statements} by now. The last are from {line}: "
        "{query}. Let the query name the shard key, fetch the rows of a loop by one query, or set "
        "SHARDKIT['FANOUT_BUDGET'] higher."
    )

    def __init__(self, statements: int, limit: int, line: str, query: str) -> None:
        super().__init__(statements, limit, line, query)
        self.statements, self.limit, self.line, self.query = statements, limit, line, query


class CursorInvalid(ShardkitError, InvalidPage, BadRequest):
    """A cursor is damaged, forged, or of another query. Nobody caught it: Django answers 400."""

    template = "This cursor is no cursor of {query}: {why}. Begin at the first page, which needs none."

    def __init__(self, query: str, why: str) -> None:
        super().__init__(query, why)
        self.query, self.why = query, why


class OrderNotPageable(ShardkitError, NotSupportedError):
    """The rows of a query have no order that a cursor could go on from."""

    template = "{query} cannot be paged through by a cursor: {why}. {remedy}"

    def __init__(self, query: str, why: str, remedy: str) -> None:
        super().__init__(query, why, remedy)
        self.query, self.why, self.remedy = query, why, remedy


class TextStyleDiffers(ShardkitError, ImproperlyConfigured):
    """Rows cannot travel between two databases whose sessions write and read values in different ways."""

    template = (
        "The database {alias!r} writes values with {setting} = {found!r}, so that they could change on their way to "
        "another database. Set it to {wanted!r} in OPTIONS or on the server, as it is there."
    )

    def __init__(self, alias: str, setting: str, found: str, wanted: str) -> None:
        super().__init__(alias, setting, found, wanted)
        self.alias, self.setting, self.found, self.wanted = alias, setting, found, wanted


class CrossShardQuery(ShardkitError, NotSupportedError):
    """The query needs several shards in a way that is not supported."""

    template = "{operation} needs {plan} because {why}. {remedy}"

    def __init__(self, operation: str, plan: str, why: str, remedy: str) -> None:
        super().__init__(operation, plan, why, remedy)
        self.operation, self.plan, self.why, self.remedy = operation, plan, why, remedy


class CrossDatabaseQuery(ShardkitError, NotSupportedError):
    """The query joins tables that live on different databases."""

    template = "{operation} joins tables of different databases: {tables}. {remedy}"

    def __init__(self, operation: str, tables: str, remedy: str) -> None:
        super().__init__(operation, tables, remedy)
        self.operation, self.tables, self.remedy = operation, tables, remedy


class MixedDatabases(ShardkitError, ValueError):
    """Querysets of different databases were combined."""

    template = (
        "{model}: {operation} combines a queryset of {left!r} with one of {right!r}; one of them would be ignored. "
        "Leave out .using(), or combine the results in Python."
    )

    def __init__(self, model: str, operation: str, left: str, right: str) -> None:
        super().__init__(model, operation, left, right)
        self.model, self.operation, self.left, self.right = model, operation, left, right


class MigrationLeavesDatabase(ShardkitError, NotSupportedError):
    """A data migration of one database reached for another."""

    template = (
        "The migration of {migrated!r} reached for rows of {alias!r}. It runs once on each database and would do so "
        "each time. Write .using(schema_editor.connection.alias), insert only what belongs there, and give RunPython "
        "hints={{'model_name': …}} so that it runs where that model's rows are."
    )

    def __init__(self, migrated: str, alias: str) -> None:
        super().__init__(migrated, alias)
        self.migrated, self.alias = migrated, alias


class PartialCommit(ShardkitError, TransactionManagementError):
    """Some shards had committed when a later one failed to."""

    template = (
        "The transaction committed on {committed} and then failed on {failed!r}; everything else was rolled back. "
        "The rows on {committed} are there: repair them, or repeat the rest. The reason: {reason}"
    )

    def __init__(self, committed: str, failed: str, reason: str) -> None:
        super().__init__(committed, failed, reason)
        self.committed, self.failed, self.reason = committed, failed, reason


class LookupCacheUnanswered(ShardkitError, OperationalError):
    """A key was to move to another bucket, and the cache of lookups does not take note of it."""

    template = (
        "The cache {cache!r} does not answer, so that other processes could go on reading the old bucket from it. "
        "Nothing was changed. Bring the cache back, or take LOOKUP_CACHE out of SHARDKIT in every process."
    )

    def __init__(self, cache: str) -> None:
        super().__init__(cache)
        self.cache = cache


class SettingsInvalid(ShardkitError, ImproperlyConfigured):
    """SHARDKIT in the settings cannot be understood, so nothing can go on."""

    template = "{check_id}: {fact} {hint}"

    def __init__(self, check_id: str, fact: str, hint: str) -> None:
        super().__init__(check_id, fact, hint)
        self.check_id, self.fact, self.hint = check_id, fact, hint


class EnvironmentInvalid(ShardkitError, ImproperlyConfigured):
    """An environment variable that from_env() reads is missing or cannot be understood."""

    template = "{variable} {fact}. {hint}"

    def __init__(self, variable: str, fact: str, hint: str) -> None:
        super().__init__(variable, fact, hint)
        self.variable, self.fact, self.hint = variable, fact, hint


class CatalogError(ShardkitError, ImproperlyConfigured):
    """What all processes agree on is missing, newer than this code, or contradicts the settings."""


class ShardMapMissing(CatalogError):
    """The catalog on the default database holds no shard map."""

    template = "The database {alias!r} holds no shard map. Run `manage.py migrate_shards`, which writes the first one."

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.alias = alias


class ShardMapTooNew(CatalogError):
    """The catalog was written by a newer shardkit."""

    template = "The shard map has format {found}; this shardkit reads up to format {known}. Upgrade shardkit."

    def __init__(self, found: int, known: int) -> None:
        super().__init__(found, known)
        self.found, self.known = found, known


class ShardMapUnreadable(CatalogError):
    """The shard map in the catalog is damaged."""

    template = "Version {version} of the shard map cannot be read: {reason}. Restore the catalog from a backup."

    def __init__(self, version: int, reason: str) -> None:
        super().__init__(version, reason)
        self.version, self.reason = version, reason


class ShardMapConflict(CatalogError):
    """Somebody else published this version of the shard map first."""

    template = "Version {version} of the shard map exists already. Read the current map and decide again."

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class BucketCountChanged(CatalogError):
    """SHARDKIT["BUCKETS"] differs from the number the cluster was made with."""

    template = (
        "SHARDKIT['BUCKETS'] is {configured} but the cluster was made with {stored} buckets, a number that never "
        "changes: every key would be looked for in the wrong place. Set it back to {stored}."
    )

    def __init__(self, configured: int, stored: int) -> None:
        super().__init__(configured, stored)
        self.configured, self.stored = configured, stored
