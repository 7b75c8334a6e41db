"""What is particular to MariaDB and MySQL?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, ClassVar, cast

from django.db import Error

from shardkit.topology.hashing import NULL_TEXT
from shardkit.vendors.base import Kind, Session, Vendor

# MD5() takes the bytes of whatever character set its argument has, so each text is brought to UTF-8 first.
_TEXT_SQL = "CONVERT({column} USING utf8mb4)"
_DIGITS_SQL = "CONVERT(CAST({column} AS CHAR) USING utf8mb4)"
# A native uuid column of MariaDB reads with dashes, a char(32) without.
_UUID_HEX_SQL = f"LOWER(REPLACE({_DIGITS_SQL}, '-', ''))"
_DATETIME_SQL = f"REPLACE({_DIGITS_SQL.format(column='CAST({column} AS DATETIME(6))')}, ' ', 'T')"
# Only behind a point are zeros without meaning.
_DECIMAL_SQL = (
    f"IF(LOCATE('.', {_DIGITS_SQL}), TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {_DIGITS_SQL})), {_DIGITS_SQL})"
)


class MySQL(Vendor):
    """MariaDB and MySQL, which differ in their collations."""

    name: ClassVar[str] = "MariaDB or MySQL"
    defers_constraints: ClassVar[bool] = False
    locks_rows: ClassVar[bool] = True
    assigns_at_once: ClassVar[bool] = False
    text_order_sql: ClassVar[str] = "SELECT @@collation_database"
    updates_return_rows: ClassVar[bool] = False
    # max_sort_length is 1024 bytes, and a character may weigh several.
    sorted_characters: ClassVar[int | None] = 128
    runs_elsewhere: ClassVar[bool] = True
    knows_distinct_groups: ClassVar[bool] = False
    impatience: ClassVar[Mapping[str, object]] = {"connect_timeout": 3, "read_timeout": 5, "write_timeout": 5}
    texts: ClassVar[Mapping[Kind, str]] = {
        "int": _DIGITS_SQL,
        "text": _TEXT_SQL,
        "uuid": _UUID_HEX_SQL,
        "date": _DIGITS_SQL,
        "datetime": _DATETIME_SQL,
        "bool": _DIGITS_SQL,
        "decimal": _DECIMAL_SQL,
        "long_decimal": _DECIMAL_SQL,
    }

    @property
    def binary_collation(self) -> str:
        """Name the collation that compares code points and does not ignore trailing blanks."""
        # Only Django's own wrapper of MySQL has the attribute, and reading it asks the server.
        is_mariadb = cast("Any", self.connection).mysql_is_mariadb
        return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"

    def session(self) -> Session:
        """Note the number by which the server can be told to end what the connection runs."""
        driver: Any = self.connection.connection
        return super().session() if driver is None else Session(id=driver.thread_id(), socket=driver.fileno())

    def interrupt(self, session: Session, seconds: float) -> None:
        """Ask on a connection made for it."""
        parameters = {"connect_timeout": math.ceil(seconds), **self.connection.get_connection_params()}
        with closing(self.connection.get_new_connection(parameters)) as other:
            other.query(f"KILL QUERY {session.id}")

    def settle(self) -> None:
        """Run a statement that may be hit: a server may keep an interruption for the next one."""
        driver: Any = self.connection.connection
        if driver is not None:
            with suppress(Error), self.connection.wrap_database_errors:
                driver.query("DO 0")

    def uuid_bucket_sql(self, column: str) -> str:
        """Read the three hex digits that follow the version."""
        return f"CAST(CONV(SUBSTRING({_UUID_HEX_SQL.format(column=column)}, 14, 3), 16, 10) AS UNSIGNED)"

    def _joined(self, texts: Sequence[str]) -> str:
        parts = (f"COALESCE(CONCAT(CHAR_LENGTH({text}), ':', {text}), '{NULL_TEXT}')" for text in texts)
        return f"CONCAT({', '.join(parts)})"

    def _hash(self, key: str, buckets: int) -> str:
        return f"MOD(CAST(CONV(LEFT(MD5({key}), 8), 16, 10) AS UNSIGNED), {buckets})"
