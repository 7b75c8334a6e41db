"""Where is the test database of the logical connection, whoever names it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.backends.sqlite3.base import DatabaseWrapper

pytestmark = pytest.mark.any_vendor

HOME = Path("/srv/site/default.sqlite3")


def database(name: str | Path, test_name: str | None) -> tuple[str, bool]:
    """Return the name of the test database of the file *name*, and whether it is in memory."""
    config: dict[str, Any] = {"NAME": name, "TEST": {"NAME": test_name}}
    connection: BaseDatabaseWrapper = DatabaseWrapper(config, "default")
    creation: Any = connection.creation
    return creation._get_test_db_name(), creation.is_in_memory_db(creation._get_test_db_name())


@pytest.mark.parametrize("name", [HOME, str(HOME)], ids=["path", "text"])
@pytest.mark.parametrize("test_name", [None, ":memory:", f"test_{HOME}_gw0"], ids=["none", "memory", "of a worker"])
def test_it_is_in_memory_where_nobody_named_a_file(name, test_name):
    assert ("file:memorydb_default?mode=memory&cache=shared", True) == database(name, test_name)


@pytest.mark.parametrize("test_name", ["/tmp/tested.sqlite3", "/tmp/tested.sqlite3_gw0"])  # noqa: S108 - no file is made
def test_a_file_that_somebody_named_is_it(test_name):
    assert (test_name, False) == database(HOME, test_name)
