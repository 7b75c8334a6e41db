"""The engine of `default` where its database is Django's `sqlite3` backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shardkit.backends.connection import LogicalCreation, logical_wrapper

#: What Django's own backend takes for a database in memory, under a name for each alias.
IN_MEMORY: Final = ":memory:"


class SqliteCreation(LogicalCreation):
    """Keep the test database in memory where nobody named another one.

    pytest-django takes only Django's own engine for one that does so. With pytest-xdist it makes a name for each worker
    from that of any other engine's database: ``test_/path/to/default.sqlite3_gw0``, in a directory that is not there.
    """

    if TYPE_CHECKING:
        connection: Any

    def _get_test_db_name(self) -> str:
        config = self.connection.settings_dict
        if str(config["TEST"]["NAME"] or "").startswith(f"test_{config['NAME']}_"):
            config["TEST"]["NAME"] = IN_MEMORY
        name: str = super()._get_test_db_name()  # type: ignore[misc]
        return name


DatabaseWrapper = logical_wrapper("django.db.backends.sqlite3", SqliteCreation)
