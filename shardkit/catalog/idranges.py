"""Which sequence numbers may this process give to new rows?

A number is given once, over all processes, restarts, kills and clocks. The catalog holds where the next range of each
name begins; a process takes a block of them with one statement that is committed before any number of it is given, and
gives them from memory. What a process has not given when it ends is lost, not reused.

Where a block is taken inside an open transaction, it must not depend on how that ends:

- PostgreSQL, MariaDB, MySQL: the block is taken through a short connection of its own, which neither waits for the
  caller's transaction nor is rolled back with it.
- SQLite has one writer per file, and a second connection would wait for the caller's own lock. So the block is taken
  in the caller's transaction and belongs to it. When a savepoint or the whole is rolled back the block is dropped, and
  this process goes on above it. `has_uncommitted` tells the logical connection to commit the catalog before the
  shards, so that no shard holds an id whose range a crash gives back. What was given and rolled back *everywhere* may
  be given again by another process, as with SQLite's own AUTOINCREMENT.
- SQLite in memory belongs to this process, which therefore counts by itself and writes the count down on commit.

Numbers are not given in the order of time: each process gives from its own block.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary

from django.db import IntegrityError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.catalog.names import ID_RANGE_TABLE
from shardkit.catalog.statements import own_statements
from shardkit.catalog.transactions import in_transaction, outside_transaction
from shardkit.conf import get_settings
from shardkit.topology.names import LOGICAL
from shardkit.vendors.registry import vendor_of

#: The first number of every name. An id made of 0 would be 0 in the first bucket, which Django takes for missing.
FIRST: Final = 1
#: How often a block is asked for when other processes' transactions get in the way (deadlock, serialization failure).
ATTEMPTS: Final = 5

# One statement reads and raises the start of the next range, so that no two processes read the same. The floor is what
# this process has given already, in case a rollback took the range back.
RETURNING_SQL = (
    "UPDATE {table} SET next_sequence = CASE WHEN next_sequence < %s THEN %s ELSE next_sequence END + %s "
    "WHERE name = %s RETURNING next_sequence"
)
# MySQL's UPDATE returns no rows; LAST_INSERT_ID(…) hands one number to this connection.
LAST_INSERT_ID_SQL = (
    "UPDATE {table} SET next_sequence = "
    "LAST_INSERT_ID(CASE WHEN next_sequence < %s THEN %s ELSE next_sequence END + %s) WHERE name = %s"
)
INSERT_SQL = "INSERT INTO {table} (name, next_sequence) VALUES (%s, %s)"
STORED_SQL = "SELECT next_sequence FROM {table} WHERE name = %s"


class _Counter:
    """The numbers of one name that this process may give: from `begin` up to `end`."""

    __slots__ = ("begin", "end", "floor", "lock", "name", "refilling")

    def __init__(self, name: str, floor: int = 0) -> None:
        self.name = name
        self.begin = self.end = 0
        #: This process has given, or may give, everything below; 0 when it has not looked yet.
        self.floor = floor
        self.lock = Lock()
        self.refilling = Lock()

    def take(self, count: int) -> range:
        """Take up to *count* numbers."""
        with self.lock:
            begin = self.begin
            self.begin = min(begin + count, self.end)
            return range(begin, self.begin)

    def keep(self, block: range) -> None:
        """Give from *block* next, unless there is something left."""
        with self.lock:
            if self.begin == self.end:
                self.begin, self.end = block.start, block.stop

    def raise_floor(self, floor: int) -> None:
        """Give nothing below *floor* any more."""
        with self.lock:
            self.floor = max(self.floor, floor)

    def skip_to(self, floor: int) -> None:
        """Give nothing below *floor* any more, and drop what is left below it."""
        self.raise_floor(floor)
        with self.lock:
            self.begin = min(max(self.begin, floor), self.end)


@dataclass
class _Uncommitted:
    """What the open transaction of one connection has taken."""

    #: The driver's connection. A new one means that the transaction has ended without a word.
    session: object
    #: What is left of the blocks that the database takes back on rollback.
    blocks: dict[_Counter, range] = field(default_factory=dict)
    #: Whether there was such a block, be it used up or dropped since.
    took_range: bool = False
    #: Whose floors are written down on commit.
    counted: set[_Counter] = field(default_factory=set)


_counters: dict[tuple[object, ...], _Counter] = {}
_uncommitted: WeakKeyDictionary[BaseDatabaseWrapper, _Uncommitted] = WeakKeyDictionary()


def allocate(name: str, count: int = 1) -> Sequence[int]:
    """Return *count* sequence numbers of *name* that nobody else was or will be given."""
    connection = connections[LOGICAL]
    counter = _counter_of(connection, name)
    numbers = counter.take(count)
    if len(numbers) == count:
        return numbers
    return [*numbers, *_refill(connection, counter, count - len(numbers))]


def raise_to(name: str, sequence: int) -> None:
    """Give only numbers above *sequence*, which came with a row from elsewhere.

    Blocks that other processes hold already are not touched: load such rows before them, or ids below theirs.
    """
    connection = connections[LOGICAL]
    counter = _counter_of(connection, name)
    counter.skip_to(sequence + 1)
    if pending := _pending(connection):
        block = pending.blocks.get(counter, range(0))
        pending.blocks[counter] = range(min(max(block.start, sequence + 1), block.stop), block.stop)
    if vendor_of(connection).locks_rows:
        with outside_transaction(connection) as outside:
            _advance(outside, counter, 0)
    else:
        _advance(connection, counter, 0)


def has_uncommitted(connection: BaseDatabaseWrapper) -> bool:
    """Say whether the open transaction of *connection* would give numbers back when it rolled back."""
    pending = _pending(connection)
    return pending is not None and pending.took_range


def committed(connection: BaseDatabaseWrapper) -> None:
    """Let everybody use what the transaction of *connection* had taken, now that it is committed."""
    pending = _pending(connection)
    _uncommitted.pop(connection, None)
    if pending:
        for counter, block in pending.blocks.items():
            counter.keep(block)
        for counter in pending.counted:
            with suppress(OperationalError):  # another thread is writing, and the next commit will do
                _advance(connection, counter, 0)


def rolled_back(connection: BaseDatabaseWrapper) -> None:
    """Drop what the transaction of *connection* had taken, now that it or a savepoint of it is rolled back."""
    pending = _pending(connection)
    if pending and connection.in_atomic_block:
        pending.blocks.clear()
    else:
        _uncommitted.pop(connection, None)


def discard_all() -> None:
    """Drop every number that is not given yet: after a fork they are the parent's."""
    for key, counter in list(_counters.items()):
        _counters[key] = _Counter(counter.name, counter.floor)
    _uncommitted.clear()


