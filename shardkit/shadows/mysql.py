"""How do rows travel between MariaDB databases?

As the values of the driver, which are exact here: integers, decimals with all their digits, floats by their shortest
text. On the way back they are elements of one JSON text that JSON_TABLE reads as typed columns.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from MySQLdb.constants import ER, FIELD_TYPE, FLAG
from MySQLdb.cursors import SSCursor

from shardkit.shadows.shapes import Column, Source
from shardkit.shadows.transport import Conditions, Load, Row, Transport
from shardkit.vendors.registry import vendor_of

#: What a number or a moment takes, in bytes.
NUMBER_BYTES: Final = 8
#: The first version of MariaDB that has JSON_TABLE.
FIRST_WITH_JSON_TABLE: Final = (10, 6)
#: How many bytes a character takes at most, as results count the lengths of texts.
CHARACTER_BYTES: Final = 4
#: The longest VARCHAR of which rows have room for several; longer text is LONGTEXT.
SHORT_LENGTH: Final = 1000
#: How long the server may take to be told that nobody wants the rest of an answer, in seconds.
PATIENCE_SECONDS: Final = 5.0

# Without it the server may put JSON_TABLE in the statement's place for the name, and read it once per row of a join;
# with it the rows become a table of their own, with the keys that the statement needs.
_ONCE: Final = "LIMIT 18446744073709551615"

_TEXT: Final = re.compile(r"char|text|enum|set|json", re.IGNORECASE)
_BINARY: Final = re.compile(r"blob|binary", re.IGNORECASE)
#: Types that JSON_TABLE cannot give a column, and CAST can.
_CAST: Final = re.compile(r"uuid|inet4|inet6", re.IGNORECASE)
#: How bytes travel. What UNHEX makes of a LONGTEXT is lost on its way into a table.
_HEX: Final = ("mediumtext CHARACTER SET latin1", "UNHEX({column})")
#: Types that only the column of a table can have. An expression can give bytes, but compared with text they lose.
_TABLES_ONLY: Final = re.compile(
    r"(enum|set|bit|json|geometry|point|linestring|polygon|multi|\w*blob|\w*binary)", re.IGNORECASE
)
#: What the driver makes Python's, which has no time of 25 hours and no month of number 0.
_MOMENT: Final = re.compile(r"date|time", re.IGNORECASE)
#: The server writes six digits of these; as doubles they have all that they hold.
_SINGLE: Final = re.compile(r"float(\([^()]*\))?", re.IGNORECASE)
_CHANGED: Final = re.compile(r"float|time\b")
#: JSON is what MariaDB calls a LONGTEXT of this collation.
_JSON: Final = ("longtext", "utf8mb4_bin")

_TYPES: Final[dict[int, str]] = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.DECIMAL: "decimal({digits}, {scale})",
    FIELD_TYPE.NEWDECIMAL: "decimal({digits}, {scale})",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.DATETIME: "datetime({scale})",
    FIELD_TYPE.TIMESTAMP: "datetime({scale})",
    FIELD_TYPE.TIME: "time({scale})",
    FIELD_TYPE.BIT: "bit({length})",
    FIELD_TYPE.NULL: "int",
    FIELD_TYPE.GEOMETRY: "longblob",
}
#: Which of them may be unsigned.
_NUMBERS: Final = {
    FIELD_TYPE.TINY,
    FIELD_TYPE.SHORT,
    FIELD_TYPE.INT24,
    FIELD_TYPE.LONG,
    FIELD_TYPE.LONGLONG,
    FIELD_TYPE.DECIMAL,
    FIELD_TYPE.NEWDECIMAL,
}
#: The database of each connection, and its collation.
_default_collations: Final[WeakKeyDictionary[BaseDatabaseWrapper, tuple[str, str]]] = WeakKeyDictionary()
#: A driver's description of a column: which entry is what.
_CODE, _LENGTH, _SCALE = 1, 3, 5


class MySQLTransport(Transport):
    """How rows travel to a connection with MariaDB, or MySQL from 8.0 on."""

    __slots__ = ()

    def cursor(self, connection: BaseDatabaseWrapper, load: Load) -> Any:
        """Leave the rows on the server until they are fetched."""
        del load
        cursor = connection.cursor()
        with connection.wrap_database_errors:
            cursor.cursor.close()
            cursor.cursor.cursor = cast("Any", connection.connection).cursor(SSCursor)
        return cursor

    def question(self, source: Source, load: Load, cursor: Any, most: int) -> tuple[str, tuple[Any, ...]]:
        """Ask for the text of what the driver, or the server's text of it, would change."""
        del cursor, most
        names = [f"c{number}" for number, _ in enumerate(load.columns, 1)]
        values = [_sent(name, column.type or "") for name, column in zip(names, load.columns, strict=True)]
        if values == names:
            return source.sql, source.params
        heading = f"rows_to_send({', '.join(names)})"
        return f"WITH {heading} AS ({source.sql}) SELECT {', '.join(values)} FROM rows_to_send", source.params  # noqa: S608

    def understands(self, cursor: Any, load: Load) -> bool:
        """Note the types; a column that turns out to be one of those that change has to be asked for again."""
        types = _types(cursor)
        changed = [bool(_CHANGED.match(type_)) for type_ in types]
        load.columns = tuple(
            replace(column, type=type_) if column.type is None or (is_changed and type_ == "float") else column
            for column, type_, is_changed in zip(load.columns, types, changed, strict=True)
        )
        return not any(changed)

    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Make the types from the driver's description of the result."""
        del load
        return _types(cursor)

    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield the values of the driver."""
        while rows := cursor.fetchmany(self.CHUNK):
            yield list(rows), sum(map(_size, chain.from_iterable(rows)))

    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """Read the rows from one JSON text, as columns of their types."""
        typed = [self._typed(column, index, load.rows) for index, column in enumerate(load.columns)]
        columns = ", ".join(f"c{n} {type_} PATH '$[{n}]'" for n, (type_, _) in enumerate(typed))
        values = ", ".join(value.format(column=f"c{n}") for n, (_, value) in enumerate(typed))
        sql = f"SELECT {values} FROM JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS s {_ONCE}"  # noqa: S608
        text = json.dumps([list(map(_element, row)) for row in load.rows], ensure_ascii=False)
        return f"{self.heading(load)} AS ({sql})", [text]

    def fits(self, load: Load) -> bool:
        """Take tables for columns of types that JSON_TABLE does not have, and where there is no JSON_TABLE."""
        has_json_table = not self._is_mariadb or cast("Any", self.connection).mysql_version >= FIRST_WITH_JSON_TABLE
        return has_json_table and not any(_TABLES_ONLY.match(column.type or "") for column in load.columns)

    def abandon(self, cursor: Any) -> None:
        """End what the server still sends: the driver can only close what it has read to the end."""
        if cursor.description is None:
            cursor.close()
            return
        vendor = vendor_of(cursor.db)
        with suppress(Error), cursor.db.wrap_database_errors:
            vendor.interrupt(vendor.session(), PATIENCE_SECONDS)
            cursor.close()
        vendor.settle()

    def may_not(self, error: Error) -> bool:
        """Recognise a transaction that may not write, and an account that may not make tables."""
        return bool(error.args) and error.args[0] in {
            ER.CANT_EXECUTE_IN_READ_ONLY_TRANSACTION,
            ER.DBACCESS_DENIED_ERROR,
        }

    def table(self, name: str) -> str:
        """Quote the name, which means the temporary table wherever there is one."""
        return self.quoted(name)

    def drop(self, names: Sequence[str]) -> None:
        """Drop what is temporary, and nothing else of the same name."""
        for name in names:
            self.execute(f"DROP TEMPORARY TABLE {self.table(name)}")

    def conditions(self) -> Conditions:
        """MySQL, unlike MariaDB, takes only one mention of a temporary table in a statement."""
        return Conditions(are_found=self._is_mariadb)

    def alias(self, name: str, load: Load) -> str:
        """Let the only mention be one, whatever the statement makes of the expression's name."""
        return f"{self.quoted(load.shadow.name)} AS (SELECT * FROM {self.table(name)} {_ONCE})"  # noqa: S608 - quoted

    def definition(self, column: Column) -> str:
        """Return the type, and the collation of text."""
        type_ = column.type or "longtext"
        has_collation = column.collation and _TEXT.search(type_)
        return f"{type_} COLLATE {column.collation}" if has_collation else type_

    def fill(self, name: str, load: Load, rows: Sequence[Row]) -> None:
        """Insert the rows, many with each statement."""
        places = ", ".join("%s" for _ in load.columns)
        sql = f"INSERT INTO {self.table(name)} ({self.names(load)}) VALUES ({places})"  # noqa: S608 - quoted names
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, [list(map(_literal, row)) for row in rows])

    @property
    def _is_mariadb(self) -> bool:
        return bool(cast("Any", self.connection).mysql_is_mariadb)

    def _typed(self, column: Column, index: int, rows: Sequence[Row]) -> tuple[str, str]:
        """Return the type of a column of JSON_TABLE, and what is made of its value."""
        type_ = column.type or "longtext"
        if _CAST.fullmatch(type_):
            return "char(45)", f"CAST({{column}} AS {type_})"
        if _BINARY.search(type_) or any(isinstance(row[index], bytes) for row in rows):
            return _HEX
        if not _TEXT.search(type_):
            return type_, "{column}"
        type_, default = _JSON if type_.lower() == "json" else (type_, self._default_collation())
        return f"{type_} COLLATE {column.collation or default}", "{column}"

    def _default_collation(self) -> str:
        """Return the collation of text that says none; it is asked for once, since it does not change in practice."""
        database = self.connection.settings_dict["NAME"]
        known = _default_collations.get(self.connection)
        if known is None or known[0] != database:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT @@collation_database")
                known = _default_collations[self.connection] = (database, cursor.fetchone()[0])
        return known[1]


