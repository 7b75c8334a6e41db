"""Which databases does a fuzz run ask?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

VENDORS: Final = ("sqlite", "postgresql", "mysql")


@contextmanager
def deployed(vendor: str) -> Iterator[None]:
    """Run a server of *vendor* with test databases on it: a cluster, and a plain database with the same tables."""
    os.environ["TESTAPP_VENDOR"] = vendor
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    with ExitStack() as stack:
        if vendor != "sqlite" and not os.environ.get("DATABASE_SERVER_URL"):
            from testapp.servers import DATABASE_SERVERS

            os.environ["DATABASE_SERVER_URL"] = stack.enter_context(DATABASE_SERVERS[vendor]())
        import django

        django.setup()
        from django.db import connections
        from django.test.utils import setup_databases, setup_test_environment, teardown_databases

        setup_test_environment(debug=False)
        made = setup_databases(verbosity=0, interactive=False, aliases=None)
        stack.callback(teardown_databases, made, verbosity=0)
        stack.callback(connections.close_all)
        yield
