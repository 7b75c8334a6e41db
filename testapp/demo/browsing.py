"""How does somebody use the site who has only a browser?

Each visitor has cookies of their own, follows the links of the pages, and posts forms with their CSRF tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from django.test import Client

from shardkit.conf import get_settings

#: The host that the site is asked by, as when it is opened after the demo.
HOST: Final = "localhost"
#: What a browser shows, or where it is sent.
FINE: Final = frozenset({200, 302})


class PageFailed(Exception):
    """The site answered with something that no visitor hopes for."""


@dataclass(frozen=True)
class Answer:
    """What the site said to one request."""

    request: str
    status: int
    location: str
    text: str

    def first_link(self, pattern: str) -> str:
        """Return the first address on the page that matches *pattern*."""
        found = re.search(rf'(?:href|action)="({pattern})"', self.text)
        if found is None:
            raise PageFailed(f"{self.request} shows no link like {pattern}.")
        return found[1]

    def __str__(self) -> str:
        return f"{self.request} → {self.status} {self.location}".rstrip()


@dataclass
class Visitor:
    """Somebody with a browser."""

    name: str
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True, SERVER_NAME=HOST))

    @property
    def first_name(self) -> str:
        """How the others call them."""
        return self.name.partition(" ")[0]

    def get(self, address: str) -> Answer:
        """Open a page."""
        return self._answer(f"GET {address}", self.client.get(address))

    def post(self, address: str, **values: object) -> Answer:
        """Send a form, as it was filled in on the page that was opened before."""
        token = self.client.cookies["csrftoken"].value
        return self._answer(f"POST {address}", self.client.post(address, {**values, "csrfmiddlewaretoken": token}))

    def tokens(self) -> list[tuple[str, str]]:
        """Return the cookies that say what the next pages must see: their names and values."""
        prefix = f"{get_settings().sticky['COOKIE']}_"
        return [(name, cookie.value) for name, cookie in self.client.cookies.items() if name.startswith(prefix)]

    def _answer(self, request: str, response: Any) -> Answer:
        for name in [name for name, cookie in self.client.cookies.items() if cookie["max-age"] == 0]:
            del self.client.cookies[name]  # as a browser does
        return _answer(request, response)


def _answer(request: str, response: Any) -> Answer:
    text = response.content.decode()
    if response.status_code not in FINE:
        raise PageFailed(f"{request} was answered with {response.status_code}.")
    if 'class="errorlist' in text:
        raise PageFailed(f"{request} was refused by the form.")
    return Answer(request, response.status_code, response.headers.get("Location", ""), text)
