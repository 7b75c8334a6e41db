"""Which replicas of the settings are files of SQLite, and who keeps copying them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from django.db import connections

from shardkit import conf
from shardkit.conf.databases import identity, vendor_word
from shardkit.errors import CopyRefused
from shardkit.replication.sqlite_replicator import FAILURES, SqliteReplicator
from shardkit.topology.names import Alias

SQLITE: Final = "sqlite"


@dataclass
class Copy:
    """One replica, and what was last said of it."""

    primary: Alias
    replica: Alias
    replicator: SqliteReplicator
    #: Why it was not copied; empty when it was.
    problem: str = ""
    is_new: bool = field(default=True, repr=False)

    def step(self) -> bool:
        """Copy if something changed; say whether there is something new to tell."""
        problem = ""
        try:
            self.replicator.step()
        except (*FAILURES, CopyRefused) as error:
            problem = str(error)
        has_news = self.is_new or problem != self.problem
        self.problem, self.is_new = problem, False
        return has_news


def copies_of_settings() -> list[Copy]:
    """List the replicas of SQLite databases, in the order of the settings."""
    return list(_copies())


def _copies() -> Iterator[Copy]:
    for primary, replicas in conf.get_settings().replicas.items():
        if vendor_word(connections[primary].settings_dict) != SQLITE:
            continue
        for replica in replicas:
            yield Copy(primary, replica, SqliteReplicator(_file_of(primary), _file_of(replica)))


def _file_of(alias: Alias) -> str:
    found = identity(connections[alias].settings_dict)
    if found is None or found[0] != SQLITE:
        reason = f"{alias!r} is no file"
        raise CopyRefused(alias, alias, reason, "Give its entry in DATABASES the NAME of a file.")
    return found[1]


def keep_copying(copies: Sequence[Copy], lag: float, tell: Callable[[Copy], None], stopped: Event) -> None:
    """Copy every *lag* seconds until *stopped*, and *tell* of each replica what is new."""
    try:
        copy_all(copies, tell)
        while not stopped.wait(lag):
            copy_all(copies, tell)
    finally:
        for copy in copies:
            copy.replicator.stop()


def copy_all(copies: Sequence[Copy], tell: Callable[[Copy], None]) -> None:
    """Copy each once; where one fails the others go on."""
    for copy in copies:
        if copy.step():
            tell(copy)
