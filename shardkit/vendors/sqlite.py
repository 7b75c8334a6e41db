"""What is particular to SQLite?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from shardkit.topology.hashing import NULL_TEXT
from shardkit.vendors.base import EXACT_DIGITS, Kind, Session, Vendor
from shardkit.vendors.sqlite_columns import collation_of

# Django writes '2013-01-31 05:06:07' or '2013-01-31 05:06:07.000123'.
_DATETIME_SQL = (
    "(substr({column}, 1, 10) || 'T' || substr({column}, 12, 8) "
    "|| '.' || substr(substr({column}, 21) || '000000', 1, 6))"
)
# A decimal column holds INTEGER or REAL. %.15g writes all its digits, and without an exponent from 0.0001 on; below
# that at most 11 of 15 digits count, so that %.15f is exact. char(37) is the per cent sign.
_DECIMAL_SQL = (
    "CASE WHEN {column} IS NULL THEN NULL WHEN {column} = 0 THEN '0' "
    "WHEN abs({column}) < 0.0001 THEN rtrim(printf(char(37) || '.15f', {column}), '0') "
    "ELSE printf(char(37) || '.15g', {column}) END"
)
# Nested, so that MD5() runs once a row and not once a digit; LIMIT keeps SQLite from flattening that again.
_BUCKET_SQL = (
    "(SELECT number - number / {buckets} * {buckets} "
    "FROM (SELECT {number} AS number FROM (SELECT MD5({key}) AS digest LIMIT 1) LIMIT 1))"
)
_HEX_DIGITS: Final = 8
#: As many instructions of its virtual machine take well under a millisecond.
_STEPS_BETWEEN_LOOKS: Final = 10_000


class SQLite(Vendor):
    """SQLite, through a connection of Django's, which brings MD5()."""

    name: ClassVar[str] = "SQLite"
    defers_constraints: ClassVar[bool] = True
    locks_rows: ClassVar[bool] = False
    assigns_at_once: ClassVar[bool] = True
    text_order_sql: ClassVar[None] = None
    updates_return_rows: ClassVar[bool] = True
    runs_elsewhere: ClassVar[bool] = False
    texts: ClassVar[Mapping[Kind, str]] = {
        "int": "CAST({column} AS TEXT)",
        "text": "CAST({column} AS TEXT)",
        "uuid": "{column}",
        "date": "{column}",
        "datetime": _DATETIME_SQL,
        "bool": "CAST({column} AS TEXT)",
        "decimal": _DECIMAL_SQL,
    }

    def collation_of(self, expression: Any) -> str | None:
        """Look at what was declared, and at each COLLATE."""
        return collation_of(expression, self.connection)

    @property
    def binary_collation(self) -> None:
        """Name none: columns compare the bytes of UTF-8 anyway."""
        return

    def session(self) -> Session:
        """Note nothing: there is no server."""
        return Session(id=0, socket=-1)

    def interrupt(self, session: Session, seconds: float) -> None:  # noqa: ARG002 - it takes none
        """Tell the library, which ends what it does at its next step."""
        driver: Any = self.connection.connection
        driver.interrupt()

    @contextmanager
    def limited(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Ask every now and then; unlike `interrupt`, that ends no other statement, one that is being read, say."""
        driver: Any = self.connection.connection
        driver.set_progress_handler(is_over, _STEPS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)

    def uuid_bucket_sql(self, column: str) -> str:
        """Read the three hex digits that follow the version."""
        return f"({_number_sql(f'substr({column}, 14, 3)', digits=3)})"

    def _refusal(self, kind: Kind) -> str | None:
        if kind == "long_decimal":
            return f"it keeps {EXACT_DIGITS} digits; declare max_digits={EXACT_DIGITS} or fewer, or use text"
        return super()._refusal(kind)

    def _joined(self, texts: Sequence[str]) -> str:
        parts = (f"COALESCE(length({text}) || ':' || {text}, '{NULL_TEXT}')" for text in texts)
        return f"({' || '.join(parts)})"

    def _hash(self, key: str, buckets: int) -> str:
        return _BUCKET_SQL.format(number=_number_sql("digest", digits=_HEX_DIGITS), key=key, buckets=buckets)


def _number_sql(text: str, *, digits: int) -> str:
    """Write the SQL of the number whose lower-case hex *digits* are *text*."""
    terms = (
        f"instr('123456789abcdef', substr({text}, {place}, 1)) * {16 ** (digits - place)}"
        for place in range(1, digits + 1)
    )
    return " + ".join(terms)
