"""How does a test look at what a child of the process does?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

#: Seconds until a child is taken to hang.
HANGS: float = 30


def in_child(act: Callable[[], object]) -> None:
    """Fork, *act* in the child, and fail here if that fails or hangs there."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - the child may not go on as a second pytest
            os.write(2, f"In the child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + HANGS
    while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            pytest.fail("The child hangs.")
        time.sleep(0.01)
    assert 0 == os.waitstatus_to_exitcode(found[1])
