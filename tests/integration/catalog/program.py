"""What do the programs of these tests have in common? Each is a process of its own that lives until it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: Small, so that the catalog is asked often.
ID_BLOCK = 7

Habit = Callable[[Mapping[str, Any], Path], None]


def run(habits: Mapping[str, Habit]) -> None:
    """Do what the one argument says, in JSON: the database, the caches, a directory and the habit."""
    config = json.loads(sys.argv[1])
    configure(config["database"], config.get("caches", {}))
    habit = {"create": create_tables, **habits}[config["habit"]]
    habit(config, Path(config["directory"]))


def configure(database: dict[str, Any], caches: dict[str, Any]) -> None:
    import django
    from django.conf import settings

    settings.configure(
        CACHES=caches,
        DATABASES={"default": database},
        DATABASE_ROUTERS=[],
        INSTALLED_APPS=["shardkit"],
        SHARDKIT={"ID_BLOCK": ID_BLOCK},
        USE_TZ=True,
    )
    django.setup()


def create_tables(_config: Mapping[str, Any], _directory: Path) -> None:
    from django.db import connection

    from shardkit.catalog.tables import DirectoryEntry, IdRange

    with connection.schema_editor() as editor:
        editor.create_model(IdRange)
        editor.create_model(DirectoryEntry)


def is_over(directory: Path) -> bool:
    return (directory / "stop").exists()


if __name__ == "__main__":
    run({})
