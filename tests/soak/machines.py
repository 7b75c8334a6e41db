"""What can happen to a database server of a run?

A machine is one server process with its data. A failing network is a matter of its link; everything else is here.
"""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from testapp.servers.process import Home, ServerFailed, free_port
from tests.soak.links import Link

#: How long a machine may take for what it is told, in seconds.
PATIENCE: Final = 60.0


class Machine(ABC):
    """One server; with a *link*, one that follows another."""

    def __init__(self, home: Home, number: int, link: Link | None = None) -> None:
        self.home, self.number, self.link = home, number, link
        self.port = free_port()
        self.is_running = False
        self._process = ExitStack()

    @property
    @abstractmethod
    def socket(self) -> Path:
        """The local socket that it answers on."""

    @property
    @abstractmethod
    def pid_file(self) -> Path:
        """Where the process writes its number."""

    @abstractmethod
    def create(self) -> None:
        """Make its data: empty, or those of the machine that it follows."""

    @abstractmethod
    def serve(self, stack: ExitStack) -> None:
        """Start the process."""

    @abstractmethod
    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run *sql*, past everything that is tested, and return its rows."""

    @abstractmethod
    def pause(self) -> None:
        """Go on receiving, and show nothing of it."""

    @abstractmethod
    def resume(self) -> None:
        """Show what was received."""

    @abstractmethod
    def delay(self, seconds: float) -> None:
        """Show everything so much later than it was committed."""

    @abstractmethod
    def promote(self) -> None:
        """Follow nobody any more, and take writes."""

    @abstractmethod
    def follow_again(self) -> None:
        """Go on behind whatever the link leads to now."""

    @abstractmethod
    def has_all_of(self, other: Machine) -> bool:
        """Say whether everything that *other* has committed shows here."""

    def start(self) -> None:
        """Start the process, again if need be: what was killed may take a moment to be gone."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.serve(self._process)
            except ServerFailed:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                self.is_running = True
                return

    def kill(self) -> None:
        """End the process without a word."""
        self.is_running = False
        os.kill(int(self.pid_file.read_text().split()[0]), signal.SIGKILL)
        self._process.close()

    def stop(self) -> None:
        """End the process."""
        self.is_running = False
        self._process.close()

    def wait_for(self, other: Machine) -> None:
        """Wait until everything of *other* shows here."""
        until = time.monotonic() + PATIENCE
        while not self.has_all_of(other):
            if time.monotonic() > until:
                raise ServerFailed(f"Machine {self.number} does not catch up with machine {other.number}.")
            time.sleep(0.02)
