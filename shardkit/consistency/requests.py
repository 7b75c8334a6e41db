"""How does the session of a request begin with what its client brings, and end in what it gets?

The body of a streaming response is made after its headers have left, and may still write. A store that needs the
headers therefore tells the client at once that primaries shall answer for a lifetime, and the log names a stream that
outlives that. A store that does not need them saves what is new before each part of the body leaves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from shardkit.consistency.pool import pool
from shardkit.consistency.session import session_scope
from shardkit.consistency.stores.protocol import Store, begun, lifetime, now, opened
from shardkit.consistency.vectors import SHORT, UNKNOWN, Vector

logger = logging.getLogger("shardkit.consistency")


class Carried:
    """The session of one request, from what the client brought to what it gets."""

    def __init__(self, store: Store, request: HttpRequest) -> None:
        """Begin the session that *request* brings to *store*."""
        self._store, self._request, self._loaded = store, request, store.load(request)
        vector = self._loaded.vector
        self._open_until = vector.open_until if vector.open_until > now() else 0
        self.session = begun(vector, suspicious=self._loaded.suspicious)
        self._saved_changes, self._is_late, self._told = 0, False, time.monotonic()
        self._must_save = self._loaded.suspicious or any(entry.required is UNKNOWN for entry in vector.entries.values())

    def save(self, response: HttpResponseBase | None) -> None:
        """Let the next request bring what this one wrote and saw; *response* is None when there is none any more."""
        loaded, is_stream = self._loaded, _is_stream(response)
        if not self._is_unchanged(response) and (response is not None or self._store.works_without_response):
            vector, again = self._vector(is_stream=is_stream), self._is_overdue()
            self._saved_changes, self._told, self.session.has_read = self.session.changes, time.monotonic(), False
            self._loaded = self._store.save(self._request, response, loaded, vector, again=again)
        if response is not None and (loaded.vector or loaded.suspicious or self._loaded is not loaded):
            patch_vary_headers(response, [self._store.vary])

    async def asave(self, response: HttpResponseBase | None) -> None:
        """Do the same on a thread, if it has to wait."""
        if not self._is_unchanged(response) and (self._store.blocking or self._has_unknown()):
            await sync_to_async(self.save)(response)
        else:
            self.save(response)

    def followed(self, response: HttpResponseBase) -> HttpResponseBase:
        """Let the body of *response* be made in the session, should it be made later."""
        if _is_stream(response):
            stream = cast("StreamingHttpResponse", response)
            parts: Any = stream.streaming_content
            stream.streaming_content = self._aparts(parts) if stream.is_async else self._parts(parts)
        return response

    def _is_unchanged(self, response: HttpResponseBase | None) -> bool:
        """Say whether the client has all that is to be known: what has passed goes by itself when its time is over."""
        return not (self._changes() or self._must_save or _is_stream(response) or self._is_overdue())

    def _changes(self) -> int:
        """Count what the session has noted, up to what it has just written."""
        pool().note_ended()
        return self.session.changes

    def _is_overdue(self) -> bool:
        """Say whether a replica was read for so long that another request may have told the client it was left."""
        return self.session.has_read and time.monotonic() > self._told + SHORT

    def _has_unknown(self) -> bool:
        """Say whether a primary will be asked how far it is."""
        return any(entry.required is UNKNOWN for entry in self.session.vector().entries.values())

    def _vector(self, *, is_stream: bool) -> Vector:
        self.session.settle_all()
        vector = replace(self.session.vector().parted(self._loaded.vector, now()), open_until=self._open_until)
        if not is_stream or self._store.works_without_response:
            return vector
        vector = opened(vector)
        self._open_until = vector.open_until
        return vector

    def _parts(self, content: Iterator[bytes]) -> Iterator[bytes]:
        """Make each part in the session, and save what is new before the part leaves."""
        parts = iter(content)
        while True:
            with session_scope(self.session):
                part = next(parts, None)
            if self._has_news():
                self.save(None)
            if part is None:
                return
            yield part

    async def _aparts(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Do the same with parts that are waited for."""
        parts = aiter(content)
        while True:
            with session_scope(self.session):
                part = await anext(parts, None)
            if self._has_news():
                await sync_to_async(self.save)(None)
            if part is None:
                return
            yield part

    def _has_news(self) -> bool:
        """Say whether the last part wrote or saw something, which can still be saved."""
        if self._changes() == self._saved_changes and not self._is_overdue():
            return False
        if self._store.works_without_response:
            return True
        self._saved_changes = self.session.changes
        if now() > self._open_until - lifetime() // 2 and not self._is_late:
            self._is_late = True
            logger.warning(
                "The stream of %s writes or reads %s s after its headers left, so the next requests may not see that. "
                "Set SHARDKIT['STICKY_STORE'] to 'cache', which can be told later.",
                *(self._request.path, now() - self._open_until + lifetime()),
            )
        return False


def _is_stream(response: HttpResponseBase | None) -> bool:
    """Say whether the body of *response* is made later; a file is there already."""
    return response is not None and response.streaming and not isinstance(response, FileResponse)
