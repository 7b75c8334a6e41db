"""What did a database say of its types and collations that need not be asked again so soon?

Nobody tells us when somebody alters a column, or puts another server behind a name. So nothing is believed for longer
than `SECONDS`, and nothing after this process has migrated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

from django.db.models.signals import post_migrate

from shardkit import conf

#: For how long what a database said is believed.
SECONDS: Final = 60.0
#: How many answers are kept; then all are forgotten, as in a cache that is too small whatever it keeps.
MAX_ANSWERS: Final = 1000

_Answer = TypeVar("_Answer")


class Remembered(Generic[_Answer]):
    """Answers of databases, by question."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._answers: dict[Hashable, tuple[float, _Answer]] = {}
        conf.settings_reset.append(self.forget)
        post_migrate.connect(self.forget, weak=False, dispatch_uid=f"{__name__}.{id(self)}")

    def answer(self, question: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """Return the answer to *question*, by *ask* if it is not known, or no longer."""
        known = self._answers.get(question)
        if known is not None and self._now() < known[0]:
            return known[1]
        if len(self._answers) >= MAX_ANSWERS:
            self.forget()
        found = ask()
        self._answers[question] = (self._now() + SECONDS, found)
        return found

    def forget(self, **_signal: Any) -> None:
        """Forget all answers."""
        self._answers.clear()
