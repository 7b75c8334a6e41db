"""Which keys do the wanted rows of a table have, if those are few?"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

from shardkit.fanout import Job, run
from shardkit.orm.gathering.kinds import MAX_KEYS, is_key, key_kind
from shardkit.orm.gathering.sources import sources
from shardkit.orm.reaching import reach
from shardkit.routing.registry import placement_of_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.orm.gathering.push import Occurrence


def keys_of(wanted: Occurrence, field: Any) -> list[Any] | None:
    """Ask for the values that *field* has in the *wanted* rows; return None when they are too many, or odd.

    A database that sends more than `MAX_KEYS` was not read to the end, also where one of them is NULL.
    """
    answers = _ask(wanted, [field], MAX_KEYS + 1, distinct=not field.unique)
    if any(len(rows) > MAX_KEYS for rows in answers):
        return None
    return keys_in(list(chain.from_iterable(answers)), 0, field)


def first_keys_of(wanted: Occurrence, field: Any, order: Sequence[Any], limit: int) -> list[Any] | None:
    """Ask each database for the values that *field* has in the first *limit* of the *wanted* rows in that *order*."""
    return keys_in(list(chain.from_iterable(_ask(wanted, [field], limit, order=order))), 0, field)


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
