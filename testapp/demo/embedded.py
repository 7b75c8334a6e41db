"""Which SQLite files may the demo delete? Those it has made.

SQLite keeps a number in the header of a file for the application that made it. So every file says by itself whose it
is, wherever it was moved, and another cluster in the same directory is never touched.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import Final

#: "shdm" as a number.
APPLICATION_ID: Final = 0x7368_646D
#: What SQLite keeps beside a file.
COMPANIONS: Final = ("", "-wal", "-shm", "-journal")


class NotOurs(Exception):
    """A file is in the way that the demo has not made."""


class Busy(Exception):
    """Another demo works in this directory."""


class Content(Enum):
    """What a file holds."""

    NOTHING = auto()
    A_DEMO = auto()
    SOMETHING_ELSE = auto()


@contextmanager
def fresh_files(home: Path, aliases: Sequence[str]) -> Iterator[bool]:
    """Make an empty file for each of *aliases*, keep other demos away, and yield whether an earlier demo had to go."""
    home.mkdir(parents=True, exist_ok=True)
    with _alone_in(home):
        files = [home / f"{alias}.sqlite3" for alias in aliases]
        contents = {file: content_of(file) for file in files}
        for file, content in contents.items():
            if content is Content.SOMETHING_ELSE:
                raise NotOurs(
                    f"{file} was not made by the demo, which would have to replace it. Move it away, or name another "
                    "directory: make demo SHARDKIT_HOME=/some/where"
                )
        for file, content in contents.items():
            if content is Content.A_DEMO:
                _delete(file)
            _sign(file)
        yield Content.A_DEMO in contents.values()


def content_of(file: Path) -> Content:
    """Look into *file*."""
    if not file.exists():
        return Content.NOTHING
    try:
        with closing(sqlite3.connect(file)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        return Content.SOMETHING_ELSE
    if application == APPLICATION_ID:
        return Content.A_DEMO
    return Content.SOMETHING_ELSE if tables or application else Content.NOTHING


def _sign(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _delete(file: Path) -> None:
    for companion in COMPANIONS:
        file.with_name(file.name + companion).unlink(missing_ok=True)


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Hold the lock of *home*, which ends with this process at the latest."""
    directory = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Busy(f"Another demo is running in {home}. Wait for its end, or stop it.") from error
    finally:
        os.close(directory)
