"""What is particular to PostgreSQL?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from shardkit.topology.hashing import NULL_TEXT
from shardkit.vendors.base import Kind, Session, Vendor

# Everything but to_char() is immutable, and md5() takes the bytes of the database's encoding: UTF-8, as Django asks.
_UUID_HEX_SQL = "replace(({column})::text, '-', '')"
_DATETIME_SQL = """to_char(({column}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')"""

# As JSON, since the columns of the provider, the locale and its version came with PostgreSQL 15 and were renamed in 17.
_TEXT_ORDER_SQL = """
SELECT concat_ws(' ', datcollate, datctype, found ->> 'datlocprovider',
                 coalesce(found ->> 'datlocale', found ->> 'daticulocale'), found ->> 'datcollversion')
FROM (SELECT d.*, to_jsonb(d) AS found FROM pg_database d WHERE datname = current_database()) AS named
"""

#: PQTRANS_INERROR, as libpq and both drivers number it.
_IN_ERROR = 3


class PostgreSQL(Vendor):
    """PostgreSQL, also with PostGIS."""

    name: ClassVar[str] = "PostgreSQL"
    defers_constraints: ClassVar[bool] = True
    locks_rows: ClassVar[bool] = True
    assigns_at_once: ClassVar[bool] = True
    text_order_sql: ClassVar[str] = _TEXT_ORDER_SQL
    updates_return_rows: ClassVar[bool] = True
    runs_elsewhere: ClassVar[bool] = True
    # The driver waits for an answer as long as the network says that the server is there.
    impatience: ClassVar[Mapping[str, object]] = {
        "connect_timeout": 3,
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    texts: ClassVar[Mapping[Kind, str]] = {
        "int": "({column})::text",
        "text": "({column})::text",
        "uuid": _UUID_HEX_SQL,
        "date": "to_char({column}, 'YYYY-MM-DD')",
        "datetime": _DATETIME_SQL,
        "bool": "({column})::int::text",
        "decimal": "trim_scale({column})::text",
        "long_decimal": "trim_scale({column})::text",
    }

    def transaction_has_failed(self) -> bool:
        """Ask the driver, which knows without asking the server."""
        driver = self.connection.connection
        return driver is not None and driver.info.transaction_status == _IN_ERROR

    def interrupt(self, session: Session, seconds: float) -> None:  # noqa: ARG002 - the driver knows it
        """Ask on a connection of the driver's own; the server closes it when it has told the statement."""
        driver: Any = self.connection.connection
        if hasattr(driver, "cancel_safe"):
            driver.cancel_safe(timeout=seconds)
        elif driver is not None:
            driver.cancel()

    @property
    def binary_collation(self) -> str:
        """Name the collation that compares the bytes of UTF-8, which is by code points."""
        return "C"

    def uuid_bucket_sql(self, column: str) -> str:
        """Read the three hex digits that follow the version."""
        return f"('x' || substr({_UUID_HEX_SQL.format(column=column)}, 14, 3))::bit(12)::int"

    def _refusal(self, kind: Kind) -> str | None:
        if kind == "datetime" and self.connection.timezone is None:
            return "without USE_TZ a local time that daylight saving skips or repeats is stored as another one"
        return None

    def _joined(self, texts: Sequence[str]) -> str:
        parts = (f"COALESCE(length({text})::text || ':' || {text}, '{NULL_TEXT}')" for text in texts)
        return f"({' || '.join(parts)})"

    def _hash(self, key: str, buckets: int) -> str:
        return f"mod(('x' || substr(md5({key}), 1, 8))::bit(32)::bigint, {buckets})"
