"""How does a session get from where a job is handed over to where it runs?

Whoever hands the job over puts `carry()` into its envelope; whoever runs it does so inside `restored(token)`. That is
all that Celery and `django.tasks` need, and consumers of websockets and of messages, whatever their framework.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest

from shardkit import conf
from shardkit.consistency import tokens
from shardkit.consistency.pool import pool
from shardkit.consistency.reading import use_primary
from shardkit.consistency.session import Session, current, session_scope
from shardkit.consistency.stores.choosing import chosen_store
from shardkit.consistency.stores.protocol import begun, opened, read
from shardkit.consistency.vectors import UNKNOWN, Entry, Vector
from shardkit.replication.selection import Need
from shardkit.topology.names import Alias
from shardkit.topology.nodes import Role

logger = logging.getLogger("shardkit.consistency")

#: How long a *delayed* job lets replicas catch up, in seconds, or four samples of the monitor, if they take longer.
DELAY_SECONDS: Final = 1.0
#: How often, in seconds, a job that waits looks again.
LOOKS_AGAIN: Final = 0.02


class Consistency(StrEnum):
    """What a job must see."""

    #: It reads the primaries.
    ALWAYS = "always"
    #: It sees what its caller wrote and saw; the primaries answer what no replica has yet.
    STICKY = "sticky"
    #: The same, and it begins a little later, when replicas mostly have it.
    DELAYED = "delayed"


def delay_seconds() -> float:
    """Return how much later a *delayed* job begins."""
    return max(DELAY_SECONDS, 4 * conf.get_settings().lag_interval)


def carry() -> str:
    """Return the token of the current session, for `restored()`. It is empty when nothing is demanded.

    What the session has written in a transaction that is still open counts as well: a job that runs after the COMMIT
    sees it, though one that runs before cannot. Hand jobs over by `transaction.on_commit()`.
    """
    if not conf.get_settings().replicas:
        return ""
    session = current()
    pool().note_ended()
    # On an event loop positions stay unknown, and the primaries answer the job's first reads; acarry() asks them.
    session.settle_all()
    vector = _with_uncommitted(session)
    return tokens.dumps(opened(vector) if session.suspicious else vector)


async def acarry() -> str:
    """Do the same where an event loop runs."""
    return await sync_to_async(carry)()


def brought_by(cookies: Mapping[str, str], headers: Mapping[str, str] | None = None) -> str:
    """Return the session of a client, for `restored()`: what his *cookies* and *headers* bring to the settings' store.

    They are those of the handshake of a websocket, for example. A store that is a cache is asked, which takes a moment.
    """
    request = HttpRequest()
    request.COOKIES = dict(cookies)
    request.META = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in (headers or {}).items()}
    loaded = chosen_store().load(request)
    return tokens.dumps(opened(loaded.vector) if loaded.suspicious else loaded.vector)


def restored(token: str | None, consistency: str = Consistency.STICKY, *, wait: float | None = None) -> Restored:
    """Run the block in the session of *token*: one that `carry()` made, several with commas between, or ``""``.

    None is no token at all, from a caller who does not know of sessions: like a damaged one, it means the primaries.
    Replicas are given *wait* seconds to catch up; without it, a *delayed* block gives them a moment, and others none.
    What the block has written and seen, the session around it demands afterwards.
    """
    consistency = Consistency(consistency)
    if wait is None:
        wait = delay_seconds() if consistency is Consistency.DELAYED else 0.0
    return Restored(token, consistency, wait)


@dataclass(slots=True)
class Restored:
    """A block that runs in the session of its caller, sync or async."""

    token: str | None
    consistency: Consistency
    wait: float
    _session: Session | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Session:
        session = self._brought()
        for pause in self._pauses(session):
            time.sleep(pause)
        return self._begin(session)

    async def __aenter__(self) -> Session:
        session = self._brought()
        for pause in self._pauses(session):
            await asyncio.sleep(pause)
        return self._begin(session)

    def __exit__(self, *_raised: object) -> None:
        self._stack.close()
        if self._session is not None:
            current().join(self._session.vector())
            _hand_over_writes(self._session, current())

    async def __aexit__(self, *_raised: object) -> None:
        self.__exit__()

    def _brought(self) -> Session:
        if self.token is None:
            return Session(suspicious=True)
        vector, rejected = read(filter(None, (text.strip() for text in self.token.split(","))))
        if rejected:
            logger.warning(
                "The session of a job cannot be read, so the primaries answer: damaged, or signed elsewhere."
            )
        return begun(vector, suspicious=bool(rejected))

    def _pauses(self, session: Session) -> Iterator[float]:
        """Yield pauses until replicas have all that is demanded, or the time is up."""
        until = time.monotonic() + self.wait
        while self.consistency is not Consistency.ALWAYS and time.monotonic() < until and not is_caught_up(session):
            yield LOOKS_AGAIN

    def _begin(self, session: Session) -> Session:
        self._session = session
        if self.consistency is Consistency.ALWAYS:
            self._stack.enter_context(use_primary())
        return self._stack.enter_context(session_scope(session))


def is_caught_up(session: Session) -> bool:
    """Say whether some replica of each primary has what *session* demands; one that has not is looked at again."""
    entries = session.vector().entries
    behind = [alias for alias in entries if not (pool().why_unmeasured(alias) or _is_served(session, alias))]
    for alias in behind:
        pool().watch(alias)
        pool().kick(alias)
    return not behind and not session.suspicious


def _is_served(session: Session, alias: Alias) -> bool:
    need = session.need(alias)
    return isinstance(need, Need) and pool().choose(alias, need, frozenset()).role is Role.REPLICA


def _with_uncommitted(session: Session) -> Vector:
    vector = session.vector()
    entries = dict(vector.entries)
    for connection in connections.all(initialized_only=True):
        writers: Any = getattr(connection, "shardkit_writers", ())
        alias = Alias(connection.alias)
        if session in writers and alias in conf.get_settings().replicas:
            entries[alias] = replace(entries.get(alias, Entry()), required=UNKNOWN, since=int(session.today()))
    return Vector(entries, vector.open_until)


def _hand_over_writes(one: Session, other: Session) -> None:
    """Let *other* hear of the commits of transactions in which *one* has written, and which are still open."""
    for connection in connections.all(initialized_only=True):
        writers: set[Session] = getattr(connection, "shardkit_writers", set())
        if one in writers:
            writers.add(other)
