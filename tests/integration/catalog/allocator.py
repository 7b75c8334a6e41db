"""How does one process of many allocate ids? A program of its own: it is killed, and its fork()s live on.

It gives numbers until it is told to stop, and appends each to a file once nothing can take it back.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

#: Small, so that the catalog is asked often.
ID_BLOCK = 7


def main(config: dict[str, Any]) -> None:
    configure(config["database"])
    if config["habit"] == "create":
        create_table()
        return
    habits: dict[str, Callable[..., None]] = {
        "autocommit": give,
        "atomic": give_in_transactions,
        "forking": give_and_fork,
    }
    habits[config["habit"]](config["name"], Path(config["directory"]), keep_rolled_back=config["keep_rolled_back"])


def configure(database: dict[str, Any]) -> None:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": database},
        DATABASE_ROUTERS=[],
        INSTALLED_APPS=["shardkit"],
        SHARDKIT={"ID_BLOCK": ID_BLOCK},
        USE_TZ=True,
    )
    django.setup()


def create_table() -> None:
    from django.db import connection

    from shardkit.catalog.tables import IdRange

    with connection.schema_editor() as editor:
        editor.create_model(IdRange)


def give(name: str, directory: Path, **_options: object) -> None:
    from shardkit.catalog.idranges import allocate

    with record(directory) as file:
        while not is_over(directory):
            for count in (1, 2, 30):
                write(file, allocate(name, count))


def give_in_transactions(name: str, directory: Path, *, keep_rolled_back: bool) -> None:
    random = Random(os.getpid())  # noqa: S311 - any pattern will do
    with record(directory) as file:
        while not is_over(directory):
            lost = roll_back(name, random.randint(1, 9))
            if keep_rolled_back:
                write(file, lost)
            write(file, commit(name, [random.randint(1, 9) for _ in range(3)]))


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


def give_and_fork(name: str, directory: Path, **_options: object) -> None:
    from django.db import connections

    from shardkit.catalog.idranges import allocate

    with record(directory) as file:
        write(file, allocate(name, 2))  # the rest of the block is the parent's
    connections.close_all()
    child = os.fork()
    give(name, directory)
    if child:
        os.waitpid(child, 0)


def record(directory: Path) -> Any:
    """Open a file of this process's own; unbuffered, so that a kill loses nothing that was written."""
    return (directory / f"given-{os.getpid()}").open("ab", buffering=0)


def write(file: Any, numbers: Any) -> None:
    file.write("".join(f"{number}\n" for number in numbers).encode())


def is_over(directory: Path) -> bool:
    return (directory / "stop").exists()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
