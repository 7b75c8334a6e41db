"""What is asked of every vendor about replication?

All questions go through the driver's own cursor: nobody counts, logs or wraps them.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from shardkit.positions.position import Position


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a primary is."""

    #: None for one that cannot say it: it was demoted, or has numbered no transaction.
    position: Position | None
    #: Whether it takes writes; one that was demoted does not.
    is_writable: bool = True
    #: What the next sample wants to know again.
    memo: Any = None
    #: Which one of its server's databases it is: positions are those of all of them. Its replicas call it the same.
    database: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """How far a replica has followed."""

    #: None when that cannot be told.
    position: Position | None
    #: The name of the server and of its start: another one may be further behind than this one was. The same for
    #: whoever asks, so that a session can take it from one process to the next.
    life: str
    #: False for a server that follows nobody, since it was promoted.
    is_replica: bool = True
    #: What the next look wants to know again.
    memo: Any = None
    #: Why the position cannot be told.
    why: str = ""
    #: Which one of its server's databases it is.
    database: str = ""


class Failure(Enum):
    """Why a replica gave no answer to a read, which may get one elsewhere."""

    GONE = "it is gone"
    CANCELLED = "the read held up what it has to follow"
    BEHIND = "it lacks a table or a column"
    READ_ONLY = "the read writes"


class Replication(Protocol):
    """What one vendor can say."""

    def position(self, connection: BaseDatabaseWrapper) -> Position:
        """Return where the primary is: every commit that was reported before the call is included."""
        ...

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Return the same for the monitor."""
        ...

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return how far the replica behind *connection* is."""
        ...

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Say whether *connection* leads to the server, and to the start of it, that *life* names."""
        ...

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let the server refuse what *connection* writes from here on."""
        ...

    def failure(self, error: BaseException) -> Failure | None:
        """Say why a replica has answered with *error*; None where another database would not do better."""
        ...


def asked(connection: BaseDatabaseWrapper, sql: str, params: Any = ()) -> tuple[Any, ...]:
    """Return the first row that the database answers; an empty one where there is none."""
    driver: Any = connection.connection
    with connection.wrap_database_errors, closing(driver.cursor()) as cursor:
        cursor.execute(sql, params)
        # All of them: SQLite commits a statement that returns rows only when its last one was taken.
        rows = cursor.fetchall() if cursor.description else ()
    return tuple(rows[0]) if rows else ()


def name_of_life(*facts: object) -> str:
    """Return eight characters that stand for *facts*: sessions carry them, one for each shard."""
    digest = blake2b("\n".join(map(str, facts)).encode(), digest_size=6).digest()
    return urlsafe_b64encode(digest).decode()


def cause_of(error: BaseException) -> Any:
    """Return what the driver raised, which Django wraps."""
    return error.__cause__ or error
