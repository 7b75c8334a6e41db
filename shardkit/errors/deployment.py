"""What can go wrong with settings and the catalog?"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from shardkit.errors.root import ShardkitError


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
