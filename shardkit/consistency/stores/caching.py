"""How do tokens stay in a cache that all processes share, when all it has is get, set, add and incr?

The names of a user's tokens are never used twice, so nothing is overwritten, and what is taken away is what was read:

- A *mark*, the time and a random text, stands for all that the cache remembers of a user. Where there is none, the
  cache may have forgotten what it had: whoever finds that puts up a new one, and the primaries answer for a lifetime.
- Whoever saves takes the next *number* of this slot of time, and adds his token under the mark and that number.
- Whoever loads reads every number of the slots in which a token can still live. A number without a token is one that
  somebody has just taken, or that the cache has lost: the primaries answer this request.
- A token that was joined into a later one is replaced by a *pointer* to it, never deleted: a reader who saw the numbers
  before the later one was taken would find neither. One whose time is over is replaced by an empty pointer.

`tests/properties/test_session_model.py` takes every interleaving of this, and shows that each part is needed. What is
left: one of several memcached servers that loses the numbers of a user and not his mark loses them unnoticed.

What cannot be saved here travels in a cookie: that of a caller without a key, or while the cache does not answer.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from django.core.cache import BaseCache, caches
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from shardkit import conf
from shardkit.catalog.lookupcache import cache_errors
from shardkit.consistency import tokens
from shardkit.consistency.session import CLOCKS_DIFFER
from shardkit.consistency.stores.cookies import NO_COOKIES, CookieStore
from shardkit.consistency.stores.identity import REMEMBERED_SECONDS, Whose, identity
from shardkit.consistency.stores.protocol import Loaded, is_news, lifetime, now, opened, read
from shardkit.consistency.vectors import Vector

logger = logging.getLogger("shardkit.consistency")

#: Beyond so many numbers in two slots nobody reads them all: the primaries answer.
MOST_NUMBERS: Final = 200
#: How often a number is taken anew, when something stands there already: the cache has lost its count.
TRIES: Final = 3
#: What a pointer begins with, and no token.
POINTER: Final = ">"

NOTHING: Final = Vector()
NOTHING_BROUGHT: Final = Loaded(NOTHING, NO_COOKIES)


class Number(NamedTuple):
    """A number in a slot of time, each of which lasts a lifetime."""

    slot: int
    number: int

    def __str__(self) -> str:
        return f"{self.slot}.{self.number}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was read for a request."""

    whose: Whose
    mark: str = ""
    #: What the cache holds, and the numbers whose tokens say so.
    held: Vector = NOTHING
    numbers: tuple[Number, ...] = ()
    #: What its cookies brought.
    cookies: Loaded = NOTHING_BROUGHT


