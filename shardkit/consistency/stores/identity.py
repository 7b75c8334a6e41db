"""Whose tokens are these, when the cache keeps them?

A store must know before the view runs, and so before anybody has loaded the session or the user from a database. A
session of Django has its key in a cookie, and the cache remembers which user it belongs to, from the response after
which that is so: `login()` and `logout()` give a session a new key. Where the cache does not know that, the primaries
answer one request.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.cache import BaseCache
from django.http import HttpRequest
from django.utils.module_loading import import_string

#: How long the cache remembers whose a session is, in seconds.
REMEMBERED_SECONDS: Final = 86_400

#: Says whose request it is, before and after the view; None when it is nobody's.
FindKey = Callable[[HttpRequest], str | None]


class Whose(NamedTuple):
    """Whose request it is."""

    #: Under what the cache keeps the tokens; None when it keeps none.
    key: str | None = None
    #: Something identifies the caller, and we cannot tell whom.
    is_unclear: bool = False
    #: Of which session it was said, and whether the key is that session's own.
    session: str | None = None
    is_session: bool = False


class BySession:
    """Each session of Django has its tokens."""

    def before(self, request: HttpRequest, cache: BaseCache) -> Whose:
        """Say whose *request* is, from what the client has sent."""
        del cache
        session = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if not session:
            return Whose(is_unclear="Authorization" in request.headers)
        return _of_session(session)

    def after(self, request: HttpRequest, cache: BaseCache, known: Whose) -> Whose:
        """Say whose *request* is, now that the view may have begun or ended a session."""
        del cache, known
        session = _session_key(request)
        return _of_session(session) if session else Whose()


class ByUser:
    """Each user has his tokens, whatever session he uses, and each session that is nobody's has its own."""

    def before(self, request: HttpRequest, cache: BaseCache) -> Whose:
        """Say whose *request* is, as far as the cache remembers whose its session is."""
        session = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if not session:
            return Whose(is_unclear="Authorization" in request.headers)
        key = cache.get(_named("whose", session))
        return Whose(key, is_unclear=key is None, session=session)

    def after(self, request: HttpRequest, cache: BaseCache, known: Whose) -> Whose:
        """Say whose *request* is, and let the cache remember it where it did not know."""
        session = _session_key(request)
        if not session:
            return Whose()
        if known.key is not None and session == known.session:
            return known
        user = request.session.get(SESSION_KEY)
        found = _of_session(session) if user is None else Whose(_named("user", str(user)), session=session)
        cache.set(_named("whose", session), found.key, REMEMBERED_SECONDS)
        return found


class ByFunction:
    """A function of the project says whose tokens they are."""

    def __init__(self, path: str) -> None:
        self._find: FindKey = import_string(path)

    def before(self, request: HttpRequest, cache: BaseCache) -> Whose:
        """Ask the function, before the view runs."""
        del cache
        key = self._find(request)
        return Whose(None if key is None else _named("key", str(key)))

    def after(self, request: HttpRequest, cache: BaseCache, known: Whose) -> Whose:
        """Ask it again, since the view may have changed who the caller is."""
        del known
        return self.before(request, cache)


def identity(option: str) -> BySession | ByUser | ByFunction:
    """Return what ``SHARDKIT["STICKY_KEY"]`` means."""
    match option:
        case "session":
            return BySession()
        case "user":
            return ByUser()
        case path:
            return ByFunction(path)


def _of_session(session: str) -> Whose:
    return Whose(_named("session", session), session=session, is_session=True)


def _session_key(request: HttpRequest) -> str | None:
    """Return the key of the session that the client will have after this response."""
    session = getattr(request, "session", None)
    return session.session_key if session is not None else request.COOKIES.get(settings.SESSION_COOKIE_NAME)


def _named(kind: str, text: str) -> str:
    """Name a key: hexadecimal digits suit every cache, and tell nobody a session's key."""
    return f"shardkit:{kind}:{sha256(text.encode()).hexdigest()[:32]}"
