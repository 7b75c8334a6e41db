"""Does any id come twice when processes allocate at once, are killed, restarted and forked?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections

from shardkit.catalog.tables import IdRange

ALLOCATOR = "tests.integration.catalog.allocator"
#: What the eight processes do. Those that are killed are restarted.
HABITS = ["autocommit", "atomic", "forking"] * 2 + ["atomic", "autocommit"]
#: How many numbers everybody has given before the next thing happens.
ROUND = 100

Launch = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def database(tmp_path: Path) -> dict[str, Any]:
    """Return an entry of DATABASES that other processes can open; the test database of SQLite is in memory."""
    keys = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    entry = {key: connection.settings_dict[key] for key in keys}
    if connection.vendor == "sqlite":
        entry |= {"NAME": str(tmp_path / "catalog.sqlite3"), "OPTIONS": {"timeout": 60}}
    return entry


@pytest.fixture
def launch(database: dict[str, Any], tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Launch]:
    config = {
        "database": database,
        "directory": str(tmp_path),
        "name": f"test.{uuid4().hex}",
        # On SQLite what a transaction gave and rolled back everywhere may be given again.
        "keep_rolled_back": connection.vendor != "sqlite",
    }
    root = pytestconfig.rootpath
    with ExitStack() as stack:

        def start(habit: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", ALLOCATOR, json.dumps({**config, "habit": habit})]
            return stack.enter_context(stopping(subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE)))

        if connection.vendor == "sqlite":
            finish(start("create"))
        yield start
        (tmp_path / "stop").touch()
    IdRange.objects.filter(name=config["name"]).delete()


@contextmanager
def stopping(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with process:
        yield process
        process.kill()


@pytest.mark.django_db(transaction=True)
def test_no_id_is_given_twice_by_eight_processes_that_are_killed_restarted_and_forked(
    launch: Launch, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    connections.close_all()
    processes = [launch(habit) for habit in HABITS]
    wait_until(lambda: everybody_gave(tmp_path, processes, ROUND), deadline=60)
    for victim in range(4):
        processes[victim].send_signal(signal.SIGKILL)
        processes[victim].wait()
    heirs = [launch(habit) for habit in HABITS[:4]]

    wait_until(lambda: everybody_gave(tmp_path, heirs, ROUND), deadline=60)
    wait_until(lambda: everybody_gave(tmp_path, processes[4:], 2 * ROUND), deadline=60)
    (tmp_path / "stop").touch()
    for process in [*processes[4:], *heirs]:
        finish(process)

    given = [int(number) for file in tmp_path.glob("given-*") for number in file.read_text().split()]
    assert [number for number, times in Counter(given).items() if times > 1] == []
    assert len(given) > ROUND * (len(HABITS) + len(heirs))
    assert min(given) >= 1


def finish(process: subprocess.Popen[bytes]) -> None:
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, b"")


def everybody_gave(directory: Path, processes: list[subprocess.Popen[bytes]], count: int) -> bool:
    for process in processes:
        assert process.poll() is None, process.communicate()[1].decode()
    return all(given_by(directory, process.pid) >= count for process in processes)


def given_by(directory: Path, pid: int) -> int:
    file = directory / f"given-{pid}"
    return file.read_bytes().count(b"\n") if file.exists() else 0
