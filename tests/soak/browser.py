"""How does one user talk to the site? Over connections that stay open: as a browser with cookies, or as an API client.

An API client keeps the tokens of all responses, and lets a token go when a request that sent it gets another: that one
says it too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Final

#: After how many seconds a request is given up.
GIVES_UP: Final = 30.0
#: What carries the tokens of a client that keeps no cookies.
TOKEN_HEADER: Final = "X-Shardkit-Session"  # noqa: S105 - a name


class NoAnswer(Exception):
    """The server did not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose cookies are in the jar already."""

    status: int
    body: Any
    #: The characters of the cookies and tokens that the request sent.
    sent: int
    #: What sort of view it is of, as far as its client knows.
    view: str = ""


@dataclass
class Jar:
    """What one device of a user keeps. What is sent is what is here at that moment; what comes counts when it comes."""

    cookies: dict[str, tuple[str, float]] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()

    def header(self) -> str:
        now = time.monotonic()
        return "; ".join(f"{name}={value}" for name, (value, until) in self.cookies.items() if now < until)

    def take(self, line: str) -> None:
        """Take one Set-Cookie line."""
        for name, morsel in SimpleCookie(line).items():
            seconds = float(morsel["max-age"]) if morsel["max-age"] != "" else float("inf")
            if seconds <= 0:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = (morsel.coded_value, time.monotonic() + seconds)

    def exchange(self, sent: tuple[str, ...], token: str) -> None:
        """Put *token*, which may be empty, in the place of those that its request sent."""
        self.tokens = (*(each for each in self.tokens if each not in sent), *([token] if token else []))


@dataclass
class Door:
    """One server of the site, and the connections to it that nobody uses now."""

    port: int
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, method: str, path: str, jar: Jar, headers: Mapping[str, str]) -> Answer:
        """Send one request and take its response."""
        sent = {"Cookie": jar.header(), TOKEN_HEADER: ",".join(jar.tokens)}
        size = sum(map(len, sent.values()))
        told = {"Host": "localhost", "Content-Length": "0", **headers, **{name: it for name, it in sent.items() if it}}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        try:
            async with asyncio.timeout(GIVES_UP):
                status, body = await self._exchange("\r\n".join(lines).encode(), jar)
        except (OSError, EOFError, TimeoutError) as error:
            raise NoAnswer(type(error).__name__) from error
        try:
            return Answer(status, json.loads(body), size)
        except ValueError:
            return Answer(status, {"error": f"{status} {body[:80]!r}"}, size)

    async def _exchange(self, request: bytes, jar: Jar) -> tuple[int, bytes]:
        tokens = jar.tokens
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
        done = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
            for name, value in headers:  # as browsers do, before the body is there
                if name == "set-cookie":
                    jar.take(value)
                elif name == TOKEN_HEADER.lower():
                    jar.exchange(tokens, value)
            body = await _body(reader, dict(headers))
            done = dict(headers).get("connection", "") != "close"
            return int(head[0].split()[1]), body
        finally:
            if done:
                self.idle.append((reader, writer))
            else:
                writer.close()

    def close(self) -> None:
        for _reader, writer in self.idle:
            writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return await reader.read()
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)
