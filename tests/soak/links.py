"""How does a replica reach its primary, and how is that broken?

A link is a port of this machine that leads to another one. What comes back through it can be late, stand still as on a
network that swallows packets, or be cut off.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from testapp.servers.process import free_port

CHUNK: Final = 2**16
#: How often, in seconds, what stands still looks whether it may go on.
LOOKS_AGAIN: Final = 0.02
#: How much may be under way on a link that is late.
CHUNKS: Final = 4096

_Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Links:
    """The links of one run, on one thread of their own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="links", daemon=True)
        self.thread.start()
        self.made: list[Link] = []

    def make(self, target: int) -> Link:
        """Open a link to the port *target*."""
        link = Link(self.loop, target)
        asyncio.run_coroutine_threadsafe(link.open(), self.loop).result(10)
        self.made.append(link)
        return link

    def close(self) -> None:
        """Close them all."""
        for link in self.made:
            asyncio.run_coroutine_threadsafe(link.shut(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@dataclass
class Link:
    """One link. Its methods may be called from any thread."""

    loop: asyncio.AbstractEventLoop
    target: int
    port: int = field(default_factory=free_port)
    #: How many seconds late everything comes that the primary sends.
    delay: float = 0.0
    #: Nothing passes, and nobody is told.
    is_stalled: bool = False
    #: Every connection is closed, and a new one is refused.
    is_cut: bool = False
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        self.is_cut = True
        asyncio.run_coroutine_threadsafe(self._drop(), self.loop).result(10)

    def restore(self) -> None:
        """Let everything pass again."""
        self.delay, self.is_cut, self.is_stalled = 0.0, False, False

    def lead_to(self, target: int) -> None:
        """Lead to another port from now on."""
        self.target = target
        asyncio.run_coroutine_threadsafe(self._drop(), self.loop).result(10)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._drop()

    async def _drop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry((reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # one of the two has gone, or the link was cut
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, near: _Pair) -> None:
        if self.is_cut:
            return
        far = await asyncio.open_connection("127.0.0.1", self.target)
        pumps = [
            asyncio.create_task(self._pump(near[0], far[1], is_late=False)),
            asyncio.create_task(self._pump(far[0], near[1], is_late=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            far[1].close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_late: bool) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS)
        sending = asyncio.create_task(self._send(queue, writer, is_late=is_late))
        try:
            while chunk := await reader.read(CHUNK):
                await queue.put((self.loop.time(), chunk))
            await queue.put((0.0, b""))
            await sending
        finally:
            sending.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await sending

    async def _send(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, *, is_late: bool
    ) -> None:
        while True:
            came, chunk = await queue.get()
            if not chunk:
                return
            while self.is_stalled or (is_late and self.loop.time() < came + self.delay):  # noqa: ASYNC110 - other threads
                await asyncio.sleep(LOOKS_AGAIN if self.is_stalled else min(LOOKS_AGAIN, self.delay / 4))
            writer.write(chunk)
            await writer.drain()
