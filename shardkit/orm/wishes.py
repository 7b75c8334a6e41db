"""What does a statement ask of the databases that answer it?

A wish stands with the query of the queryset that was asked. Django wraps such a query in others, nests it, and combines
it with them; what any part of a statement asks holds for the whole, which is read in one piece.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from django.db import models

from shardkit.conf.shapes import WHEN_STALE
from shardkit.consistency.wishes import Wish, handed_down, handing_down
from shardkit.routing.expressions import nested_in
from shardkit.routing.shortcut import reads_one_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_M = TypeVar("_M", bound=models.Model)
_END: Final = object()


def wish_of(query: Any) -> Wish:
    """Return what the statement of *query* asks for, or what was handed down to it if it asks for nothing."""
    return _asked_by(query) or handed_down()


def _asked_by(query: Any) -> Wish | None:
    return _joined([query] if reads_one_table(query) else [query, *nested_in(query)])


def _joined(queries: list[Any]) -> Wish | None:
    """Return what *queries* themselves ask for together, None if none of them says anything."""
    wishes = [query.__dict__["shardkit_wish"] for query in queries if "shardkit_wish" in query.__dict__]
    return reduce(Wish.joined, wishes) if wishes else None


class WishingQuerySet(models.QuerySet[_M]):
    """A queryset that can say what it wants of the database that answers it."""

    if TYPE_CHECKING:
        _prefetch_related_lookups: tuple[Any, ...]

    def primary(self) -> Self:
        """Read the primary, whatever replicas there are."""
        return self._wishing(Wish(primary=True))

    def replica(
        self, *, max_lag: float | None = None, when_stale: str | None = None, wait: float | None = None
    ) -> Self:
        """Read a replica that is at most *max_lag* seconds behind; None leaves that to the settings.

        *when_stale* says what to do when none is: ``"primary"``, ``"wait"``, for *wait* seconds, or ``"raise"``; None
        leaves it to the settings. In a transaction, and for what this session wrote, the primary answers in any case.
        """
        for name, seconds in (("max_lag", max_lag), ("wait", wait)):
            if seconds is not None and seconds < 0:
                raise ValueError(f"replica(): {name} is {seconds!r}. Make it a number of seconds of 0 or more.")
        if when_stale not in {None, *WHEN_STALE}:
            raise ValueError(f"replica(): when_stale is {when_stale!r}. Use one of {', '.join(WHEN_STALE)}.")
        return self._wishing(Wish(max_lag=max_lag, when_stale=when_stale, wait=wait))

    def _wishing(self, wish: Wish) -> Self:
        clone: Self = self._chain()  # type: ignore[attr-defined]
        clone.query.shardkit_wish = wish  # type: ignore[attr-defined]
        return clone

    # Combining: Django takes the query of the left side, and of the other its conditions.

    def __and__(self, other: Any) -> Self:
        return self._agreeing(super().__and__(other), other)

    def __or__(self, other: Any) -> Self:
        return self._agreeing(super().__or__(other), other)

    def __xor__(self, other: Any) -> Self:
        return self._agreeing(super().__xor__(other), other)

    def _agreeing(self, combined: Self, other: Any) -> Self:
        wish = _joined([self.query, other.query])
        return combined if wish is None else combined._wishing(wish)

    # Prefetching: one statement for each lookup, of whatever model, that asks for nothing itself.

    def _prefetch_related_objects(self) -> None:
        with handing_down(wish_of(self.query)):
            super()._prefetch_related_objects()  # type: ignore[misc]

    def _iterator(self, *how: Any) -> Iterator[Any]:
        rows: Any = super()._iterator(*how)  # type: ignore[misc]
        return self._handing_down(rows) if self._prefetch_related_lookups else rows

    def _handing_down(self, rows: Any) -> Iterator[Any]:
        wish = wish_of(self.query)
        with closing(rows):
            while True:
                with handing_down(wish):
                    row = next(rows, _END)
                if row is _END:
                    return
                yield row

    def aiterator(self, *how: Any, **options: Any) -> AsyncIterator[_M]:
        """Iterate as Django's method does."""
        rows: Any = super().aiterator(*how, **options)
        return self._handing_down_later(rows) if self._prefetch_related_lookups else rows

    async def _handing_down_later(self, rows: Any) -> AsyncIterator[Any]:
        wish = wish_of(self.query)
        async with aclosing(rows):
            while True:
                with handing_down(wish):
                    row = await anext(rows, _END)
                if row is _END:
                    return
                yield row
