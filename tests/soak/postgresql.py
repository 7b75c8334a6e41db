"""How do PostgreSQL and its streaming standbys run?"""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import psycopg

from testapp.servers.postgresql import SETTINGS, _initialise, _reachable, find_binaries
from tests.soak.machines import Machine

#: A standby cancels reads that hold it up after a moment, so that this happens in a run.
OURS: Final = {
    "fsync": "off",
    "wal_keep_size": "2GB",
    "hot_standby": "on",
    "max_standby_streaming_delay": "100ms",
    "autovacuum": "on",
    "autovacuum_naptime": "2s",
    "autovacuum_vacuum_threshold": "200",
    "wal_retrieve_retry_interval": "200ms",
    "checkpoint_timeout": "30s",
    "shared_buffers": "32MB",
    "wal_level": "replica",
}


class PostgreSQL(Machine):
    """A primary, or a standby that streams from one."""

    @property
    def data(self) -> Path:
        return self.home.directory / "data"

    @property
    def socket(self) -> Path:
        return self.home.directory / f".s.PGSQL.{self.port}"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def create(self) -> None:
        programs = _reachable(find_binaries(), self.home)
        if self.link is None:
            _initialise(programs, self.data, self.home)
            return
        source = ("-h", "127.0.0.1", "-p", str(self.link.port), "-U", "postgres")
        self.home.run(programs / "pg_basebackup", "-D", self.data, *source, "-R", "-X", "stream", "-c", "fast")

    def serve(self, stack: ExitStack) -> None:
        programs = _reachable(find_binaries(), self.home)
        named = {**SETTINGS, **OURS, "port": str(self.port), "unix_socket_directories": str(self.home.directory)}
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        serving = self.home.serve(
            programs / "postgres",
            *("-D", self.data),
            *(f"--{name}={value}" for name, value in named.items()),
            is_ready=lambda: subprocess.run(ready, check=False).returncode == 0,
            stop_signal=signal.SIGINT,
        )
        stack.enter_context(serving)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=5"
        with closing(psycopg.connect(address, autocommit=True)) as connection, connection.cursor() as cursor:
            cursor.execute(sql.encode())
            return [] if cursor.description is None else cursor.fetchall()

    def pause(self) -> None:
        self.ask("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        self.ask("SELECT pg_wal_replay_resume()")

    def delay(self, seconds: float) -> None:
        self.ask(f"ALTER SYSTEM SET recovery_min_apply_delay = '{seconds * 1000:.0f}ms'")
        self.ask("SELECT pg_reload_conf()")

    def promote(self) -> None:
        self.ask("SELECT pg_promote(true)")

    def follow_again(self) -> None:
        """Do nothing: a standby asks its link again by itself, and follows the new timeline."""

    def has_all_of(self, other: Machine) -> bool:
        ((end,),) = other.ask("SELECT pg_current_wal_lsn()")
        ((has,),) = self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{end}'")
        return bool(has)
