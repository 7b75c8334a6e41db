"""How do rows travel between MariaDB databases?

As the values of the driver, which are exact here: integers, decimals with all their digits, floats by their shortest
text. On the way back they are elements of one JSON text that JSON_TABLE reads as typed columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from MySQLdb.constants import ER
from MySQLdb.cursors import SSCursor

from shardkit.shadows.mysql_values import agreed, element, literal, must_be_asked_for, sent, size, types_of
from shardkit.shadows.shapes import Column, Source
from shardkit.shadows.transport import Conditions, Load, Row, Transport
from shardkit.vendors.registry import vendor_of

#: The first version of MariaDB that has JSON_TABLE.
FIRST_WITH_JSON_TABLE: Final = (10, 6)
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
#: JSON is what MariaDB calls a LONGTEXT of this collation.
_JSON: Final = ("longtext", "utf8mb4_bin")

#: The database of each connection, and its collation.
_default_collations: Final[WeakKeyDictionary[BaseDatabaseWrapper, tuple[str, str]]] = WeakKeyDictionary()


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
        values = [sent(name, column.type or "") for name, column in zip(names, load.columns, strict=True)]
        if values == names:
            return source.sql, source.params
        heading = f"rows_to_send({', '.join(names)})"
        return f"WITH {heading} AS ({source.sql}) SELECT {', '.join(values)} FROM rows_to_send", source.params  # noqa: S608

    def understands(self, cursor: Any, load: Load) -> bool:
        """Note the types; a column that turns out to be one of those that change has to be asked for again."""
        found = types_of(cursor)
        pairs = zip(load.columns, found, strict=True)
        load.columns = tuple(replace(column, type=agreed(column.type, type_)) for column, type_ in pairs)
        return not any(map(must_be_asked_for, found))

    def types(self, cursor: Any, load: Load) -> Sequence[str | None]:
        """Make the types from the driver's description of the result."""
        del load
        return types_of(cursor)

    def answer(self, cursor: Any) -> Iterator[tuple[list[Row], int]]:
        """Yield the values of the driver."""
        while rows := cursor.fetchmany(self.CHUNK):
            yield list(rows), sum(map(size, chain.from_iterable(rows)))

    def expression(self, load: Load) -> tuple[str, list[Any]]:
        """Read the rows from one JSON text, as columns of their types."""
        typed = [self._typed(column, index, load.rows) for index, column in enumerate(load.columns)]
        columns = ", ".join(f"c{n} {type_} PATH '$[{n}]'" for n, (type_, _) in enumerate(typed))
        values = ", ".join(value.format(column=f"c{n}") for n, (_, value) in enumerate(typed))
        sql = f"SELECT {values} FROM JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS s {_ONCE}"  # noqa: S608
        text = json.dumps([list(map(element, row)) for row in load.rows], ensure_ascii=False)
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

    def definitions(self, load: Load) -> str:
        """Make the indexes with the table: to add one would commit the caller's transaction."""
        keys = [f"KEY ({', '.join(map(self.quoted, columns))})" for columns in load.shadow.indexes]
        return ", ".join([super().definitions(load), *keys])

    def fill(self, name: str, load: Load, rows: Sequence[Row]) -> None:
        """Insert the rows, many with each statement."""
        places = ", ".join("%s" for _ in load.columns)
        sql = f"INSERT INTO {self.table(name)} ({self.names(load)}) VALUES ({places})"  # noqa: S608 - quoted names
        with self.working() as cursor:
            cursor.executemany(sql, [list(map(literal, row)) for row in rows])

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
            with self.working() as cursor:
                cursor.execute("SELECT @@collation_database")
                known = _default_collations[self.connection] = (database, cursor.fetchone()[0])
        return known[1]
