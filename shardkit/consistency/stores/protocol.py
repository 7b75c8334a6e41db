"""What does every store of tokens do, and when is there something to store?

A store joins whatever a request brings, and puts down whatever is new as a token of its own beside the others; it takes
away exactly the tokens that it has read. So it does not matter which of two responses comes first: each token demands
what its own request saw, and no response takes away what it does not know.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final, Protocol

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from shardkit import conf
from shardkit.consistency import tokens
from shardkit.consistency.session import CLOCKS_DIFFER, Session
from shardkit.consistency.vectors import UNKNOWN, Entry, Vector

logger = logging.getLogger("shardkit.consistency")

#: A token is written again when its entries have lived for this part of their time and are still in use.
REFRESHED_AT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a request brought."""

    vector: Vector
    #: What the store needs to take away what it has read, and nothing else.
    receipt: Any = None
    #: Something that the request brought, or should have, could not be read: the primaries answer.
    suspicious: bool = False


class Store(Protocol):
    """Where tokens are kept."""

    #: It waits for a server, so it runs on a thread under ASGI.
    blocking: bool
    #: It can save when the response is under way, or when there is none.
    works_without_response: bool
    #: The header of a request that says what it brings; caches must know it.
    vary: str

    def load(self, request: HttpRequest) -> Loaded:
        """Join what *request* brings. It never raises because of what a client sent."""
        ...

    def save(
        self,
        request: HttpRequest,
        response: HttpResponseBase | None,
        loaded: Loaded,
        vector: Vector,
        *,
        again: bool = False,
    ) -> Loaded:
        """Let the next request bring *vector*, if that is news, and return what it would be loaded as.

        *again* means that it has to be stored in any case: what was loaded may have been taken away since.
        """
        ...


def lifetime() -> int:
    """Return after how many seconds an entry has passed: a replica further behind than it is read by nobody."""
    settings = conf.get_settings()
    return int(2 * max((settings.max_lag, *settings.max_lags.values()))) + CLOCKS_DIFFER


def now() -> int:
    """Return the whole seconds since 1970, which other machines understand too."""
    return int(timezone.now().timestamp())


def opened(vector: Vector) -> Vector:
    """Return *vector* for a caller of whom not everything is known yet: the primaries answer for a whole lifetime."""
    return replace(vector, open_until=now() + lifetime())


def begun(vector: Vector, *, suspicious: bool = False) -> Session:
    """Begin the session of a caller who brings *vector*: one that is still open reads the primaries."""
    if not vector.open_until:
        return Session.from_vector(vector, suspicious=suspicious)
    return Session.from_vector(replace(vector, open_until=0), suspicious=suspicious or vector.open_until > now())


def remaining(vector: Vector) -> int:
    """Return in how many seconds *vector* will have passed."""
    last = max((entry.since for entry in vector.entries.values()), default=0) + lifetime()
    return max(last, vector.open_until) - now() + 1


def is_news(before: Vector, after: Vector) -> bool:
    """Say whether *after* has to be stored where *before* is: it demands more, lives longer, or is nothing at all."""
    if not after:
        return bool(before)
    if after.open_until > before.open_until or not after.entries.keys() <= before.entries.keys():
        return True
    freshness = lifetime() * REFRESHED_AT
    return any(_demands_more(before.entries[alias], entry, freshness) for alias, entry in after.entries.items())


def _demands_more(before: Entry, after: Entry, freshness: float) -> bool:
    if before.required is UNKNOWN and after.required is not UNKNOWN:
        return True  # it is better known now
    if after.since - before.since > freshness or after.left != before.left:
        return True
    return before.joined(after) != replace(before, since=max(before.since, after.since))


def read(texts: Iterable[str]) -> tuple[Vector, int]:
    """Join the tokens *texts*, and count those that are none."""
    vectors, rejected = [Vector()], 0
    for text in texts:
        try:
            vectors.append(tokens.loads(text))
        except tokens.TokenInvalid:
            rejected += 1
    return reduce(Vector.joined, vectors), rejected