def _types(cursor: Any) -> list[str]:
    readers = cursor._result.converter  # noqa: SLF001 - nothing else says whether a string is text or bytes
    columns = zip(cursor.description, cursor.description_flags, readers, strict=True)
    return [_described(description, flags, is_binary=reader is bytes) for description, flags, reader in columns]


def _described(description: Sequence[Any], flags: int, *, is_binary: bool) -> str:
    """Return the SQL type of the column that a driver's *description* and *flags* describe."""
    code, length, scale = description[_CODE], description[_LENGTH], description[_SCALE]
    is_unsigned = bool(flags & FLAG.UNSIGNED)
    digits = length - bool(scale) - (not is_unsigned)
    string = (
        _string("varbinary", "longblob", length)
        if is_binary
        else _string("varchar", "longtext", length // CHARACTER_BYTES)
    )
    type_ = _TYPES.get(code, string).format(length=length, scale=scale, digits=digits)
    return f"{type_} unsigned" if is_unsigned and code in _NUMBERS else type_


def _string(short: str, long: str, length: int) -> str:
    """Return the type of strings of at most *length* bytes or characters."""
    return f"{short}({length})" if 0 < length <= SHORT_LENGTH else long


def _sent(name: str, type_: str) -> str:
    """Return the expression that gives the value of a column of *type_* unchanged."""
    if _MOMENT.match(type_):
        return f"CAST({name} AS CHAR)"
    return f"CAST({name} AS DOUBLE)" if _SINGLE.fullmatch(type_) else name


def _literal(value: Any) -> Any:
    """Return *value* as a parameter that the driver writes without changing it."""
    return value if isinstance(value, bytes) else _element(value)


def _element(value: Any) -> Any:
    """Return *value* as an element of JSON that its column takes for the same value."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"The driver returned a {type(value).__name__}, which has no exact text.")
    return writer(value)


def _duration(value: dt.timedelta) -> str:
    """Write *value* as a TIME."""
    sign, value = ("-", -value) if value.days < 0 else ("", value)
    seconds = value.days * 86400 + value.seconds
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{value.microseconds:06}"


#: How each class of the driver's values is written in JSON.
_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    type(None): lambda value: value,
    int: lambda value: value,
    str: lambda value: value,
    bytes: bytes.hex,
    float: repr,
    Decimal: str,
    dt.datetime: lambda value: value.isoformat(" "),
    dt.date: str,
    dt.time: str,
    dt.timedelta: _duration,
}


def _size(value: object) -> int:
    return len(value) if isinstance(value, (str, bytes)) else NUMBER_BYTES
