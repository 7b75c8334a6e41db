"""What can SQL do that somebody else than Django wrote: which tables does it read, and may it look at other rows?

Nobody parses it: a text is taken for words, and for the names that follow FROM and JOIN. What a text only might do, it
does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shardkit.routing import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORD: Final = re.compile(r"\w+")
#: A window function, or what one session counts in a variable.
_NUMBERS_ROWS: Final = re.compile(r"\bover\b|@@?\w", re.IGNORECASE)
#: Functions without parentheses, which ask the clock or the session.
_ASKS_SESSION: Final = re.compile(r"\b(?:current_\w+|localtime(?:stamp)?|session_user|sysdate)\b", re.IGNORECASE)
_CALL: Final = re.compile(r"(\w+)\s*\(")
#: Words before a parenthesis that look at nothing but the row: functions that all vendors mean alike, types, grammar.
_OF_ONE_ROW: Final = frozenset(
    {
        *("ABS", "CAST", "CEIL", "CEILING", "CHAR_LENGTH", "COALESCE", "CONCAT", "CONCAT_WS", "EXTRACT", "FLOOR"),
        *("GREATEST", "IF", "IFNULL", "IIF", "INSTR", "LEAST", "LEFT", "LENGTH", "LOCATE", "LOWER", "LPAD", "LTRIM"),
        *("MD5", "MOD", "NULLIF", "POSITION", "POWER", "REPEAT", "REPLACE", "REVERSE", "RIGHT", "ROUND", "RPAD"),
        *("RTRIM", "SIGN", "SQRT", "STRPOS", "SUBSTR", "SUBSTRING", "TO_CHAR", "TRIM", "TRUNC", "UPPER"),
        *("CHAR", "CHARACTER", "DECIMAL", "NUMERIC", "VARCHAR", "VARYING"),
        *("AND", "BETWEEN", "CASE", "ELSE", "IN", "LIKE", "NOT", "OR", "THEN", "WHEN"),
    }
)


def tables_in_text(sql: str) -> list[registry.ModelPlacement]:
    """Return the placements of the known tables whose names occur in *sql*, in whatever case."""
    found = (registry.placement_of_table(table) for table in tables_named(sql))
    return [placement for placement in found if placement is not None]


def tables_named(sql: str) -> set[str]:
    """Return the known tables whose names occur in *sql*, in whatever case."""
    found = {table for word in set(_WORD.findall(sql)) for table in registry.tables_called(word)}
    odd = registry.oddly_named_tables()
    return found | {table for name, table in odd if name in registry.folded(sql)} if odd else found


def is_of_one_row(sql: str) -> bool:
    """Say whether *sql* certainly is no aggregate, numbers no rows, and asks no clock and no session."""
    if _NUMBERS_ROWS.search(sql) or _ASKS_SESSION.search(sql):
        return False
    return all(name.upper() in _OF_ONE_ROW for name in _CALL.findall(sql))


def strangers_in(sql: str) -> frozenset[str]:
    """Return the names in *sql* that stand where tables do, and that no model, and nothing in *sql* itself, explains.

    What a schema qualifies is one too, unless a model says so: it is not found under the name of its table.
    """
    if not _FROM.search(sql):
        return frozenset()
    readings = (_STANDARD, _ESCAPING) if "\\" in sql else (_STANDARD,)
    return frozenset(name for token in readings for name in _strangers([*_tokens(sql, token)]))


def _strangers(tokens: Sequence[_Token]) -> Iterator[str]:
    own = {"dual", *_expressions_named(tokens)}
    for name in _Relations(tokens).names():
        if registry.folded(name) not in own and not registry.tables_called(name):
            yield name


# Reading a text.

_FROM: Final = re.compile(r"\b(?:from|join|table)\b", re.IGNORECASE)
_AFTER_LITERALS: Final = r"""
    | (?P<quoted>"(?:[^"]|"")*" | `(?:[^`]|``)*`)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>[().,])
