"""How does one process of many allocate ids? It is killed, and its fork()s live on.

It gives numbers until it is told to stop, and appends each to a file once nothing can take it back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.integration.catalog.program import is_over, run


def give(config: Mapping[str, Any], directory: Path) -> None:
    from shardkit.catalog.idranges import allocate

    with record(directory) as file:
        while not is_over(directory):
            for count in (1, 2, 30):
                write(file, allocate(config["name"], count))


def give_in_transactions(config: Mapping[str, Any], directory: Path) -> None:
    random = Random(os.getpid())  # noqa: S311 - any pattern will do
    with record(directory) as file:
        while not is_over(directory):
            lost = roll_back(config["name"], random.randint(1, 9))
            if config["keep_rolled_back"]:
                write(file, lost)
            write(file, commit(config["name"], [random.randint(1, 9) for _ in range(3)]))


def commit(name: str, counts: list[int]) -> list[int]:
    """Allocate in a transaction, and in a savepoint of it that is rolled back."""
    from django.db import transaction

    from shardkit.catalog.idranges import allocate

    before, inside, after = counts
    with transaction.atomic():
        given = list(allocate(name, before))
        lost = roll_back(name, inside)
        given += allocate(name, after)
    assert not set(given) & set(lost)
    return given


def roll_back(name: str, count: int) -> list[int]:
    """Allocate in a transaction or savepoint that is rolled back."""
    from django.db import transaction

    from shardkit.catalog.idranges import allocate

    with transaction.atomic():
        given = list(allocate(name, count))
        transaction.set_rollback(True)
    return given


def give_and_fork(config: Mapping[str, Any], directory: Path) -> None:
    from django.db import connections

    from shardkit.catalog.idranges import allocate

    with record(directory) as file:
        write(file, allocate(config["name"], 2))  # the rest of the block is the parent's
    connections.close_all()
    child = os.fork()
    give(config, directory)
    if child:
        os.waitpid(child, 0)


def record(directory: Path) -> Any:
    """Open a file of this process's own; unbuffered, so that a kill loses nothing that was written."""
    return (directory / f"given-{os.getpid()}").open("ab", buffering=0)


def write(file: Any, numbers: Sequence[int]) -> None:
    file.write("".join(f"{number}\n" for number in numbers).encode())


if __name__ == "__main__":
    run({"autocommit": give, "atomic": give_in_transactions, "forking": give_and_fork})
