"""Waiting for what another process or thread does, without a guess at how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

#: How long to sleep between two looks, in seconds.
POLL_SECONDS = 0.01


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Return ``wait_until(condition, deadline=10.0)``: return when *condition* holds, fail after *deadline* seconds."""
    return _wait_until


def _wait_until(condition: Callable[[], object], deadline: float = 10.0) -> None:
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{condition} did not come true within {deadline} seconds.")
        time.sleep(POLL_SECONDS)
