"""What can be asked of a point in a replication stream, whatever the vendor?"""

from __future__ import annotations

from typing import Protocol, Self


class Position(Protocol):
    """A point in the stream of one primary. Positions are only partially ordered, so there is no ``<``."""

    def includes(self, other: Position) -> bool:
        """Say whether a database that is here certainly has all that *other* has; not, where that cannot be told."""
        ...

    def joined(self, other: Position) -> Self | None:
        """Return the least position that includes both, None when they cannot be compared."""
        ...

    def exceeds(self, other: Position) -> bool:
        """Say whether this has something that *other* certainly lacks of a stream that both follow."""
        ...

    def dumps(self) -> bytes:
        """Return a few bytes, of which the first says the kind; `coding.loads` reads them."""
        ...