os.register_at_fork(after_in_child=discard_all)


def _counter_of(connection: BaseDatabaseWrapper, name: str) -> _Counter:
    database = connection.settings_dict
    key = (name, database["NAME"], database["HOST"], database["PORT"])
    counter = _counters.get(key)
    return _counters.setdefault(key, _Counter(name)) if counter is None else counter


def _refill(connection: BaseDatabaseWrapper, counter: _Counter, missing: int) -> Sequence[int]:
    """Take a block, keep it, and return the first *missing* numbers."""
    if vendor_of(connection).locks_rows:
        reserve = _reserve_outside
    elif not in_transaction(connection):
        reserve = _reserve
    elif _is_in_memory(connection):
        reserve = _count_in_memory
    else:
        return _take_inside(connection, counter, missing)
    with counter.refilling:
        numbers = counter.take(missing)  # another thread may have been here meanwhile
        missing -= len(numbers)
        if not missing:
            return numbers
        block = reserve(connection, counter, missing)
        counter.keep(block[missing:])
        return [*numbers, *block[:missing]]


def _take_inside(connection: BaseDatabaseWrapper, counter: _Counter, missing: int) -> Sequence[int]:
    """Give from a block that belongs to the open transaction of *connection*.

    No lock is held while the database is asked: another thread may wait for our transaction to end.
    """
    pending = _begin_pending(connection)
    block = pending.blocks.get(counter, range(0))
    numbers = block[:missing]
    missing -= len(numbers)
    if not missing:
        pending.blocks[counter] = block[len(numbers) :]
        return numbers
    pending.took_range = True
    block = _reserve(connection, counter, missing)
    pending.blocks[counter] = block[missing:]
    return [*numbers, *block[:missing]]


