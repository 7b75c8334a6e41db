"""Waiting for what another process or thread does, without a guess at how long it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.waiting import wait_for


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Return ``wait_until(condition, deadline=10.0)``: return when *condition* holds, fail after *deadline* seconds."""
    return wait_for
