"""How do tokens travel in the cookies of a browser?

Each token has a cookie of its own, named after its signature: what is equal has the same name, and what differs never
has. A response puts its token beside those that other responses bring, and takes away those that its request brought,
which are joined in it. The new one stands first: nobody may see the jar between the two.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from shardkit import conf
from shardkit.consistency import tokens
from shardkit.consistency.stores.protocol import Loaded, is_news, opened, read, remaining
from shardkit.consistency.vectors import Vector

logger = logging.getLogger("shardkit.consistency")

#: How many characters of its signature name a cookie.
NAME_LENGTH: Final = 6
#: Browsers drop a cookie of more than 4,096 bytes without a word; this leaves room for its name and attributes.
MOST_BYTES: Final = 3_800


class Receipt(NamedTuple):
    """Which cookies a request brought."""

    names: tuple[str, ...] = ()
    #: One of them was no token.
    has_rejected: bool = False


NO_COOKIES: Final = Receipt()


class CookieStore:
    """Keep tokens in cookies, the default."""

    blocking = False
    works_without_response = False
    vary = "Cookie"

    def __init__(self) -> None:
        self._prefix = f"{conf.get_settings().sticky['COOKIE']}_"

    def load(self, request: HttpRequest) -> Loaded:
        """Join the tokens in the cookies of *request*."""
        names = tuple(name for name in request.COOKIES if name.startswith(self._prefix))
        if not names:
            return Loaded(Vector(), NO_COOKIES)
        vector, rejected = read(request.COOKIES[name] for name in names)
        if rejected:
            logger.warning(
                "%s of %s cookies of a session cannot be read, so the primaries answer: damaged, forged, or signed "
                "with a key that is not in SECRET_KEY_FALLBACKS.",
                *(rejected, len(names)),
                extra={"cookies": names},
            )
        return Loaded(opened(vector) if rejected else vector, Receipt(names, bool(rejected)), bool(rejected))

    def save(
        self,
        request: HttpRequest,
        response: HttpResponseBase | None,
        loaded: Loaded,
        vector: Vector,
        *,
        again: bool = False,
    ) -> Loaded:
        """Set the cookie of *vector* and take away those that were read, unless they say the same."""
        names, has_rejected = loaded.receipt
        if response is None or not (has_rejected or again or is_news(loaded.vector, vector)):
            return loaded
        token = self._fitting(vector)
        new = f"{self._prefix}{tokens.name_of(token)[:NAME_LENGTH]}" if token else ""
        if new:
            self._set(request, response, new, token, remaining(vector))
        for name in names:
            if name != new:
                self._delete(response, name)
        return Loaded(vector, Receipt((new,) if new else ()))

    def _fitting(self, vector: Vector) -> str:
        """Return the token of *vector*, or one that lets the primaries answer if no cookie holds it."""
        token = tokens.dumps(vector)
        if len(token) <= MOST_BYTES:
            return token
        logger.warning(
            "The positions of %s databases have %s bytes, which no browser keeps in a cookie, so the primaries answer. "
            "Set SHARDKIT['STICKY_STORE'] to 'cache'.",
            *(len(vector.entries), len(token)),
        )
        return tokens.dumps(opened(Vector()))

    def _set(self, request: HttpRequest, response: HttpResponseBase, name: str, token: str, seconds: int) -> None:
        response.set_cookie(
            name,
            token,
            max_age=seconds,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            secure=request.is_secure(),
            httponly=True,
            samesite=settings.SESSION_COOKIE_SAMESITE or None,
        )

    def _delete(self, response: HttpResponseBase, name: str) -> None:
        response.delete_cookie(
            name,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            samesite=settings.SESSION_COOKIE_SAMESITE or None,
        )
