"""One table per vendor, whose values change when they are carried carelessly."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True)
class Kind:
    """A column, and SQL literals of values that are hard to carry."""

    name: str
    type: str
    literals: tuple[str, ...]
    collation: str | None = None


TEXTS: Final = (
    "''",
    "' '",
    "'x  '",
    "'NULL'",
    "'null'",
    "'N'",
    "'{}'",
    "'a,b'",
    "'a\"b'",
    "'it''s %s %% %'",
    "'Zürich'",
    "'Zu\u0308rich'",
    "'zürich'",
    "'😀\u2028'",
    "'\t\n\r\x0b\x7f'",
    "'\\N'",
)
BACKSLASHES: Final = tuple(text.replace("\\", "\\\\") for text in TEXTS)
INTEGERS: Final = ("0", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808")
FLOATS: Final = ("0.1", "0.1 + 0.2", "-0.0", "5e-324", "1.7976931348623157e308", "1e22", "123456789.12345679")
UUIDS: Final = ("'6ccd780c-baba-1026-9564-5b8c656024db'", "'00000000-0000-0000-0000-000000000000'")

POSTGRESQL: Final = (
    Kind("big", "bigint", INTEGERS),
    Kind("small column", "smallint", ("0", "-32768")),
    Kind("text", "text", TEXTS),
    Kind("named", "varchar(12)", TEXTS),
    Kind("padded", "char(12)", TEXTS),
    Kind("c_text", "text", TEXTS, "C"),
    Kind("icu_text", "text", ("'a'", "'B'", "'Ä'", "'b'", "'a1'"), "und-x-icu"),
    Kind("scaled", "numeric(30, 10)", ("0", "1.5", "-12345678901234567890.0123456789", "'NaN'")),
    Kind("free", "numeric", ("0", "0.00", "1.50", "1.5", "'NaN'", "'Infinity'", "1e-200", "1e200")),
    Kind("real", "real", ("0.1", "'NaN'", "'-Infinity'", "1e-45")),
    Kind("double", "double precision", (*FLOATS, "'NaN'", "'Infinity'", "'-Infinity'", "'-0'")),
    Kind("yes", "boolean", ("true", "false")),
    Kind(
        "day", "date", ("'2013-01-31'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'9999-12-31'", "'99999-1-1'")
    ),
    Kind(
        "at",
        "timestamp with time zone",
        ("'2013-03-10 02:30:00.000001-05'", "'infinity'", "'0001-01-01 00:00Z BC'", "'1883-11-18 12:03:57-04:56:02'"),
    ),
    Kind("local", "timestamp", ("'2013-01-31 05:06:07.000001'", "'-infinity'", "'1999-12-31 24:00'")),
    Kind("clock", "time", ("'24:00'", "'00:00:00.000001'")),
    Kind("zoned", "time with time zone", ("'23:59:59.999999+14'",)),
    Kind(
        "span", "interval", ("'1 month'", "'30 days'", "'-1 year 2 days -3:04:05.000006'", "'0'", "'-00:00:00.000001'")
    ),
    Kind("document", "jsonb", ('\'{"a": 1.10, "b": [null, "\\\\u00e9"]}\'', "'null'", "'\"x\"'", "'1e400'")),
    Kind("written", "json", ('\'{"a":   1.10, "a": 2}\'', "'null'")),
    Kind("bytes", "bytea", ("''", "'\\x00ff5c22'", "'\\xdeadbeef'")),
    Kind("id", "uuid", UUIDS),
    Kind("numbers", "integer[]", ("'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:1]={5,6}'")),
    Kind("texts", "text[]", ('\'{"",NULL,"NULL","a,b","\\"\\\\"}\'',)),
    Kind("span_of", "int4range", ("'empty'", "'[1,5)'", "'(,3]'", "'(,)'")),
    Kind("spans", "nummultirange", ("'{}'", "'{[1.0,2.00),[3,4]}'")),
    Kind("address", "inet", ("'10.0.0.1/8'", "'::1'")),
    Kind("flags", "bit(3)", ("B'101'",)),
    Kind("more_flags", "bit varying", ("B''", "B'10101'")),
    Kind("point", "point", ("'(0.1,-0)'",)),
    Kind("one", '"char"', ("'a'", "''")),
    Kind("words", "tsvector", ("'''it''''s'':1A b'",)),
    Kind("money", "money", ("'12.34'",)),
    Kind("mood", "shadow_mood", ("'sad'", "'so, \"so\"'")),
    Kind("moods", "shadow_mood[]", ("'{sad,NULL}'",)),
    Kind("length", "shadow_length", ("1", "2")),
    Kind("pair", "shadow_pair", ("ROW(1, 'a,\"b')", "ROW(NULL, '')")),
)

MYSQL: Final = (
    Kind("big", "bigint", INTEGERS),
    Kind("huge", "bigint unsigned", ("0", "18446744073709551615")),
    Kind("small column", "smallint", ("0", "-32768")),
    Kind("yes", "bool", ("1", "0")),
    Kind("text", "longtext", (*BACKSLASHES, "'a\\0b'")),
    Kind("named", "varchar(12)", (*BACKSLASHES, "'a\\0b'")),
    Kind("padded", "char(12)", BACKSLASHES),
    Kind("binary_text", "varchar(12)", BACKSLASHES, "utf8mb4_bin"),
    Kind("german", "varchar(12)", ("'a'", "'Ä'", "'ae'", "'B'"), "utf8mb4_german2_ci"),
    Kind("latin", "varchar(12)", ("'é'", "'E'"), "latin1_swedish_ci"),
    Kind(
        "scaled", "numeric(65, 30)", ("0", "1.5", "-12345678901234567890123456789012345.012345678901234567890123456789")
    ),
    Kind(
        "double",
        "double precision",
        ("1e-1", "1e-1 + 2e-1", "-0e0", "5e-324", "1.7976931348623157e308", "1e22", "123456789.12345679e0"),
    ),
    Kind("real", "float", ("0.1", "16777217", "3.4e38")),
    Kind("day", "date", ("'2013-01-31'", "'1000-01-01'", "'9999-12-31'")),
    Kind(
        "at", "datetime(6)", ("'2013-01-31 05:06:07.000001'", "'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'")
    ),
    Kind("seconds", "datetime", ("'2013-01-31 05:06:07'",)),
    Kind("clock", "time(6)", ("'00:00:00.000001'", "'23:59:59.999999'")),
    Kind("year", "year", ("1901", "2155")),
    Kind("document", "json", ('\'{"a":   1.10, "b": [null, "\\\\u00e9"]}\'', "'null'", "' \"x\"'")),
    Kind("bytes", "longblob", ("''", "x'00ff5c22'", "'abc'")),
    Kind("fixed_bytes", "binary(4)", ("x'00ff5c22'", "'a'")),
    Kind("id", "uuid", UUIDS),
    Kind("digits", "char(32)", ("'6ccd780cbaba102695645b8c656024db'",)),
    Kind("flags", "bit(8)", ("b'101'", "b'11111111'", "b'0'")),
    Kind("address", "inet6", ("'::1'",)),
    Kind("mood", "enum('sad', 'so, so')", ("'sad'", "'so, so'")),
    Kind("moods", "set('a', 'b')", ("'a,b'", "''")),
)

SQLITE: Final = (
    Kind("big", "bigint", (*INTEGERS, "'abc'", "1.5")),
    Kind("small column", "integer", ("0", "-1")),
    Kind("yes", "bool", ("1", "0")),
    Kind("text", "text", (*TEXTS, "'a' || char(0) || 'b'")),
    Kind("named", "varchar(12)", TEXTS),
    Kind("mixed", "text", ("'1'", "x'31'", "1", "NULL")),
    Kind("folded", "varchar(12)", ("'a'", "'A'", "'B'"), "NOCASE"),
    Kind("trimmed", "varchar(12)", ("'a'", "'a '"), "RTRIM"),
    Kind("scaled", "decimal", ("0", "1.5", "1.0", "12345678901234567890", "0.1", "'1.50'", "'x'")),
    Kind("double", "real", ("1", *FLOATS, "9e999", "-9e999")),
    Kind("day", "date", ("'2013-01-31'", "'nonsense'")),
    Kind("at", "datetime", ("'2013-01-31 05:06:07.000001'", "'2013-01-31 05:06:07'", "1.5")),
    Kind("clock", "time", ("'05:06:07'",)),
    Kind("document", "text", ("'{\"a\":   1.10}'", "'null'")),
    Kind("bytes", "BLOB", ("x''", "x'00ff5c22'", "'text'", "1", "1.0")),
    Kind("digits", "char(32)", ("'6ccd780cbaba102695645b8c656024db'",)),
    Kind("untyped", "", ("1", "1.0", "'1'", "x'31'")),
)

KINDS: Final = {"postgresql": POSTGRESQL, "mysql": MYSQL, "sqlite": SQLITE}

#: Types of a database's own, whose ids differ from one database to the next.
TYPES: Final = (
    "CREATE TYPE shadow_mood AS ENUM ('sad', 'so, \"so\"')",
    "CREATE DOMAIN shadow_length AS integer CHECK (VALUE > 0)",
    "CREATE TYPE shadow_pair AS (a integer, b text)",
)


def create_types(connection: BaseDatabaseWrapper) -> None:
    """Make the types that *connection* needs, with other ids than in the database before."""
    if connection.vendor != "postgresql":
        return
    fillers = [f"CREATE TYPE shadow_filler_{n} AS ENUM ()" for n in range(len(connection.alias))]
    with connection.cursor() as cursor:
        for sql in (*fillers, *TYPES):
            cursor.execute(sql)


def rows_of(vendor: str) -> list[tuple[str, ...]]:
    """Return rows of literals, in which every column has each of its values, and NULL."""
    kinds = KINDS[vendor]
    longest = max(len(kind.literals) for kind in kinds) + 1
    columns = [(*kind.literals, "NULL") for kind in kinds]
    return [(str(n), *(column[n % len(column)] for column in columns)) for n in range(longest)]


def create(connection: BaseDatabaseWrapper, name: str, rows: list[tuple[str, ...]]) -> None:
    """Make a temporary table of the connection's vendor with *rows*."""
    quoted = connection.ops.quote_name
    columns = ["place integer PRIMARY KEY"]
    for kind in KINDS[connection.vendor]:
        collate = f" COLLATE {quoted(kind.collation)}" if kind.collation else ""
        columns.append(f"{quoted(kind.name)} {kind.type}{collate}")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE {quoted(name)} ({', '.join(columns)})")
        for row in rows:
            cursor.execute(f"INSERT INTO {quoted(name)} VALUES ({', '.join(row)})", None)
