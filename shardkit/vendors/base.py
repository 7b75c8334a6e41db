"""What differs per database?

A `Vendor` says what one connection's database can do, and writes the SQL that gives the bucket that Python gives.

That SQL holds no per cent sign, so it runs with and without parameters, and it names no table of its own, so it can be
evaluated over any row: in a query, or over ``NEW`` in a trigger.
"""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any, ClassVar, Final, Literal, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DecimalField, Field, ForeignKey

from shardkit.errors import BucketNotInSql, ShardKeyUnhashable
from shardkit.topology.hashing import NULL_TEXT
from shardkit.topology.names import MAX_BUCKETS

#: What a column holds, as far as its canonical text is concerned. A long decimal has over 15 digits, or no limit.
Kind = Literal["int", "text", "uuid", "date", "datetime", "bool", "decimal", "long_decimal"]

#: A REAL carries this many decimal digits exactly, and SQLite keeps decimals as REAL.
EXACT_DIGITS: Final = 15

_KINDS: Final[Mapping[str, Kind]] = {
    "AutoField": "int",
    "BigAutoField": "int",
    "BigIntegerField": "int",
    "BooleanField": "bool",
    "CharField": "text",
    "DateField": "date",
    "DateTimeField": "datetime",
    "IntegerField": "int",
    "PositiveBigIntegerField": "int",
    "PositiveIntegerField": "int",
    "PositiveSmallIntegerField": "int",
    "SlugField": "text",
    "SmallAutoField": "int",
    "SmallIntegerField": "int",
    "TextField": "text",
    "UUIDField": "uuid",
}


def kind_of(field: Field[Any, Any]) -> Kind:
    """Tell what the column of *field* holds, or raise `ShardKeyUnhashable`. A foreign key holds what it points at."""
    if isinstance(field, ForeignKey):
        return kind_of(field.target_field)
    if isinstance(field, DecimalField):
        return "decimal" if 0 < (field.max_digits or 0) <= EXACT_DIGITS else "long_decimal"
    kind = _KINDS.get(field.get_internal_type())
    if kind is None:
        raise ShardKeyUnhashable(type(field).__name__)
    return kind


class Session(NamedTuple):
    """A connection, as its two ends know it."""

    id: int
    """What the server calls it, where it has to be told."""

    socket: int
    """The file descriptor on our side."""


@dataclass(frozen=True)
class Vendor(ABC):
    """What the database behind one connection can do, and how it is told."""

    connection: BaseDatabaseWrapper

    name: ClassVar[str]
    """What people call the database."""

    defers_constraints: ClassVar[bool]
    """Whether foreign keys are checked at COMMIT, so that rows of one transaction may come in any order."""

    locks_rows: ClassVar[bool]
    """Whether two connections can write at once; otherwise a writer locks the whole database."""

    assigns_at_once: ClassVar[bool]
    """Whether the new values of an UPDATE are all made of the old ones, and not of those assigned before them."""

    updates_return_rows: ClassVar[bool]
    """Whether UPDATE has RETURNING."""

    text_order_sql: ClassVar[str | None]
    """A query for the order and equality of texts that no column or expression says; None where it is always one."""

    sorted_characters: ClassVar[int | None] = None
    """How many characters of a text are sure to count when rows are sorted; None is all of them."""

    runs_elsewhere: ClassVar[bool]
    """Whether statements run in a server, so that several can be waited for at once."""

    impatience: ClassVar[Mapping[str, object]] = {}
    """What to add to a connection's OPTIONS, so that it gives up a server that does not answer."""

    knows_distinct_groups: ClassVar[bool] = True
    """Whether SELECT DISTINCT with GROUP BY gives each row once, and aggregates as they are, by whatever plan."""

    texts: ClassVar[Mapping[Kind, str]]
    """The SQL of a column's canonical text, NULL for NULL."""

    def collation_of(self, expression: Any) -> str | None:
        """Name the collation of text of *expression*, where no function of the database does; None if nothing does."""
        del expression
        return ""

    @property
    @abstractmethod
    def binary_collation(self) -> str | None:
        """Name the collation that compares and orders text by code points; None when the default does."""

    def transaction_has_failed(self) -> bool:
        """Say whether the database takes nothing but ROLLBACK, because a statement of the transaction failed."""
        return False

    def session(self) -> Session:
        """Note who we are to the server; some drivers say nothing more while a statement runs."""
        driver: Any = self.connection.connection
        return Session(id=0, socket=-1 if driver is None else driver.fileno())

    @abstractmethod
    def interrupt(self, session: Session, seconds: float) -> None:
        """Ask for the end of what another thread runs in *session*, within *seconds*; it may have ended by itself."""

    def limited(self, is_over: Callable[[], bool]) -> AbstractContextManager[object]:  # noqa: ARG002
        """End what this thread runs inside the block when *is_over* says so; a server is told by `interrupt`."""
        return nullcontext()

    def settle(self) -> None:  # noqa: B027 - most have nothing to take away
        """Take away an interruption that came too late, so that it does not hit the next statement."""

    def sever(self, session: Session) -> None:
        """Cut the connection to a server that answers nothing, so that whoever waits for it waits no longer."""
        with suppress(OSError), socket.socket(fileno=os.dup(session.socket)) as ours:
            ours.shutdown(socket.SHUT_RDWR)

    def bucket_sql(self, columns: Sequence[tuple[str, Kind]], buckets: int) -> str:
        """Write the SQL of `topology.hashing.bucket_of` over (quoted column, kind) *columns*."""
        texts = [self.text_sql(column, kind) for column, kind in columns]
        key = f"COALESCE({texts[0]}, '{NULL_TEXT}')" if len(texts) == 1 else self._joined(texts)
        return self._hash(key, buckets)

    def text_sql(self, column: str, kind: Kind) -> str:
        """Write the SQL of `topology.hashing.canonical_text` over the quoted *column*."""
        if reason := self._refusal(kind):
            raise BucketNotInSql(self.name, kind, reason)
        return self.texts[kind].format(column=column)

    def id_bucket_sql(self, column: str) -> str:
        """Write the SQL of `topology.ids.bucket_of_id` over the quoted *column*."""
        return f"({column} & {MAX_BUCKETS - 1})"

    @abstractmethod
    def uuid_bucket_sql(self, column: str) -> str:
        """Write the SQL of `topology.ids.bucket_of_uuid` over the quoted *column*."""

    def _refusal(self, kind: Kind) -> str | None:
        """Say why a column of *kind* has no exact text here, if that is so."""
        # A column without a time zone holds the connection's local times: UTC, or whatever the application says.
        if kind == "datetime" and str(self.connection.timezone or UTC) != "UTC":
            return "it stores local times; leave TIME_ZONE out of the entry in DATABASES"
        return None

    @abstractmethod
    def _joined(self, texts: Sequence[str]) -> str:
        """Join *texts* with their lengths as `topology.hashing.canonical_key` does."""

    @abstractmethod
    def _hash(self, key: str, buckets: int) -> str:
        """Write the SQL that hashes the text *key* to one of *buckets*."""
