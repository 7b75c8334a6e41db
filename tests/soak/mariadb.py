"""How do MariaDB and replicas that follow by GTID run?"""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import MySQLdb

from testapp.servers.mariadb import INNODB, SETTINGS, _program
from testapp.servers.process import Home, speaks
from tests.soak.machines import Machine

#: A transaction that was reported survives the end of the process, so that a killed primary has lost nothing.
OURS: Final = (
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=32M",
    "--binlog-format=ROW",
    "--log-slave-updates",
    "--gtid-strict-mode=1",
    "--sync-binlog=0",
    "--relay-log-recovery=1",
    "--slave-net-timeout=4",
)


class MariaDB(Machine):
    """A primary, or a replica of one."""

    @property
    def socket(self) -> Path:
        return self.home.directory / "socket"

    @property
    def pid_file(self) -> Path:
        return self.home.directory / "pid"

    def create(self) -> None:
        """Copy the data of a server that never ran: to install one takes seconds."""
        self.home.run("cp", "-r", _template(self.home), self.home.directory / "data")

    def serve(self, stack: ExitStack) -> None:
        here = self.home.directory
        files = (f"--datadir={here / 'data'}", f"--socket={self.socket}", f"--pid-file={self.pid_file}")
        serving = self.home.serve(
            _program("mariadbd"),
            "--no-defaults",
            *files,
            f"--tmpdir={here}",
            f"--port={self.port}",
            *SETTINGS,
            *OURS,
            f"--server-id={self.number}",
            f"--log-bin={here / 'binlog'}",
            f"--relay-log={here / 'relay'}",
            *(("--read-only=1",) if self.link is not None else ()),
            is_ready=lambda: speaks(self.port),
        )
        stack.enter_context(serving)
        if self.link is not None and not self.ask("SHOW SLAVE STATUS"):
            self.follow_again()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=5, autocommit=True)
        with closing(connection), closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return [] if cursor.description is None else list(cursor.fetchall())

    def pause(self) -> None:
        self.ask("STOP SLAVE SQL_THREAD")

    def resume(self) -> None:
        self.ask("START SLAVE SQL_THREAD")

    def delay(self, seconds: float) -> None:
        self.ask("STOP SLAVE")
        self.ask(f"CHANGE MASTER TO MASTER_DELAY = {seconds:.0f}")
        self.ask("START SLAVE")

    def promote(self) -> None:
        for statement in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"):
            self.ask(statement)
        self.link = None

    def follow_again(self) -> None:
        assert self.link is not None
        self.ask("STOP SLAVE")
        self.ask(
            f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {self.link.port}, MASTER_USER = 'root', "
            "MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1, MASTER_USE_GTID = slave_pos"
        )
        self.ask("START SLAVE")

    def has_all_of(self, other: Machine) -> bool:
        ((end,),) = other.ask("SELECT @@gtid_binlog_pos")
        ((has,),) = self.ask("SELECT @@gtid_slave_pos")
        found = _sequences(has)
        return all(number <= found.get(domain, 0) for domain, number in _sequences(end).items())


_installing: Final = Lock()


@cache
def _installed() -> Path:
    """Return a folder that lives as long as the process."""
    directory = tempfile.TemporaryDirectory(prefix="soak-")
    atexit.register(directory.cleanup)
    return Path(directory.name)


def _template(home: Home) -> Path:
    with _installing:
        directory = _installed()
        if not (directory / "data").exists():
            directory.chmod(0o777)
            home.run(
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={directory / 'data'}",
                f"--tmpdir={home.directory}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *INNODB,
            )
        return directory / "data"


def _sequences(position: str) -> dict[str, int]:
    """Read the last sequence number of each domain."""
    parts = (part.split("-") for part in position.split(",") if part)
    return {domain: int(number) for domain, _, number in parts}
