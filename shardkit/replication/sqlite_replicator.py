"""How does an SQLite database get a replica?

SQLite follows nobody by itself. Here the whole file is copied every few seconds, if it has changed, by SQLite's own
backup: one transaction on the replica, so that a reader sees the copy of before or that of now, and never a part. The
counter of commits is copied with the rest, so what a replica has is known as exactly as on a server.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final, Self

from shardkit.errors import CopyRefused
from shardkit.vendors.replication import sqlite as counter

if TYPE_CHECKING:
    from types import TracebackType

logger: Final = logging.getLogger("shardkit.replication")

#: How often a replica is copied unless something else is said, in seconds.
DEFAULT_LAG: Final = 1.0
#: How long the first copy waits for a writer who holds the primary, in seconds.
WAITS_FOR_WRITER: Final = 20.0
#: How long a copy waits for readers of a replica that is not in WAL mode, in seconds.
WAITS_FOR_READERS: Final = 10.0
#: How long a checkpoint waits for readers of the replica, in seconds; the next one goes on.
CHECKPOINT_WAITS: Final = 0.2

#: What a step may raise, beside `CopyRefused`: the next step opens both files anew.
FAILURES: Final = (sqlite3.Error, OSError)
_WAITING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SqliteReplicator:
    """Copies the file *primary* to the file *replica* every *lag* seconds."""

    def __init__(self, primary: Path | str, replica: Path | str, *, lag: float = DEFAULT_LAG) -> None:
        self.primary, self.replica, self.lag = Path(primary), Path(replica), lag
        self._alone = Lock()
        self._stopped = Event()
        self._thread: Thread | None = None
        self._pair: _Pair | None = None

    def step(self) -> bool:
        """Copy, if the primary has changed since the last step; say whether it had."""
        with self._alone:
            try:
                if self._pair is None or self._pair.is_replaced():
                    self._close()
                    self._pair = _opened(self.primary, self.replica)
                return self._pair.copy(self._stopped)
            except FAILURES:
                self._close()
                raise

    def start(self) -> Self:
        """Copy now, and then every *lag* seconds in a thread, until `stop()`."""
        if self._thread is None:
            self._stopped.clear()
            self.step()
            self._thread = Thread(target=self._follow, name=f"shardkit-{self.replica.stem}", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread, after the copy that it is at, and close both files."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._alone:
            self._close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _follow(self) -> None:
        told = ""
        while not self._stopped.wait(self.lag):
            try:
                self.step()
                told = ""
            except (*FAILURES, CopyRefused) as error:
                if str(error) != told:
                    told = str(error)
                    logger.warning("%s is not copied to %s: %s", self.primary, self.replica, told)

    def _close(self) -> None:
        if self._pair is not None:
            self._pair.close()
            self._pair = None


@dataclass(slots=True)
class _Pair:
    """Both files, open."""

    primary: Path
    replica: Path
    source: sqlite3.Connection
    target: sqlite3.Connection
    files: tuple[object, object]
    seen: int | None = None

    def is_replaced(self) -> bool:
        """Say whether one of the files was deleted since: whoever opens it now gets another."""
        return self.files != (_identity(self.primary), _identity(self.replica))

    def copy(self, stopped: Event) -> bool:
        (version,) = self.source.execute("PRAGMA data_version").fetchone()
        if version == self.seen:
            return False
        until = time.monotonic() + WAITS_FOR_READERS

        def give_up(status: int, _remaining: int, _total: int) -> None:
            # Python would ask again for ever.
            if status in _WAITING and (stopped.is_set() or time.monotonic() > until):
                raise sqlite3.OperationalError(f"Somebody holds {self.replica}.")

        # All pages at once: that is one transaction on the replica.
        self.source.backup(self.target, pages=-1, progress=give_up, sleep=0.05)
        # A backup is no commit after which SQLite would checkpoint: the log would grow by the whole file each time.
        self.target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.seen = version
        return True

    def close(self) -> None:
        self.source.close()
        self.target.close()


def _opened(primary: Path, replica: Path) -> _Pair:
    if primary.resolve() == replica.resolve():
        raise CopyRefused(str(primary), str(replica), "they are one file", "Give the replica a file of its own.")
    incarnation = _counted(primary)
    replica.parent.mkdir(parents=True, exist_ok=True)
    source = sqlite3.connect(_uri(primary, "ro"), uri=True, isolation_level=None, check_same_thread=False)
    target = sqlite3.connect(replica, isolation_level=None, check_same_thread=False, timeout=CHECKPOINT_WAITS)
    try:
        _require_copy(primary, replica, target, incarnation)
        _set_pages(source, target)
        # Readers of the old copy and the next one do not wait for each other, whatever the mode of the primary.
        target.execute("PRAGMA journal_mode = WAL").fetchall()
        target.execute("PRAGMA synchronous = NORMAL")
    except (*FAILURES, CopyRefused):
        source.close()
        target.close()
        raise
    return _Pair(primary, replica, source, target, (_identity(primary), _identity(replica)))


def _counted(primary: Path) -> int:
    """Return the incarnation of the counter of *primary*, which is made if there is none yet."""
    uri = _uri(primary, "rw")  # of a file that is not there none is made
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAITS_FOR_WRITER)) as connection:
        row = _counter_of(connection)
        if row is None:
            connection.execute(counter.MAKE)
            row = connection.execute(counter.COUNT, [secrets.randbits(counter.INCARNATION_BITS)]).fetchone()
    return int(row[0])


def _counter_of(connection: sqlite3.Connection) -> tuple[int, int] | None:
    with suppress(sqlite3.OperationalError):  # no such table
        row: tuple[int, int] | None = connection.execute(counter.READ).fetchone()
        return row
    return None


def _require_copy(primary: Path, replica: Path, target: sqlite3.Connection, incarnation: int) -> None:
    """Refuse to replace a database that is no copy of the primary: it may be all that somebody has."""
    found = _counter_of(target)
    (tables,) = target.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if tables and (found is None or found[0] != incarnation):
        reason = f"{replica} holds tables and is no copy of this database"
        raise CopyRefused(str(primary), str(replica), reason, "Delete it, or name another file for the replica.")


def _set_pages(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Give an empty *target* pages of the size that those of *source* have: in WAL mode it cannot change."""
    (size,) = source.execute("PRAGMA page_size").fetchone()
    if target.execute("PRAGMA page_size").fetchone() != (size,):
        target.execute("PRAGMA journal_mode = DELETE").fetchall()
        target.execute(f"PRAGMA page_size = {size}")
        target.execute("VACUUM")


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _identity(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
