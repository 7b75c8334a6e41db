"""The same test on two deployments: one plain database, and shards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shardkit import conf
from shardkit.conf import Settings
from shardkit.routing import registry
from tests.oracle import on_plain_database


@pytest.fixture(params=["plain", "sharded"])
def deployment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the test once on one plain database and once on shards, and yield which.

    A fixture that touches a database has to ask for this one, so that it finds the right database.
    """
    if request.param == "sharded":
        yield request.param
        return
    plain = Settings(active=False)
    monkeypatch.setattr(conf, "get_settings", lambda: plain)
    registry.forget()
    with on_plain_database():
        yield request.param
    registry.forget()
