"""What does one plain database answer?

The alias `oracle` is a plain database of the same vendor that holds every table. Inside `on_plain_database()` it
stands in for `default`: the same code then runs as if the project had never heard of shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

ORACLE = "oracle"


class OracleRouter:
    """Make every table on the oracle, and say nothing about any other database."""

    def allow_migrate(self, db: str, *_what: Any, **_hints: Any) -> bool | None:
        return True if db == ORACLE else None


@contextmanager
def on_plain_database() -> Iterator[None]:
    """Let `default` be the plain database inside the block."""
    logical = connections["default"]
    connections["default"] = connections[ORACLE]
    try:
        yield
    finally:
        connections["default"] = logical
