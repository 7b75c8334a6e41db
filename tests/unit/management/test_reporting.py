"""What does somebody see while databases are migrated?"""

from __future__ import annotations

import io

from django.core.management.base import OutputWrapper
from django.core.management.color import no_style

from shardkit.management.migrating import Outcome, State
from shardkit.management.reporting import LiveProgress
from shardkit.management.targets import Part, Target
from shardkit.topology.names import Alias

SHARD = Alias("shard_0")
OUTCOME = Outcome(
    target=Target(SHARD, Part.SHARD),
    state=State.MIGRATED,
    applied=("a.0001",),
    seconds=0.25,
    output="what Django said\n",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, verbosity: int) -> str:
    progress = LiveProgress(OutputWrapper(stream), no_style(), total=2, verbosity=verbosity)
    progress.step(SHARD, "applying a.0001")
    progress.finish(OUTCOME)
    return stream.getvalue()


def test_a_terminal_sees_what_is_being_done_in_one_line_that_changes():
    assert shown(Terminal(), 1) == (
        "\r\x1b[K0/2 done; shard_0: applying a.0001\r\x1b[K[1/2] shard_0: migrated, 1 applied in 0.25 s\n"
    )


def test_a_file_gets_one_line_for_each_database():
    assert shown(io.StringIO(), 1) == "[1/2] shard_0: migrated, 1 applied in 0.25 s\n"


def test_more_is_said_when_asked():
    assert shown(io.StringIO(), 2).splitlines()[0] == "shard_0: applying a.0001"
    assert shown(Terminal(), 3).splitlines()[-1] == "what Django said"


def test_nothing_is_said_when_asked():
    assert shown(Terminal(), 0) == ""
