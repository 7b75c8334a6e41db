"""How do the databases get out of memory, where only this process sees them?"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from django.db import connections

#: What would make the settings describe other databases.
_OTHERS: Final = ("TESTAPP_", "DATABASE_", "SHARD", "DJANGO_SETTINGS_MODULE")


def copy_to_files(directory: Path) -> dict[str, Path]:
    """Copy every SQLite database into a file, and return the files by alias."""
    files = {alias: directory / f"testapp_{alias}.sqlite3" for alias in connections}
    for alias, path in files.items():
        connections[alias].ensure_connection()
        copy = sqlite3.connect(path)
        connections[alias].connection.backup(copy)
        copy.close()
    return files


@contextmanager
def on_files(directory: Path) -> Iterator[None]:
    """Let every alias be a file of *directory* that begins as a copy of what was in memory."""
    with ExitStack() as stack:
        for alias, path in copy_to_files(directory).items():
            memory = connections[alias]
            file = connections.create_connection(alias)
            file.settings_dict = {**memory.settings_dict, "NAME": str(path)}
            connections[alias] = file
            stack.callback(connections.__setitem__, alias, memory)
            stack.callback(file.close)
        yield


def environment(directory: Path, settings: str, **variables: str) -> dict[str, str]:
    """Return the environment of a program that uses the files of *directory*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    return {**kept, "SHARDKIT_HOME": str(directory), "DJANGO_SETTINGS_MODULE": settings, **variables}


ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = sys.executable
