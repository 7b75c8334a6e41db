"""What does somebody see while the databases are migrated, and afterwards?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from threading import Lock

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

from shardkit.management.migrating import Outcome, State
from shardkit.management.tabulating import table
from shardkit.topology.names import Alias

#: Goes back to the start of the line and clears it: a terminal shows the newest status only.
REWRITE = "\r\x1b[K"


class LiveProgress:
    """Writes a line for each database that is done; a terminal also sees what is being done."""

    def __init__(self, stdout: OutputWrapper, style: Style, *, total: int, verbosity: int) -> None:
        self.stdout, self.style = stdout, style
        self.total, self.verbosity = total, verbosity
        self.done = 0
        self.live = verbosity == 1 and stdout.isatty()
        self._lock = Lock()

    def step(self, alias: Alias, what: str) -> None:
        """Say what is being done on *alias*. Threads call this."""
        with self._lock:
            if self.live:
                self.stdout.write(f"{REWRITE}{self.done}/{self.total} done; {alias}: {what}", ending="")
                self.stdout.flush()
            elif self.verbosity > 1:
                self.stdout.write(f"{alias}: {what}")

    def finish(self, outcome: Outcome) -> None:
        """Say how it ended on one database."""
        with self._lock:
            self.done += 1
            if not self.verbosity:
                return
            style = self.style.ERROR if outcome.state is State.FAILED else self.style.SUCCESS
            start = REWRITE if self.live else ""
            counts = f"{len(outcome.applied)} applied in {outcome.seconds:.2f} s"
            name = f"[{self.done}/{self.total}] {outcome.target.alias}"
            self.stdout.write(f"{start}{name}: {style(outcome.state.value)}, {counts}")
            if self.verbosity > 2:  # noqa: PLR2004  (Django's scale of 0 to 3)
                self.stdout.write(outcome.output)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Draw the table of all outcomes."""
    return table(
        ("database", "role", "applied", "seconds", "state"),
        ((each.target.alias, each.target.part, len(each.applied), each.seconds, each.state) for each in outcomes),
    )


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """Say once what went wrong, and on which databases."""
    return [
        f"{aliases}: {error}" for error, aliases in _together((each.error, each) for each in outcomes if each.error)
    ]


def plans(outcomes: Iterable[Outcome]) -> list[str]:
    """Show each plan once, under the names of the databases that it is for."""
    return [f"{aliases}:\n{output}" for output, aliases in _together((each.output, each) for each in outcomes)]


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Write all outcomes for a program."""
    ended_well = not any(each.state in {State.FAILED, State.PENDING} for each in outcomes)
    return json.dumps({"ok": ended_well, "databases": [each.as_dict() for each in outcomes]}, indent=2)


def _together(said: Iterable[tuple[str, Outcome]]) -> list[tuple[str, str]]:
    """Gather the databases that say the same."""
    found: dict[str, list[str]] = {}
    for text, outcome in said:
        found.setdefault(text, []).append(outcome.target.alias)
    return [(text, ", ".join(aliases)) for text, aliases in found.items()]
