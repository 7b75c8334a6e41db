"""Which keys do the wanted rows of a table have, if those are few?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit.errors import ShardKeyUnhashable
from shardkit.fanout import Job, run
from shardkit.orm.gathering.sources import sources
from shardkit.orm.reaching import reach
from shardkit.routing.registry import placement_of_table
from shardkit.vendors.base import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.orm.gathering.push import Occurrence

#: How many keys are sent to the shards at most.
MAX_KEYS: Final = 1000
#: What keys may be, and the types in which drivers give such values: those mean the same when they are sent back.
_TYPES: Final[dict[str, frozenset[str]]] = {
    "int": frozenset({"int"}),
    "text": frozenset({"str"}),
    "uuid": frozenset({"UUID", "str"}),
}
#: Where the fields come from whose values are what their type says.
_OUR_FIELDS: Final = ("django.", "shardkit.")


def key_kind(field: Any) -> str | None:
    """Return what the values of *field* are, None when they are nothing that can be sent back as it came."""
    if not type(field).__module__.startswith(_OUR_FIELDS):
        return None
    try:
        kind = kind_of(field)
    except ShardKeyUnhashable:
        return None
    return kind if kind in _TYPES else None


def keys_of(wanted: Occurrence, field: Any, *, order: Sequence[Any] = (), limit: int | None = None) -> list[Any] | None:
    """Ask for the values that *field* has in the *wanted* rows, on each database for the first *limit* in that *order*.

    Return None when there are more than `MAX_KEYS` in all, or others than were expected.
    """
    placement = placement_of_table(wanted.table)
    kind = key_kind(field)
    if placement is None or kind is None:
        return None
    is_distinct = not (field.unique or order)
    most = MAX_KEYS + 1 if limit is None else limit
    found: set[Any] = set()
    with ExitStack() as stack:
        jobs = []
        for source in sources(placement, [str(field.column)], [wanted], distinct=is_distinct, order=order, limit=most):
            reach(source.alias)
            cursor = stack.enter_context(connections[source.alias].cursor())
            jobs.append(Job(source.alias, cursor, source.sql, source.params))
        run(jobs)
        for job in jobs:
            found.update(key for (key,) in job.cursor.fetchall() if key is not None)
    if len(found) > MAX_KEYS or not all(type(key).__name__ in _TYPES[kind] for key in found):
        return None
    return sorted(found)
