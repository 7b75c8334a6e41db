"""What must be asked for besides the rows, so that they can be sorted as their database would?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final


class Kind(Enum):
    """What an expression gives, as far as its model says."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    DURATION = "duration"
    UUID = "uuid"
    BYTES = "bytes"
    TEXT = "text"
    ADDRESS = "address"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is known of an expression that rows are sorted by."""

    kind: Kind
    #: How many characters its text has at most; 0 for a column without a limit, None for what is no column.
    width: int | None = None
    #: The collation of its text, where the database is not asked; empty if that compares bytes.
    collation: str = ""
    #: Whether that is known.
    is_plain: bool = True


#: The template of the expression itself.
ITSELF: Final = "{sql}"


class Ordering(ABC):
    """How one vendor sorts."""

    #: Whether NULL sorts above everything, unless the statement says otherwise.
    nulls_are_largest: ClassVar[bool]

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @abstractmethod
    def probes(self, what: Sorted) -> tuple[str, ...]:
        """List templates of the columns that decide the order of the expression ``{sql}``."""

    def keeps_distinct(self, what: Sorted) -> bool:
        """Say whether rows that are equal without the probes of *what* are equal with them."""
        del what
        return True

    def check(self, what: Sorted, types: Sequence[Any]) -> None:
        """Raise `Uncertain` if the driver says other *types* of the probes than *what* promises."""
        del what, types

    @abstractmethod
    def keys(self, what: Sorted, columns: Sequence[list[Any]]) -> list[Any]:
        """Make comparable keys of the columns that the probes gave, None for NULL, or raise `OrderUnknown`."""

    def ranks(self, sql: str, params: Sequence[Any]) -> list[int]:
        """Let the database rank values: one row for each, in their order."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return [int(rank) for (rank,) in cursor.fetchall()]