def _reserve_outside(connection: BaseDatabaseWrapper, counter: _Counter, at_least: int) -> range:
    with outside_transaction(connection) as outside:
        return _reserve(outside, counter, at_least)


def _reserve(connection: BaseDatabaseWrapper, counter: _Counter, at_least: int) -> range:
    size = _size(at_least)
    end = _advance(connection, counter, size)
    counter.raise_floor(end)
    return range(end - size, end)


def _count_in_memory(connection: BaseDatabaseWrapper, counter: _Counter, at_least: int) -> range:
    if not counter.floor:
        counter.raise_floor(_stored(connection, counter) or FIRST)
    begin = counter.floor
    counter.raise_floor(begin + _size(at_least))
    _begin_pending(connection).counted.add(counter)
    return range(begin, counter.floor)


def _size(at_least: int) -> int:
    return max(at_least, get_settings().id_block)


def _advance(connection: BaseDatabaseWrapper, counter: _Counter, size: int) -> int:
    """Move the start of the next range by *size*, from the counter's floor at least, and return it."""
    attempts = ATTEMPTS if vendor_of(connection).locks_rows else 1
    while True:
        attempts -= 1
        try:
            end = _update(connection, counter, size)
            if end is not None:
                return end
            _insert(connection, counter)
        except OperationalError:
            if attempts <= 0:
                raise


@own_statements()
def _update(connection: BaseDatabaseWrapper, counter: _Counter, size: int) -> int | None:
    parameters = (counter.floor, counter.floor, size, counter.name)
    with connection.cursor() as cursor:
        if vendor_of(connection).updates_return_rows:
            cursor.execute(_sql(connection, RETURNING_SQL), parameters)
            row = cursor.fetchone()
            return None if row is None else row[0]
        cursor.execute(_sql(connection, LAST_INSERT_ID_SQL), parameters)
        return cursor.lastrowid if cursor.rowcount else None


@own_statements()
def _insert(connection: BaseDatabaseWrapper, counter: _Counter) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_sql(connection, INSERT_SQL), (counter.name, FIRST))
    except IntegrityError:
        pass  # another process was first


@own_statements()
def _stored(connection: BaseDatabaseWrapper, counter: _Counter) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_sql(connection, STORED_SQL), (counter.name,))
        row = cursor.fetchone()
        return None if row is None else row[0]


def _sql(connection: BaseDatabaseWrapper, template: str) -> str:
    return template.format(table=connection.ops.quote_name(ID_RANGE_TABLE))


def _is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    """Say whether no other process can open the database: only Django's SQLite backend has the question."""
    question = getattr(connection, "is_in_memory_db", None)
    return question is not None and question()


def _pending(connection: BaseDatabaseWrapper) -> _Uncommitted | None:
    """Return what the open transaction of *connection* has taken, if anything."""
    pending = _uncommitted.get(connection)
    if pending is not None and pending.session is not connection.connection:
        del _uncommitted[connection]
        return None
    return pending


def _begin_pending(connection: BaseDatabaseWrapper) -> _Uncommitted:
    pending = _pending(connection)
    if pending is None:
        pending = _uncommitted[connection] = _Uncommitted(connection.connection)
    return pending
