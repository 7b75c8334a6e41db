"""Do two PostgreSQL connections write and read the text of a value in the same way?

Settings of a session decide how dates and intervals are written, which the server tells the driver without being asked,
and how many digits of a float are, which it does not. What one session writes another one could read as another value.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakSet

from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.errors import DatabasesDiffer

STYLES: Final = ("DateStyle", "IntervalStyle")

# With 1 or more, which is the default, floats are written with all the digits that tell them from all others.
_DIGITS_SQL: Final = "SELECT current_setting('extra_float_digits')::integer"

#: The driver's connections whose floats have all their digits.
_exact: Final[WeakSet[Any]] = WeakSet()


def require_same_styles(source: BaseDatabaseWrapper, target: BaseDatabaseWrapper) -> None:
    """Raise `DatabasesDiffer` where text that *source* writes could mean something else to *target*."""
    target.ensure_connection()
    writer, reader = source.connection, target.connection
    for setting in STYLES:
        written, read = _style(writer, setting), _style(reader, setting)
        if written != read:
            raise DatabasesDiffer(source.alias, setting, written, read)
    if writer not in _exact:
        with source.wrap_database_errors:
            (digits,) = writer.execute(_DIGITS_SQL).fetchone()
        if digits < 1:
            raise DatabasesDiffer(source.alias, "extra_float_digits", str(digits), "1")
        _exact.add(writer)


def _style(driver: Any, setting: str) -> str:
    return str((driver.pgconn.parameter_status(setting.encode()) or b"").decode())
