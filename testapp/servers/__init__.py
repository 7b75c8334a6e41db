"""Which real server does a demo or a test of this vendor need?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from testapp.servers.mariadb import mariadb_server
from testapp.servers.postgresql import postgresql_server

#: By the name of the Django backend: a context manager that runs one server and yields its address.
DATABASE_SERVERS: Final[Mapping[str, Callable[[], AbstractContextManager[str]]]] = {
    "postgresql": postgresql_server,
    "mysql": mariadb_server,
}
