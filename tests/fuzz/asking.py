"""What do the shards answer to a question, what does one plain database, and is that the same?"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import DatabaseError, connections, models, transaction
from django.db.models.query import QuerySet

from shardkit.errors import ShardkitError
from shardkit.routing.plan import Plan
from shardkit.signals import query_planned
from shardkit.testing.answers import Alike, canonical, exactly, is_slice, nearly, same_bag
from shardkit.testing.ranks import ranks_of
from tests.fuzz.code import Chain, build, calls
from tests.nasty.models import VENDOR
from tests.oracle import ORACLE, on_plain_database

#: Calls whose floats depend on the order in which rows were added.
_SUMS: Final = frozenset({"Sum", "Avg", "StdDev", "Variance"})
#: Calls that let one of several equal values stand for all.
_REPRESENTATIVES: Final = frozenset(
    {"distinct", "union", "intersection", "difference", "Min", "Max", "values", "dates", "datetimes", "annotate"}
)
#: Models that have columns without a binary collation on every vendor.
_CASELESS: Final = frozenset({"Thing", "Tone", "Pebble", "Box", "Mark", "Spot", "Shelf"})
Rows = list[Hashable]


@dataclass
class Answer:
    """What came out: rows, another value, or an error."""

    rows: Rows | None = None
    value: Hashable = None
    error: Exception | None = None
    #: The rows have an order that was asked for.
    ordered: bool = False
    queryset: QuerySet[Any] | None = None
    #: The plans of the statements that ran, the largest last.
    plans: list[Plan] = field(default_factory=list)

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        return str(self.value if self.rows is None else self.rows)


def ask(code: Chain) -> Answer:
    """Ask the database that stands behind `default`."""
    answer = Answer()
    try:
        _read(build(code), code, answer)
    except Exception as error:  # noqa: BLE001 - whatever comes out is an answer to compare
        answer.error = error
    return answer


def _read(value: Any, code: Chain, answer: Answer) -> None:
    if isinstance(value, QuerySet):
        answer.queryset, answer.ordered = value, _is_ordered(value)
        answer.rows = [told(row) for row in value]
    elif isinstance(value, Iterator):
        answer.queryset = build(Chain(code.model, code.steps[:-1]))
        answer.ordered = _is_ordered(answer.queryset)
        answer.rows = [told(row) for row in value]
    elif code.steps[-1].method == "in_bulk":
        answer.value = frozenset((key, told(row)) for key, row in value.items())
    else:
        answer.value = told(value)


def _is_ordered(queryset: Any) -> bool:
    return bool(queryset.ordered) and "?" not in queryset.query.order_by


def told(value: Any, depth: int = 3) -> Hashable:
    """Turn an answer into what compares by content: instances by their columns and related rows."""
    if isinstance(value, models.Model):
        return _told_instance(value, depth)
    if isinstance(value, dict):
        return tuple((key, told(inside, depth)) for key, inside in value.items())
    if type(value) is tuple:
        return tuple([canonical(inside) for inside in value])
    return canonical(value)


def _told_instance(row: models.Model, depth: int, parent: models.Model | None = None) -> Hashable:
    found: list[Hashable] = [row._meta.label]
    found += [(name, canonical(value)) for name, value in vars(row).items() if name[0] != "_"]
    if depth:
        for name, related in row._state.fields_cache.items():
            if related is None or related != parent:  # of several that stand for one row, any may be the parent
                inside = related if related is None else _told_instance(related, depth - 1, row)
                found.append(("->", name, inside))
        for name, rows in getattr(row, "_prefetched_objects_cache", {}).items():
            all_ = [_told_instance(one, depth - 1, row) for one in rows]
            found.append(("=>", name, tuple(all_ if _has_no_ties(rows) else sorted(all_, key=repr))))
    return tuple(found)


def _has_no_ties(rows: Any) -> bool:
    """Say whether the default order of *rows* ends with their primary key."""
    ordering = rows.query.get_meta().ordering
    return bool(rows.ordered and ordering) and str(ordering[-1]).lstrip("-") in {"pk", "id"}


# Comparing.


@dataclass
class Verdict:
    """How the two answers compare: the same, both refused, refused by name, unsettled, or different."""

    outcome: str
    shards: Answer
    plain: Answer

    @property
    def differs(self) -> bool:
        return self.outcome == "different"


def judge(code: Chain) -> Verdict:
    """Ask *code* of both worlds, and compare."""
    plans: list[Plan] = []

    def note(plan: Plan, **_kwargs: Any) -> None:
        plans.append(plan)

    query_planned.connect(note)
    try:
        shards = _ask_safely(code)
    finally:
        query_planned.disconnect(note)
    shards.plans = plans
    with on_plain_database():
        plain = _ask_safely(code)
    return Verdict(_compare(code, shards, plain), shards, plain)


def _ask_safely(code: Chain) -> Answer:
    """Ask behind a savepoint in a transaction, where after an error PostgreSQL would answer nothing more."""
    if not connections["default"].in_atomic_block:
        return ask(code)
    savepoint = transaction.get_connection().savepoint()
    answer = ask(code)
    if answer.error is not None:
        transaction.savepoint_rollback(savepoint)
    transaction.savepoint_commit(savepoint)
    return answer


def _compare(code: Chain, shards: Answer, plain: Answer) -> str:
    if shards.error is not None or plain.error is not None:
        found = _compare_errors(code, shards.error, plain.error)
        return "unsettled" if found == "different" and _fails_further_on(shards, plain) else found
    if shards.rows is None or plain.rows is None:
        same = shards.value == plain.value or any(alike(shards.value, plain.value) for alike in _leniently(code))
        return "same" if same else "different"
    return _compare_rows(code, shards.rows, plain)


def _compare_rows(code: Chain, rows: Rows, plain: Answer) -> str:
    try:
        if rows == plain.rows or _same_rows(code, rows, plain):
            return "same"
    except DatabaseError:
        return "unsettled"  # the plain database gives the first rows, but not all, and which come first is open
    return "unsettled" if _is_mistaken(code, rows, plain) else "different"


def _is_mistaken(code: Chain, rows: Rows, plain: Answer) -> bool:
    """Say whether the plain database is the one that is wrong about distinct rows, as MariaDB is by some plans.

    It is about groups if it gives other rows without DISTINCT, or more, and those of the shards are among them. With a
    random order it is nearly always: each row gets a number of its own, and it counts some rows as equal.
    """
    assert plain.queryset is not None
    assert plain.rows is not None
    query = plain.queryset.query
    if VENDOR != "mysql" or not query.distinct or query.combinator:
        return False
    if query.group_by is None:
        return "?" in query.order_by
    every: Any = _unsliced(plain.queryset)
    with on_plain_database():
        kept = {told(row) for row in every._chain()}
    every.query.distinct = False
    with on_plain_database():
        found = {told(row) for row in every._chain()}
    ways = [exactly, *_leniently(code)]

    def are_there(some: Rows) -> bool:
        return all(row in found or any(alike(row, other) for alike in ways for other in found) for row in some)

    low, high = (query.low_mark, query.high_mark) if query.is_sliced else (0, None)
    is_short = len(kept) < len(found) and len(set(rows)) == len(range(len(found))[low:high])
    return are_there(rows) and (is_short or _is_twice(plain) or not are_there(plain.rows))


def _is_twice(plain: Answer) -> bool:
    """Say whether a row of the plain database stands twice at one place of the order: DISTINCT tells those apart."""
    assert plain.queryset is not None
    assert plain.rows is not None
    with on_plain_database():
        whole, ranks = _whole(plain, plain.queryset.query)
    pairs = list(zip(whole, ranks or [1] * len(whole), strict=True))
    return (bool(ranks) or not plain.ordered) and len(set(pairs)) < len(pairs)


def _compare_errors(code: Chain, shards: Exception | None, plain: Exception | None) -> str:
    match shards, plain:
        case ShardkitError(), None:
            return "refused"
        case Exception(), Exception() if _same_class(shards, plain):
            return "both refused"
        case None, DatabaseError() if any(step.method in {"[]", "first", "exists"} for step in code.steps):
            return "unsettled"  # a database may stop before the row that it fails on, or not
    return "different"


def _fails_further_on(shards: Answer, plain: Answer) -> bool:
    """Say whether the plain database fails too, as the shards did, on rows that a limit let it leave out."""
    if shards.error is None or plain.queryset is None or not plain.queryset.query.is_sliced:
        return False
    with on_plain_database():
        try:
            with _spared():
                list(_unsliced(plain.queryset))
        except Exception as error:  # noqa: BLE001 - the same as the shards' or not
            return type(error) is type(shards.error)
    return False


def _spared() -> AbstractContextManager[None]:
    """Keep an error inside the block from ending a transaction around it."""
    return transaction.atomic() if connections["default"].in_atomic_block else nullcontext()


def _unsliced(queryset: Any) -> Any:
    found = queryset._chain()
    found.query.clear_limits()
    return found


def _same_class(shards: Exception, plain: Exception) -> bool:
    """Say whether both failed alike; what no database can do, shardkit may refuse first."""
    if "prefix_references" in str(shards):
        return True  # Django cannot order by a relation whose model is ordered by a window
    if isinstance(plain, RuntimeError):
        return True  # Django took columns for others: it cannot join related rows to rows filtered by a window
    return type(shards) is type(plain) or isinstance(shards, ShardkitError)


def _leniently(code: Chain) -> list[Alike]:
    """List how else answers to *code* may be compared: floats added in another order, text equal to its collation."""
    named = set(calls(code))
    found = []
    spread = bool(named & {"StdDev", "Variance"})
    if named & _SUMS:
        found.append(nearly(decimals=spread))
    if named & _REPRESENTATIVES:
        folding = VENDOR == "mysql" or code.model in _CASELESS
        found.append(nearly(folding=folding, digits=True, decimals=spread))
    return found


def _same_rows(code: Chain, rows: Rows, plain: Answer) -> bool:
    """Say whether *rows* are what the plain database answered, but for the order of ties."""
    assert plain.queryset is not None
    assert plain.rows is not None
    query = plain.queryset.query
    whole, ranks = plain.rows, None
    if plain.ordered or query.is_sliced:
        with on_plain_database():
            whole, ranks = _whole(plain, query)
    low, high = (query.low_mark, query.high_mark) if query.is_sliced else (0, None)
    ways = [exactly, *_leniently(code)]
    if ranks is None and not query.is_sliced:
        return any(same_bag(rows, whole, alike) for alike in ways)
    return any(is_slice(rows, whole, ranks or [1] * len(whole), (low, high), alike) for alike in ways)


def _whole(plain: Answer, query: Any) -> tuple[Rows, Sequence[int] | None]:
    """Return all rows without limits, and which of them tie."""
    queryset: Any = plain.queryset
    whole = plain.rows
    assert whole is not None
    if query.is_sliced:
        with _spared():
            whole = [told(row) for row in _unsliced(queryset)]
    try:
        with _spared():
            ranks = ranks_of(query, connections[ORACLE]) if plain.ordered else None
    except (DatabaseError, IndexError):
        ranks = None
    return whole, ranks
