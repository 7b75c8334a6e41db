"""Does any id come twice when processes allocate at once, are killed, restarted and forked?"""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.fix_programs import Programs

#: What the eight processes do. The first four are killed and replaced.
HABITS = ["autocommit", "atomic", "forking"] * 2 + ["atomic", "autocommit"]
VICTIMS = 4
#: How many numbers everybody has given before the next thing happens.
ROUND = 100


def test_no_id_is_given_twice_by_eight_processes_that_are_killed_restarted_and_forked(
    programs: Programs, wait_until: Callable[..., None]
) -> None:
    config = {
        "name": f"test.{uuid4().hex}",
        # On SQLite what a transaction gave and rolled back everywhere may be given again.
        "keep_rolled_back": "sqlite" not in programs.database["ENGINE"],
    }

    def launch(habit: str) -> subprocess.Popen[bytes]:
        return programs.start("tests.integration.catalog.allocator", habit, **config)

    def everybody_gave(processes: list[subprocess.Popen[bytes]], count: int) -> bool:
        programs.assert_alive(processes)
        return all(given_by(programs.directory, process.pid) >= count for process in processes)

    processes = [launch(habit) for habit in HABITS]
    wait_until(lambda: everybody_gave(processes, ROUND), deadline=60)
    for victim in processes[:VICTIMS]:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    processes[:VICTIMS] = [launch(habit) for habit in HABITS[:VICTIMS]]
    wait_until(lambda: everybody_gave(processes[:VICTIMS], ROUND), deadline=60)
    wait_until(lambda: everybody_gave(processes[VICTIMS:], 2 * ROUND), deadline=60)
    programs.stop(*processes)

    given = [int(number) for file in programs.directory.glob("given-*") for number in file.read_text().split()]
    assert [number for number, times in Counter(given).items() if times > 1] == []
    assert len(given) > ROUND * (len(HABITS) + VICTIMS)
    assert min(given) >= 1


def given_by(directory: Path, pid: int) -> int:
    file = directory / f"given-{pid}"
    return file.read_bytes().count(b"\n") if file.exists() else 0
