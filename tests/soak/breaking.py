"""How does a thread break things during a run, and say what it broke and what went wrong with that?"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Breaking:
    """A thread that breaks something now and then, until it is stopped."""

    dice: random.Random
    events: list[tuple[float, float, str]] = field(default_factory=list, kw_only=True)
    trouble: list[str] = field(default_factory=list, kw_only=True)
    _stopped: threading.Event = field(default_factory=threading.Event, kw_only=True)
    _thread: threading.Thread | None = field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """Say what it breaks."""
        raise AssertionError(type(self))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"faults of {self.name}")
        self._thread.start()

    def stop(self) -> None:
        """Mend what is broken, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Wait, and say whether it has been stopped."""
        return self._stopped.wait(seconds)

    def _run(self) -> None:
        raise AssertionError(type(self))

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Note what happens in the block, and what goes wrong there."""
        began = time.monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has to tell it
            self.trouble.append(f"{what}: {type(error).__name__}: {error}"[:500])
        self.events.append((round(began % 1000, 3), round(time.monotonic() % 1000, 3), what))
