"""Programs that share one database with each other, as the processes of a deployment do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

#: How long a program may take to end once it is told, in seconds.
END_SECONDS = 60


class Programs:
    """Start programs, and end them."""

    def __init__(self, root: Path, directory: Path, database: dict[str, Any], stack: ExitStack) -> None:
        self.root, self.directory, self.database, self.stack = root, directory, database, stack

    def start(self, module: str, habit: str, **config: object) -> subprocess.Popen[bytes]:
        """Let *module* do what it calls *habit*, in a process of its own."""
        config |= {"database": self.database, "directory": str(self.directory), "habit": habit}
        command = [sys.executable, "-m", module, json.dumps(config)]
        process = subprocess.Popen(command, cwd=self.root, stderr=subprocess.PIPE)
        return self.stack.enter_context(_killed_at_the_end(process))

    def stop(self, *processes: subprocess.Popen[bytes]) -> None:
        """Tell every program to end, and fail if one of *processes* complains."""
        (self.directory / "stop").touch()
        for process in processes:
            self.finish(process)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of *process*, and fail if it complains."""
        _, complaint = process.communicate(timeout=END_SECONDS)
        assert (process.returncode, complaint.decode()) == (0, "")

    def assert_alive(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """Fail, with its complaint, if one of *processes* has ended."""
        for process in processes:
            assert process.poll() is None, process.communicate()[1].decode()


@pytest.fixture
def programs(
    pytestconfig: pytest.Config,
    tmp_path: Path,
    transactional_db: None,  # noqa: ARG001 - it makes the database
) -> Iterator[Programs]:
    """Run programs on the catalog of this run's vendor. SQLite's test database is in memory, so they get a file."""
    from django.db import connection, connections

    keys = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    database = {key: connection.settings_dict[key] for key in keys}
    if connection.vendor == "sqlite":
        database |= {"NAME": str(tmp_path / "catalog.sqlite3"), "OPTIONS": {"timeout": END_SECONDS}}
    connections.close_all()
    with ExitStack() as stack:
        running = Programs(pytestconfig.rootpath, tmp_path, database, stack)
        if connection.vendor == "sqlite":
            running.finish(running.start("tests.integration.catalog.program", "create"))
        yield running
        (tmp_path / "stop").touch()


@contextmanager
def _killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with process:
        yield process
        process.kill()