class CacheStore:
    """Keep tokens in one of the project's caches, by user, by session or by what a function says."""

    blocking = True
    works_without_response = True
    vary = "Cookie"

    def __init__(self) -> None:
        sticky = conf.get_settings().sticky
        self._alias, self._identity = sticky["CACHE"], identity(sticky["KEY"])
        self._cookies = CookieStore()

    def load(self, request: HttpRequest) -> Loaded:
        """Join what the cache holds for the caller, and what his cookies brought."""
        brought = self._cookies.load(request)
        try:
            receipt, is_sure = self._look(request)
        except cache_errors() as error:
            logger.warning("The cache %r fails, so the primaries answer: %r", self._alias, error)
            receipt, is_sure = Receipt(Whose()), False
        return Loaded(
            receipt.held.joined(brought.vector),
            replace(receipt, cookies=brought),
            suspicious=brought.suspicious or not is_sure,
        )

    def save(
        self,
        request: HttpRequest,
        response: HttpResponseBase | None,
        loaded: Loaded,
        vector: Vector,
        *,
        again: bool = False,
    ) -> Loaded:
        """Keep *vector* in the cache, else in a cookie."""
        receipt: Receipt = loaded.receipt
        try:
            saved = self._save(request, receipt, vector, again=again)
        except _failures() as error:
            logger.warning("The cache or the session fails, so positions go to a cookie: %r", error)
            saved = None
        # What the cookies brought is joined into what the cache has now.
        left = vector if saved is None else NOTHING
        cookies = self._cookies.save(request, response, receipt.cookies, left, again=again and bool(left))
        if response is None and is_news(cookies.vector, left):
            logger.warning("The positions of a session are lost: the cache takes none, and there is no response.")
        return Loaded(vector, replace(saved or receipt, cookies=cookies))

    @property
    def _cache(self) -> BaseCache:
        return caches[self._alias]

    def _look(self, request: HttpRequest) -> tuple[Receipt, bool]:
        """Return what the cache holds, and whether that is all that there was."""
        whose = self._identity.before(request, self._cache)
        if whose.key is None:
            return Receipt(whose), not whose.is_unclear
        slots = _living_slots()
        found = self._cache.get_many([_mark_name(whose.key), *(_count_name(whose.key, slot) for slot in slots)])
        mark = found.get(_mark_name(whose.key))
        if mark is None:
            mark = self._marked(whose.key, since=now())
            return Receipt(whose, mark, held=opened(NOTHING)), True
        counts = [int(found.get(_count_name(whose.key, slot), 0)) for slot in slots]
        if sum(counts) > MOST_NUMBERS:
            return Receipt(whose, mark), False
        return self._read(
            Receipt(whose, mark),
            [Number(slot, at) for slot, count in zip(slots, counts, strict=True) for at in range(1, count + 1)],
        )

    def _read(self, receipt: Receipt, numbers: list[Number]) -> tuple[Receipt, bool]:
        """Join the tokens at *numbers*, and see whether something is missing."""
        names = {_token_name(receipt, number): number for number in numbers}
        found: dict[str, str] = self._cache.get_many(names) if names else {}
        pointers = {text.removeprefix(POINTER) for text in found.values() if text.startswith(POINTER)}
        living = {name: text for name, text in found.items() if not text.startswith(POINTER)}
        vector, rejected = read(living.values())
        young_until = _born(receipt.mark) + lifetime()
        if young_until > now():
            vector = replace(vector, open_until=max(vector.open_until, young_until))
        is_whole = len(found) == len(names) and not rejected and pointers <= {"", *map(str, numbers)}
        return replace(receipt, held=vector, numbers=tuple(names[name] for name in living)), is_whole

    def _save(self, request: HttpRequest, receipt: Receipt, vector: Vector, *, again: bool) -> Receipt | None:
        """Return what the cache holds now, None when it does not hold *vector*."""
        whose = self._identity.after(request, self._cache, receipt.whose)
        is_same = whose.key == receipt.whose.key
        if whose.key is not None and whose.is_session and not is_same:
            # Nothing was ever stored of a session whose key this request has made, so nothing can be missing.
            self._marked(whose.key, since=0)
        if not again and not is_news(receipt.held if is_same else NOTHING, vector):
            return receipt
        if whose.key is None:
            return None
        number, saved = None, Receipt(whose, receipt.mark, vector)
        if vector:
            saved = replace(saved, mark=self._marked(whose.key, since=now()))
            number = self._append(saved, tokens.dumps(vector))
            if number is None:
                return None
        if is_same and saved.mark == receipt.mark:
            self._point(receipt, "" if number is None else str(number))
        return replace(saved, numbers=() if number is None else (number,))

    def _marked(self, key: str, *, since: int) -> str:
        """Return the mark that stands there, or put one up."""
        name, mark = _mark_name(key), f"{since}.{secrets.token_hex(4)}"
        found: str | None = self._cache.get(name)
        if found is None and not self._cache.add(name, mark, REMEMBERED_SECONDS):
            found = self._cache.get(name)
        return found or mark

    def _append(self, receipt: Receipt, token: str) -> Number | None:
        """Add *token* under the next number, and return that."""
        for _try in range(TRIES):
            number = self._next(str(receipt.whose.key))
            if number is not None and self._cache.add(_token_name(receipt, number), token, _kept_seconds()):
                return number
        logger.warning("The cache %r takes no token, so a session's positions go to a cookie.", self._alias)
        return None

    def _next(self, key: str) -> Number | None:
        slot = _slot()
        name = _count_name(key, slot)
        for _try in range(2):
            try:
                return Number(slot, self._cache.incr(name))
            except ValueError:  # nothing has been counted in this slot yet
                self._cache.add(name, 0, _kept_seconds())
        return None

    def _point(self, receipt: Receipt, target: str) -> None:
        """Replace exactly the tokens that were read."""
        names = [_token_name(receipt, number) for number in receipt.numbers]
        if names:
            self._cache.set_many(dict.fromkeys(names, POINTER + target), _kept_seconds())


def _failures() -> tuple[type[Exception], ...]:
    """Name what saving may raise; whose a session is, a database may have to say."""
    return (*cache_errors(), DatabaseError)


def _slot() -> int:
    return now() // lifetime()


def _living_slots() -> range:
    """Return the slots in which a token may still live, and the next one: another server's clock may be ahead."""
    return range(_slot() - 1, _slot() + 2)


def _kept_seconds() -> int:
    """Return how long the cache keeps what a slot needs: until nobody reads that slot."""
    return 3 * lifetime() + CLOCKS_DIFFER


def _mark_name(key: str) -> str:
    """Name a mark. Slots of another length are others, so a change of the settings begins anew."""
    return f"{key}:mark:{lifetime()}"


def _count_name(key: str, slot: int) -> str:
    return f"{key}:count:{slot}"


def _token_name(receipt: Receipt, number: Number) -> str:
    return f"{receipt.whose.key}:{receipt.mark}:{number}"


def _born(mark: str) -> int:
    return int(mark.partition(".")[0])
