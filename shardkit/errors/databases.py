"""What can go wrong with databases and transactions?"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError, OperationalError
from django.db.transaction import TransactionManagementError

from shardkit.errors.root import ShardkitError


class UnsupportedDatabase(ShardkitError, NotSupportedError):
    """The database is of a vendor that shardkit does not know."""

    template = "The database {alias!r} is {vendor}; shardkit knows PostgreSQL, MariaDB, MySQL and SQLite."

    def __init__(self, alias: str, vendor: str) -> None:
        super().__init__(alias, vendor)
        self.alias, self.vendor = alias, vendor


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


class DatabasesDiffer(ShardkitError, ImproperlyConfigured):
    """Two databases cannot answer together, since the same value means something else to each."""

    template = (
        "The database {alias!r} has {setting} = {found!r}, and one that answers with it has {wanted!r}, so that values "
        "could change their meaning or their order on the way. Set them alike in DATABASES or on the servers."
    )

    def __init__(self, alias: str, setting: str, found: str, wanted: str) -> None:
        super().__init__(alias, setting, found, wanted)
        self.alias, self.setting, self.found, self.wanted = alias, setting, found, wanted


class CoordinatorOutOfDate(ShardkitError, ImproperlyConfigured):
    """The coordinator reads other tables, or reads them elsewhere, than the settings and models say today."""

    template = (
        "The coordinator {alias!r} was not told, or was told before the settings or models changed, which tables to "
        "read and where. Run `manage.py shards coordinator`."
    )

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.alias = alias


class MigrationLeavesDatabase(ShardkitError, NotSupportedError):
    """A data migration of one database reached for another."""

    template = (
        "The migration of {migrated!r} reached for rows of {alias!r}. It runs once on each database and would do so "
        "each time. Write .using(schema_editor.connection.alias), insert only what belongs there, and give RunPython "
        "hints={{'model_name': …}} so that it runs where that model's rows are. To delete rows that rows of other "
        "databases may refer to, write RunSQL."
    )

    def __init__(self, migrated: str, alias: str) -> None:
        super().__init__(migrated, alias)
        self.migrated, self.alias = migrated, alias


class CopiesWouldDiffer(ShardkitError, NotSupportedError):
    """A data migration writes one copy of a reference model and not, or not in the same way, the others."""

    template = (
        "The migration of {migrated!r} writes {model}, of which every database has a copy, and {why}. Nothing was "
        "written, for the copies would differ. {remedy}"
    )

    def __init__(self, migrated: str, model: str, why: str, remedy: str) -> None:
        super().__init__(migrated, model, why, remedy)
        self.migrated, self.model, self.why, self.remedy = migrated, model, why, remedy


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
