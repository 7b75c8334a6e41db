"""How does a statement find the shadows?

Temporary tables are found by their names. Where there are none, the statement gets a WITH clause before it: each name
in it hides the table of that name from the whole statement, compound or not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from shardkit.shadows.transport import Transport

#: How shadows are made: as common table expressions of the statement, or as temporary tables.
Way = Literal["cte", "temporary tables"]

# What Django's compilers write before the statement that they explain. An option in parentheses is no query.
_EXPLAIN: Final = r"EXPLAIN(?:\s+QUERY\s+PLAN|\s+ANALYZE|\s+VERBOSE|\s+EXTENDED|\s+FORMAT\s*=\s*\w+)*"
_OPTIONS: Final = r"(?:\s*\((?!\s*(?:SELECT|WITH|VALUES|TABLE|\())[^()]*\))?"
_ANALYZE: Final = r"ANALYZE(?:\s+FORMAT\s*=\s*\w+)?"
_BLANK: Final = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
_HEAD: Final = re.compile(
    rf"(?P<before>{_BLANK}(?:(?:{_EXPLAIN}{_OPTIONS}|{_ANALYZE})(?=[\s(])){{0,1}}{_BLANK})"
    rf"(?P<with>WITH\b(?P<recursive>{_BLANK}RECURSIVE\b)?)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Shadowed:
    """Shadows that a statement can be told to read."""

    transport: Transport
    #: Common table expressions also where they only give tables their names: neither has a primary key for GROUP BY.
    by: Way
    #: How many rows all shadows hold.
    rows: int
    #: ``"name"("column", …) AS (…)`` of each shadow, and the parameters of all of them in order.
    expressions: Sequence[str] = ()
    params: tuple[Any, ...] = ()

    def wrap(self, sql: str, params: Sequence[Any] | None = ()) -> tuple[str, tuple[Any, ...]]:
        """Return the statement *sql* as one that reads the shadows, and its parameters."""
        if isinstance(params, Mapping):
            raise TypeError("A statement over shadows takes its parameters by position, as compilers write them.")
        sql = sql if params is not None else sql.replace("%", "%%")
        return with_expressions(sql, self.expressions), (*self.params, *(params or ()))

    def execute(self, cursor: Any, sql: str, params: Sequence[Any] | None = ()) -> None:
        """Execute *sql* over the shadows on *cursor*, a cursor of Django's on this connection.

        On PostgreSQL the statement is never prepared on the server: one that was prepared before a temporary table
        came goes on reading the permanent table of that name. Django prepares none unless its OPTIONS say so; who
        executes what `wrap` returns by other means has to see to that.
        """
        with self.transport.unprepared():
            cursor.execute(*self.wrap(sql, params))


def with_expressions(sql: str, expressions: Sequence[str]) -> str:
    """Put the common table *expressions* before the statement *sql*, which may have its own, or be explained."""
    if not expressions:
        return sql
    head = _HEAD.match(sql)
    before, rest = (head["before"], sql[head.end() :]) if head else ("", sql)
    word = "WITH RECURSIVE" if head and head["recursive"] else "WITH"
    joined = ", ".join(expressions)
    separator = "," if head and head["with"] else " "
    return f"{before}{word} {joined}{separator}{rest}"
