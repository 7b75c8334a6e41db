"""How do processes use one directory while its key moves? Some move it, some read it, and one empties the cache.

The key's bucket is the number of its move, so that a reader can tell an old answer from a new one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.catalog.program import is_over, run

KEY = "acme"
#: How long the cache is left in peace between two mishaps, in seconds.
PEACE_SECONDS = 0.05


def move_on(config: Mapping[str, Any], directory: Path) -> None:
    """Move the key, and tell everybody once that is done."""
    from django.db import transaction

    from shardkit.catalog.lookups import assign, move

    assign(config["name"], KEY, 0)
    for number in range(1, config["moves"] + 1):
        with transaction.atomic():
            move(config["name"], KEY, number)
        tell(directory, number)
    (directory / "stop").touch()


def read_on(config: Mapping[str, Any], directory: Path) -> None:
    """Read the key, and fail if the answer is older than what was told before the question."""
    from django.db import transaction

    from shardkit.catalog.lookups import find

    answers = 0
    while not is_over(directory):
        done = told(directory)
        found = find(config["name"], KEY) or 0
        assert found >= done, f"move {done} was done, and {found} was read"
        with transaction.atomic():
            done = told(directory)
            found = find(config["name"], KEY) or 0
        assert found >= done, f"move {done} was done, and a transaction read {found}"
        answers += 1
    assert answers > config["moves"] // 10


def forget(_config: Mapping[str, Any], directory: Path) -> None:
    """Lose everything that is cached, again and again."""
    from django.core.cache import cache

    while not is_over(directory):
        cache.clear()
        time.sleep(PEACE_SECONDS)


def tell(directory: Path, number: int) -> None:
    new = directory / "new"
    new.write_text(str(number))
    new.replace(directory / "done")


def told(directory: Path) -> int:
    file = directory / "done"
    return int(file.read_text()) if file.exists() else 0


if __name__ == "__main__":
    run({"move": move_on, "read": read_on, "forget": forget})
