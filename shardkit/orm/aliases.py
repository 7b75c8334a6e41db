"""From which shard did this row come, when the query went to the logical database?

Django hands the alias of a queryset to `Model.from_db` for each row. The alias handed out here is `default` to
everybody, and remembers the shard whose rows are being read at this moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from django.db import connections

from shardkit import conf
from shardkit.routing.transactions import JoinedTransactions
from shardkit.topology.names import LOGICAL, Alias

if TYPE_CHECKING:
    from django.db.models.base import ModelState

    from shardkit.routing.plan import Single


class ReadAlias(str):
    """The alias `default`, as the router gives it for a read; whoever names `default` means its primary."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Be the plain alias elsewhere."""
        return str, (str(self),)


#: What the router says to reads where there are replicas.
READS: Final = ReadAlias(LOGICAL)


class LogicalAlias(str):
    """The alias `default`, with the shard of the row that is being read."""

    __slots__ = ("is_read", "plan", "shard_alias")
    shard_alias: Alias | None
    #: Whether a replica may answer, if the transaction and the session allow it.
    is_read: bool
    #: The plan of the query, where it is known by now.
    plan: Single | None

    def __new__(cls, *, is_read: bool = False, plan: Single | None = None) -> Self:
        """Make an alias that has read no row yet."""
        self = super().__new__(cls, LOGICAL)
        self.shard_alias, self.is_read, self.plan = None, is_read, plan
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Be the plain alias in copies, and elsewhere: rows of other models that came along keep it."""
        return str, (str(self),)


def is_read(using: Any) -> bool:
    """Say whether the statement that goes to *using* is a read, for which nobody named a database."""
    return type(using) is ReadAlias or (type(using) is LogicalAlias and using.is_read)


def tag(using: Any, alias: Alias | None) -> None:
    """Let *using* remember that the rows from here on come from *alias*."""
    if type(using) is LogicalAlias:
        using.shard_alias = alias


def settle(state: ModelState, db: str | None) -> None:
    """Note in the *state* of an instance that was read through *db* where it lives.

    Its database is the logical one, whichever shard it came from: Django asks `_state.db` for the database of *related*
    rows, and those may be anywhere.
    """
    if type(db) is LogicalAlias:
        state.db = LOGICAL
        if db.shard_alias is not None:
            state.shard_alias = db.shard_alias  # type: ignore[attr-defined]
        return
    settings = conf.get_settings()
    primary = settings.primary_of.get(db, db)  # type: ignore[call-overload]
    if primary in settings.topology.by_primary:
        state.db = LOGICAL
        state.shard_alias = primary  # type: ignore[attr-defined]
    elif primary != db:
        state.db = primary


def is_routing() -> bool:
    """Say whether `default` is the logical connection of a cluster, and not one plain database."""
    return isinstance(connections[LOGICAL], JoinedTransactions)


def names_shard(alias: str | None) -> bool:
    """Say whether *alias* is the primary of a shard, and a cluster stands behind `default`."""
    return alias in conf.get_settings().topology.by_primary and is_routing()
