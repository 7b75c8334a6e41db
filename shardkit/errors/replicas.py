"""What can go wrong with replicas?"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError, OperationalError

from shardkit.errors.root import ShardkitError


class NoFreshReplica(ShardkitError, OperationalError):
    """No replica is fresh enough for a read that asked to be refused then."""

    template = (
        "No replica of {alias!r} is fresh enough for this read: {reason}. Read .primary(), allow a greater max_lag, or "
        "set when_stale to 'primary' or 'wait'."
    )

    def __init__(self, alias: str, reason: str) -> None:
        super().__init__(alias, reason)
        self.alias, self.reason = alias, reason


class PrimaryReadsExceeded(ShardkitError, OperationalError):
    """All replicas are lost, and the primary has taken over as many reads as it may."""

    template = (
        "All replicas of {alias!r} are lost ({reason}), and {cap} reads of this process are on the primary already. "
        "Bring a replica back, or raise SHARDKIT['REPLICA_PRIMARY_CAP']."
    )

    def __init__(self, alias: str, reason: str, cap: int) -> None:
        super().__init__(alias, reason, cap)
        self.alias, self.reason, self.cap = alias, reason, cap


class ReplicaIsReadOnly(ShardkitError, NotSupportedError):
    """A write names a replica."""

    template = (
        "{model}: {operation} names {alias!r}, a replica of {primary!r}, and nothing is ever written to a replica. "
        "Leave out .using(), or name {primary!r}."
    )

    def __init__(self, model: str, operation: str, alias: str, primary: str) -> None:
        super().__init__(model, operation, alias, primary)
        self.model, self.operation, self.alias, self.primary = model, operation, alias, primary


class PrimaryDemoted(ShardkitError, OperationalError):
    """The alias of a primary leads to a database that takes no writes any more."""

    template = (
        "The database {alias!r} takes writes no more: another was made the primary of its shard. Nothing was written. "
        "Let DATABASES[{alias!r}] lead to the new primary."
    )

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.alias = alias


class PositionUnknown(ShardkitError, OperationalError):
    """A primary numbers no transactions, so nobody can tell which of them a replica has."""

    template = "How far the database {alias!r} has got cannot be told: {reason}. {remedy}"

    def __init__(self, alias: str, reason: str, remedy: str) -> None:
        super().__init__(alias, reason, remedy)
        self.alias, self.reason, self.remedy = alias, reason, remedy


class CopyRefused(ShardkitError, ImproperlyConfigured):
    """A file of SQLite cannot become, or have, the replica that was named."""

    template = "The database {primary!r} is not copied to {replica!r}: {reason}. {remedy}"

    def __init__(self, primary: str, replica: str, reason: str, remedy: str) -> None:
        super().__init__(primary, replica, reason, remedy)
        self.primary, self.replica, self.reason, self.remedy = primary, replica, reason, remedy
