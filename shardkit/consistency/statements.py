"""What has a statement done to the primary that it ran on, as far as its text tells?

A text does not say whose it is: nested comments are PostgreSQL's, those that begin with ``#`` and those that are
executed are MySQL's. So what another database would read as another statement is a write, and so is all that its first
word does not tell for a read. A write that was none costs a moment on the primary; a read that was none, a promise.
"""

from __future__ import annotations

import re
from enum import Flag, auto
from functools import lru_cache
from typing import Final

#: Statements of more characters than this are not remembered.
LONG: Final = 4000


class Effect(Flag):
    """What has to be noted after a statement."""

    NOTHING = 0
    #: It showed something of the primary.
    SHOWS = auto()
    #: It changed something, which others see when it is committed.
    WRITES = auto()
    #: It may have committed what its transaction has written, and itself. MySQL does so before it changes a table or
    #: begins a transaction, procedures do it where they say so, and the driver of SQLite begins no transaction for it.
    COMMITS = auto()


#: A comment that is one for every database: none begins inside of it, it is not executed, and where its line ends is
#: the end of a line for all.
_COMMENT: Final = r"--[^\r\n]*+\r?\n|#[^\r\n]*+\r?\n|/\*(?!M?!)(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/"
#: What may stand before the first word. None of it is given back, so that it is looked at once and ends where it ends.
_BEFORE: Final = rf"(?:\s|\(|{_COMMENT})*+"
_READS: Final = re.compile(
    rf"{_BEFORE}(?:(?:SELECT|WITH|VALUES|TABLE|EXPLAIN|SHOW|DESCRIBE|DESC|FETCH)\b|COPY\s*+\()", re.IGNORECASE
)
#: Statements that neither show rows nor change any; a pragma that is given a value may change the file.
_STEERS: Final = re.compile(
    rf"{_BEFORE}(?:(?:SAVEPOINT|RELEASE|ROLLBACK|SET|RESET|DECLARE|CLOSE|DISCARD)\b|PRAGMA\s+[\w.]+\s*+;?\s*+\Z)",
    re.IGNORECASE,
)
_BEGINS: Final = re.compile(rf"{_BEFORE}(?:BEGIN|START)\b", re.IGNORECASE)
#: Writes that stay in their transaction, whatever the database and its driver.
_STAYS: Final = re.compile(rf"{_BEFORE}(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_IS_FOLLOWED: Final = re.compile(r";\s*+\S")
#: Words by which a statement that begins like a harmless one does something, wherever they stand; FOR UPDATE locks.
_DOES: Final = re.compile(
    r"\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b"
    r"|\b(?P<does>INTO|INSERT|UPDATE|DELETE|MERGE|ANALY[SZ]E|STATEMENT|AUTOCOMMIT)\b",
    re.IGNORECASE,
)


def effect_of(sql: str) -> Effect:
    """Return what has to be noted after *sql*."""
    return _remembered(sql) if len(sql) < LONG else _told(sql)


def _told(sql: str) -> Effect:
    if not _IS_FOLLOWED.search(sql):
        if _STAYS.match(sql):
            return Effect.WRITES
        harmless = _harmless(sql)
        if harmless is not None and not any(found["does"] for found in _DOES.finditer(sql)):
            return harmless
    return Effect.WRITES | Effect.COMMITS


def _harmless(sql: str) -> Effect | None:
    """Return what *sql* does if it begins like a statement that writes nothing."""
    if _READS.match(sql):
        return Effect.SHOWS
    if _STEERS.match(sql):
        return Effect.NOTHING
    return Effect.COMMITS if _BEGINS.match(sql) else None


_remembered: Final = lru_cache(maxsize=1024)(_told)
