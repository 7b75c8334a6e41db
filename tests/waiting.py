"""How does a test wait for what another process or thread does, without a guess at how long it takes?"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

#: How long to sleep between two looks, in seconds.
POLL_SECONDS = 0.01


def wait_for(condition: Callable[[], object], deadline: float = 10.0) -> None:
    """Return when *condition* holds, fail after *deadline* seconds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{condition} did not come true within {deadline} seconds.")
        time.sleep(POLL_SECONDS)
