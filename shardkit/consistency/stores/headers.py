"""How do tokens travel with a client that keeps no cookies?

A response that has news carries a token in a header; an empty one means that nothing is left to keep. The client sends
the header's last value with its next requests. A client that has several requests under way at a time keeps the values
of all their responses, and sends them joined by commas.
"""

from __future__ import annotations

import logging

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from shardkit import conf
from shardkit.consistency import tokens
from shardkit.consistency.stores.protocol import Loaded, is_news, opened, read
from shardkit.consistency.vectors import Vector

logger = logging.getLogger("shardkit.consistency")


class HeaderStore:
    """Keep tokens with an API client, in a header."""

    blocking = False
    works_without_response = False

    def __init__(self) -> None:
        self.vary = conf.get_settings().sticky["HEADER"]

    def load(self, request: HttpRequest) -> Loaded:
        """Join the tokens in the header of *request*."""
        texts = [text.strip() for text in request.headers.get(self.vary, "").split(",")]
        vector, rejected = read(filter(None, texts))
        if rejected:
            logger.warning(
                "%s of %s tokens in the header %s cannot be read, so the primaries answer: damaged, forged, or signed "
                "with a key that is not in SECRET_KEY_FALLBACKS.",
                *(rejected, len(texts), self.vary),
            )
        return Loaded(opened(vector) if rejected else vector, bool(rejected), bool(rejected))

    def save(
        self,
        request: HttpRequest,
        response: HttpResponseBase | None,
        loaded: Loaded,
        vector: Vector,
        *,
        again: bool = False,
    ) -> Loaded:
        """Let *response* carry *vector*, unless the client has it."""
        del request
        has_rejected = loaded.receipt
        if response is None or not (has_rejected or again or is_news(loaded.vector, vector)):
            return loaded
        response.headers[self.vary] = tokens.dumps(vector)
        return Loaded(vector, False)
