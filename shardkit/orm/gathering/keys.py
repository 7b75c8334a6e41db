"""Which keys do the wanted rows of a table have, if those are few?"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

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

    Return None when there are more than `MAX_KEYS` in all, or others than were expected. A database that sends more
    was not read to the end, also where one of them is NULL.
    """
    is_distinct = not (field.unique or order)
    most = MAX_KEYS + 1 if limit is None else limit
    answers = _ask(wanted, [field], most, distinct=is_distinct, order=order)
    if limit is None and any(len(rows) > MAX_KEYS for rows in answers):
        return None
    return keys_in(list(chain.from_iterable(answers)), 0, field)


def few_rows(wanted: Occurrence, fields: Sequence[Any]) -> list[tuple[Any, ...]] | None:
    """Ask for the values of *fields* in all *wanted* rows; return None when those are more than `MAX_KEYS`.

    No database looks at more rows than that: a large table costs little.
    """
    rows = list(chain.from_iterable(_ask(wanted, fields, MAX_KEYS + 1)))
    return rows if len(rows) <= MAX_KEYS else None


def keys_in(rows: Sequence[tuple[Any, ...]], place: int, field: Any) -> list[Any] | None:
    """Return the values that *rows* have in that *place*, where *field* is: None when they are too many, or odd."""
    kind = key_kind(field)
    found = {row[place] for row in rows} - {None}
    if kind is None or len(found) > MAX_KEYS or not all(is_key(key, kind) for key in found):
        return None
    return sorted(found)


def is_key(value: Any, kind: str) -> bool:
    """Say whether *value* has a type in which keys of that *kind* come, so that it can be sent anywhere."""
    return type(value).__name__ in _TYPES[kind]


def _ask(
    wanted: Occurrence, fields: Sequence[Any], limit: int, *, distinct: bool = False, order: Sequence[Any] = ()
) -> list[list[tuple[Any, ...]]]:
    """Read *fields* of the first *limit* of the *wanted* rows of each database, and return the rows of each."""
    placement: Any = placement_of_table(wanted.table)  # of a model, or nobody had asked
    columns = [str(field.column) for field in fields]
    with ExitStack() as stack:
        jobs = []
        for source in sources(placement, columns, [wanted], distinct=distinct, order=order, limit=limit):
            cursor = stack.enter_context(reach(source.alias).cursor())
            jobs.append(Job(source.alias, cursor, source.sql, source.params))
        run(jobs)
        return [list(job.cursor.fetchall()) for job in jobs]
