"""What does a query ask of the database that answers it?"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shardkit.conf.shapes import WHEN_STALE

if TYPE_CHECKING:
    from collections.abc import Iterator

#: From the mildest to the strictest.
_STRICTNESS: Final = (None, *WHEN_STALE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a query asks of the database that answers it."""

    #: The primary, whatever replicas there are.
    primary: bool = False
    #: The most seconds that a replica may be behind; None leaves it to the settings.
    max_lag: float | None = None
    #: What to do when nothing is fresh enough; None leaves it to the settings.
    when_stale: str | None = None
    #: How many seconds to wait, where that is what to do; None leaves it to the settings.
    wait: float | None = None

    def joined(self, other: Wish) -> Wish:
        """Return what asks for no less than either."""
        return Wish(
            self.primary or other.primary,
            _least(self.max_lag, other.max_lag),
            max(self.when_stale, other.when_stale, key=_STRICTNESS.index),
            _least(self.wait, other.wait),
        )


NO_WISH: Final = Wish()
_handed_down: Final[ContextVar[Wish]] = ContextVar("shardkit_wish", default=NO_WISH)


def handed_down() -> Wish:
    """Return what a query asks that says nothing itself."""
    return _handed_down.get()


@contextmanager
def handing_down(wish: Wish) -> Iterator[None]:
    """Let queries inside the block that say nothing themselves ask for *wish*."""
    token = _handed_down.set(wish)
    try:
        yield
    finally:
        _handed_down.reset(token)


def _least(one: float | None, other: float | None) -> float | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
