"""How does each request of a user see what his earlier ones wrote and saw?

`StickyPrimaryMiddleware` stands first in MIDDLEWARE, at least before `SessionMiddleware`: what that writes when the
view is done belongs to the request too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from shardkit import conf
from shardkit.consistency.requests import Carried
from shardkit.consistency.session import session_scope
from shardkit.consistency.stores.choosing import chosen_store

__all__ = ["StickyPrimaryMiddleware"]


class StickyPrimaryMiddleware:
    """Give each request the session that its client brings, and let the response carry what is new."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response, self._store = get_response, chosen_store()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer *request* in its session; without replicas there is nothing to carry."""
        if not conf.get_settings().replicas:
            return cast("HttpResponseBase | Awaitable[HttpResponseBase]", self._get_response(request))
        return self._answer_async(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        carried, response = Carried(self._store, request), None
        with session_scope(carried.session):
            try:
                response = self._get_response(request)
            finally:  # what a view has written is written, also when it raised
                carried.save(response)
        return carried.followed(response)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        begin = sync_to_async(Carried) if self._store.blocking else _begin
        carried, response = await begin(self._store, request), None
        with session_scope(carried.session):
            try:
                response = await self._get_response(request)
            finally:
                await carried.asave(response)
        return carried.followed(response)


async def _begin(*brought: Any) -> Carried:
    return Carried(*brought)
