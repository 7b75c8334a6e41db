"""How many instructions of the processor does each case need?

Valgrind counts them, the same number in every run, however busy the machine is. The program below runs every case
under it and marks where each begins and ends by a call of libc's ``getpriority()``, at which Valgrind writes down what
it has counted so far.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import django

from tests.benchmarks.files import PYTHON, ROOT, environment

#: Calls until every cache is warm, and calls that are counted.
WARM: Final = 5
CALLS: Final = 20

#: Case name to instructions per call, of plain Django and of ours.
Counts = dict[str, tuple[float, float]]


def is_available() -> bool:
    return shutil.which("valgrind") is not None


def count_instructions(files: Path, work: Path) -> Counts:
    """Run every case on the databases in *files*, under Valgrind, which writes into *work*."""
    tool = ["valgrind", "--tool=callgrind", "--dump-before=getpriority", f"--callgrind-out-file={work / 'counts'}"]
    ended = subprocess.run(
        [*tool, PYTHON, "-m", "tests.benchmarks.instructions"],
        env=environment(files, "tests.settings", TESTAPP_VENDOR="sqlite", TESTAPP_ORACLE="1", PYTHONHASHSEED="0"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = ended.stdout.splitlines()
    dumps = [_total(work / f"counts.{number}") for number in range(1, 4 * len(names) + 1)]
    per_call = [counted / CALLS for counted in dumps[1::2]]
    return {name: (per_call[2 * at], per_call[2 * at + 1]) for at, name in enumerate(names)}


def _total(dump: Path) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
    assert found is not None, dump
    return int(found[1])


def main() -> None:
    django.setup()
    from django.db import router

    from shardkit.routers import ShardRouter
    from tests.benchmarks.cases import keyed_reads, other_reads

    router.routers = [ShardRouter()]  # without the one that the tests add
    gc.disable()
    for case in (*keyed_reads(), *other_reads()):
        for side in (case.plain, case.ours):
            with side.world():
                for _ in range(WARM):
                    side.call()
                _mark()
                for _ in range(CALLS):
                    side.call()
                _mark()
        print(case.name)  # noqa: T201 - the parent reads it


def _mark() -> None:
    os.getpriority(os.PRIO_PROCESS, 0)


if __name__ == "__main__":
    main()
