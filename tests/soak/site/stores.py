"""Which store keeps the session of a request? The one that its client names, so that one site serves clients of all.

Each store has a middleware of its own, made as if the settings named that store: a store's own flags apply to its
clients only, and those that wait for no server do not wait for a thread either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import override_settings
from django.utils.decorators import sync_and_async_middleware

from shardkit.middleware import StickyPrimaryMiddleware

#: The headers of a request that say which store its client uses, and who the user is.
STORE_HEADER, USER_HEADER = "X-Soak-Store", "X-Soak-User"
#: The settings of each store; the caches are those of the run.
STORES: Final[Mapping[str, Mapping[str, str]]] = {
    "cookie": {"STICKY_STORE": "cookie"},
    "header": {"STICKY_STORE": "header"},
    "memcached": {"STICKY_STORE": "cache", "STICKY_CACHE": "memcached"},
    "redis": {"STICKY_STORE": "cache", "STICKY_CACHE": "redis"},
}
KEY: Final = "tests.soak.site.stores.user_of"

_Answer = Callable[[HttpRequest], Any]


def user_of(request: HttpRequest) -> str | None:
    """Say whose request it is, whatever device sends it."""
    return request.headers.get(USER_HEADER)


@sync_and_async_middleware
def by_client(get_response: _Answer) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Give each request the session that the store of its client keeps."""
    running = {name: options for name, options in STORES.items() if _is_running(options)}
    chosen = {name: _middleware(get_response, options) for name, options in running.items()}
    if not iscoroutinefunction(get_response):
        return lambda request: chosen[_store(request)](request)

    async def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await chosen[_store(request)](request)  # type: ignore[misc]
        return response

    return answer


def _is_running(options: Mapping[str, str]) -> bool:
    return options.get("STICKY_CACHE", "default") in settings.CACHES


def _middleware(get_response: _Answer, options: Mapping[str, str]) -> StickyPrimaryMiddleware:
    with override_settings(SHARDKIT={**settings.SHARDKIT, "STICKY_KEY": KEY, **options}):
        return StickyPrimaryMiddleware(get_response)


def _store(request: HttpRequest) -> str:
    return request.headers.get(STORE_HEADER, "cookie")
