"""Which real servers do the tests start, and what if one is not installed?"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from testapp.servers.process import ServerMissing


def skip_or_fail(missing: ServerMissing) -> NoReturn:
    """Skip the test at home, where a server may be *missing*; fail it in CI, where it must not."""
    if in_ci():
        pytest.fail(str(missing))
    pytest.skip(str(missing))


def in_ci() -> bool:
    """Say whether this run counts, as CI systems do by setting ``CI``."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}