"""
_COMMENT: Final = r"--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
#: Where a quote ends depends on what a backslash means.
_STANDARD: Final = re.compile(rf"(?:{_COMMENT}|'[^']*'){_AFTER_LITERALS}", re.VERBOSE | re.DOTALL)
_ESCAPING: Final = re.compile(rf"(?:{_COMMENT}|'(?:[^'\\]|\\.)*'){_AFTER_LITERALS}", re.VERBOSE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Token:
    """A name, a word or a mark; literals and comments are none."""

    text: str
    #: The word in capitals, unless it is quoted.
    word: str = ""


def _tokens(sql: str, pattern: re.Pattern[str]) -> Iterator[_Token]:
    for found in pattern.finditer(sql):
        text = found.group()
        if found["quoted"]:
            yield _Token(text[1:-1].replace(text[0] * 2, text[0]))
        elif found["word"] or found["mark"]:
            yield _Token(text, text.upper())


def _expressions_named(tokens: Sequence[_Token]) -> Iterator[str]:
    """Yield the names that a WITH clause gives: ``name (…) AS (``."""
    if any(token.word == "WITH" for token in tokens):
        for before, token in enumerate(tokens):
            if token.word == "AS" and _opens(tokens, before + 1):
                yield registry.folded(tokens[_before_columns(tokens, before - 1)].text)


def _opens(tokens: Sequence[_Token], place: int) -> bool:
    rest = [token.word for token in tokens[place : place + 3]]
    return next((word for word in rest if word not in {"NOT", "MATERIALIZED"}), "") == "("


def _before_columns(tokens: Sequence[_Token], place: int) -> int:
    """Return the place of what stands before a list in parentheses that ends at *place*, or *place*."""
    depth = 0
    while place > 0:
        depth += {")": 1, "(": -1}.get(tokens[place].word, 0)
        if depth == 0:
            return place - 1 if tokens[place].word == "(" else place
        place -= 1
    return place


#: Words that end a FROM clause; further ones of the same SELECT name no table.
_ENDS: Final = frozenset(
    {
        *("EXCEPT", "FETCH", "FOR", "GROUP", "HAVING", "INTERSECT", "LIMIT", "OFFSET", "ORDER", "UNION", "WHERE"),
        *("VALUES", "WINDOW", "WITH"),
    }
)
#: What may stand before the name of a table.
_BEFORE_NAME: Final = frozenset({"LATERAL", "ONLY"})
_JOINS: Final = frozenset({"JOIN", "STRAIGHT_JOIN", "TABLE"})
_STARTS: Final = frozenset({"DELETE", "SELECT"})


@dataclass(slots=True)
class _Frame:
    """What stands between a pair of parentheses, as far as it was read."""

    expects: bool = False
    selects: bool = False
    lists: bool = False


class _Relations:
    """Where a text names tables: after FROM and JOIN, and after commas between them."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens

    def names(self) -> Iterator[str]:
        """Yield the names as they are written, without quotes."""
        frames, place = [_Frame()], 0
        while place < len(self._tokens):
            token, frame = self._tokens[place], frames[-1]
            if token.word == "(":
                frames.append(_Frame(expects=frame.expects, lists=frame.expects))
                frame.expects = False
            elif token.word == ")":
                frames = frames[:-1] or [_Frame()]
            elif frame.expects and self._is_name(token):
                frame.expects = False
                end = self._end_of_name(place)
                if self._word(end) != "(":  # that would be a function
                    yield "".join(one.text for one in self._tokens[place:end])
                place = end - 1
            else:
                self._go_on(frame, token, place)
            place += 1

    def _go_on(self, frame: _Frame, token: _Token, place: int) -> None:
        word = token.word
        if word in _STARTS:
            frame.selects, frame.lists, frame.expects = True, False, False
        elif word == "FROM" and frame.selects and not self._compares(place):
            frame.lists = frame.expects = True
        elif word in _JOINS:
            frame.expects = True
        elif word == ",":
            frame.expects = frame.lists
        elif word in _ENDS:
            frame.lists = frame.expects = False

    def _compares(self, place: int) -> bool:
        """Say whether this is ``IS DISTINCT FROM``."""
        return self._word(place - 1) == "DISTINCT" and self._word(place - 2) in {"IS", "NOT"}

    def _is_name(self, token: _Token) -> bool:
        return token.word not in {*_BEFORE_NAME, *_STARTS, "WITH", "VALUES", "TABLE", ".", ","}

    def _end_of_name(self, place: int) -> int:
        while self._word(place + 1) == "." and place + 2 < len(self._tokens):
            place += 2
        return place + 1

    def _word(self, place: int) -> str:
        return self._tokens[place].word if 0 <= place < len(self._tokens) else ""
