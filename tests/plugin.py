"""Which database server does this pytest run talk to?

Django's settings name it, and pytest-django loads them before any conftest: hence a plugin, loaded by ``-p``.
The vendor is ``TESTAPP_VENDOR``; a server that ``DATABASE_SERVER_URL`` names is used, otherwise one is started.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from typing import Final, NoReturn

import pytest

from testapp.servers import DATABASE_SERVERS
from testapp.servers.process import ServerMissing
from tests.servers import in_ci

#: Makes the settings add ``oracle``: one plain database of the same vendor that holds all tables.
os.environ["TESTAPP_ORACLE"] = "1"

#: The module through which Django talks to each vendor.
DRIVERS: Final = {"postgresql": "psycopg", "mysql": "MySQLdb"}

_servers = ExitStack()
atexit.register(_servers.close)  # also when pytest ends before it is configured


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Start the server before pytest-django loads the settings, which name it."""
    vendor = os.environ.get("TESTAPP_VENDOR", "sqlite")
    if vendor != "sqlite" and not os.environ.get("DATABASE_SERVER_URL"):
        os.environ["DATABASE_SERVER_URL"] = _start(vendor)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "any_vendor: no vendor can change what it finds, so it runs with SQLite alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the run on SQLite has looked at."""
    if os.environ.get("TESTAPP_VENDOR", "sqlite") != "sqlite":
        left_out = [item for item in items if item.get_closest_marker("any_vendor")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_report_header() -> str:
    vendor = os.environ.get("TESTAPP_VENDOR", "sqlite")
    return f"vendor: {vendor} {os.environ.get('DATABASE_SERVER_URL', '')}".rstrip()


def pytest_unconfigure() -> None:
    """Stop the server that this run started."""
    _servers.close()


def _start(vendor: str) -> str:
    if vendor not in DATABASE_SERVERS:
        raise pytest.UsageError(f"TESTAPP_VENDOR is {vendor!r}; choose one of sqlite, {', '.join(DATABASE_SERVERS)}.")
    if importlib.util.find_spec(DRIVERS[vendor]) is None:
        _leave(f"The module {DRIVERS[vendor]} is not installed.", vendor)
    try:
        return _servers.enter_context(DATABASE_SERVERS[vendor]())
    except ServerMissing as missing:
        _leave(str(missing), vendor)


def _leave(reason: str, vendor: str) -> NoReturn:
    """End the run for *reason*: well at home, where a server may be missing, and badly in CI, where it must not."""
    sys.stderr.write(f"{reason} The tests on {vendor} are {'missing, and CI needs them' if in_ci() else 'skipped'}.\n")
    sys.exit(1 if in_ci() else 0)
