"""Does a browser's jar of tokens keep what its user wrote and saw, whichever response arrives first?

One browser sends requests whenever it likes, and each takes the tokens that are in the jar at that moment; other people
write too; replicas advance, are left and crash. A rule says what a server does; `session_model.explore` takes every
order. A state violates when a request has read less than some response that the browser had before it was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, reduce
from typing import Final, NamedTuple

from shardkit.consistency.stores.protocol import is_news
from shardkit.consistency.vectors import UNKNOWN, Entry, Vector
from shardkit.positions.position import Position
from shardkit.topology.names import Alias

#: What a token demands that nobody has written.
NOTHING: Final = Entry()


#: A failover adds so much to a position: the commits of one primary are counted below it.
TERM: Final = 100


class Point(int):
    """A position in a model: a count of commits, under one primary or the next."""

    __slots__ = ()

    def includes(self, other: Position) -> bool:
        return isinstance(other, Point) and self >= other and self.term == other.term

    def joined(self, other: Position) -> Point | None:
        return max(self, other) if isinstance(other, Point) and self.term == other.term else None

    def exceeds(self, other: Position) -> bool:
        return isinstance(other, Point) and self > other and self.term == other.term

    @property
    def term(self) -> int:
        return self // TERM

    @property
    def count(self) -> int:
        return self % TERM

    def dumps(self) -> bytes:
        return bytes([self])


class Rule(NamedTuple):
    """What a server does; the defaults are shardkit's rules."""

    #: A new token has a name of its own, and takes away exactly those that its request brought.
    appends: bool = True
    #: Who has read the primary demands of replicas what was there.
    minds_primary_reads: bool = True
    #: Who leaves a replica demands what the primary has by then.
    minds_leaving: bool = True
    #: What was demanded of a primary of the past is replaced by what a server has that was looked for since then.
    follows_anew: bool = True
    #: Who has left a replica reads no other one for a while, in ticks of the clock.
    stays_away: int = 1
    #: Requests that take so many ticks say again what they read.
    repeats: int = 1


class Replica(NamedTuple):
    """One replica: how far it is, and its life."""

    position: Point = Point(0)
    life: int = 0


class Request(NamedTuple):
    """A request and its response."""

    writes: bool
    #: ``waiting``, ``sent``, ``answered`` and ``done``.
    stage: str = "waiting"
    #: The tokens that it was sent with, what they say together, what the browser had seen by then, and when it was.
    brought: frozenset[Entry] = frozenset()
    before: Entry = NOTHING
    floor: int = 0
    sent: int = 0
    #: How often it still reads, and what its session demands.
    reads: int = 1
    entry: Entry = NOTHING
    #: The token of the response, if it has one, and whether those that were brought are gone with it.
    token: Entry | None = None
    replaces: bool = False
    #: What it wrote, or the most that it has read.
    value: int = 0
    #: It has read less than it had to.
    is_wrong: bool = False


class Jar(NamedTuple):
    """Everything at one moment."""

    rule: Rule
    requests: tuple[Request, ...]
    tokens: frozenset[Entry] = frozenset()
    #: The greatest of what was written and read by the responses that have arrived.
    seen: int = 0
    primary: Point = Point(0)
    replicas: tuple[Replica, ...] = (Replica(), Replica())
    #: How often somebody else may write, and a replica may crash.
    others: int = 0
    crashes: int = 0
    #: How often another primary may take over; the one of the past goes on to answer who is connected to it.
    failovers: int = 0
    #: Where the primary is that the monitor is connected to, if that is one of the past.
    former: Point | None = None
    #: What the clock shows, and how often it may still tick.
    clock: int = 1
    ticks: int = 0


def successors(jar: Jar) -> Iterator[Jar]:
    """Yield what can happen next."""
    for at, request in enumerate(jar.requests):
        for changed, moved in _moves(jar, request):
            requests = (*jar.requests[:at], moved, *jar.requests[at + 1 :])
            yield changed._replace(requests=tuple(sorted(requests, key=hash)))
    for at, replica in enumerate(jar.replicas):
        if replica.position < jar.primary:
            yield _with(jar, at, replica._replace(position=_next(replica.position, jar.primary)))
        if jar.crashes and replica.position:
            back = Replica(Point(replica.position - 1), replica.life + 1)
            yield _with(jar._replace(crashes=jar.crashes - 1), at, back)
    if jar.others:
        yield jar._replace(primary=Point(jar.primary + 1), others=jar.others - 1)
    if jar.ticks:
        yield jar._replace(clock=jar.clock + 1, ticks=jar.ticks - 1)
    yield from _failovers(jar)


def _next(position: Point, primary: Point) -> Point:
    """Follow: one commit more, or the new primary when all of the old one is there."""
    return Point(position + 1 if position.count < primary.count else primary)


def _failovers(jar: Jar) -> Iterator[Jar]:
    """Promote a replica that has everything; a new one takes its place. Then the monitor may find the new primary."""
    if jar.former is not None:
        yield jar._replace(former=None)
    for at, replica in enumerate(jar.replicas):
        if jar.failovers and replica.position == jar.primary:
            promoted = jar._replace(
                primary=Point(jar.primary + TERM),
                former=jar.primary if jar.former is None else jar.former,
                failovers=jar.failovers - 1,
            )
            yield _with(promoted, at, Replica(promoted.primary, replica.life + 1))


def violates(jar: Jar) -> bool:
    """Say whether a request has read less than the browser had seen when it was sent."""
    return any(request.is_wrong for request in jar.requests)


def _with(jar: Jar, at: int, replica: Replica) -> Jar:
    return jar._replace(replicas=(*jar.replicas[:at], replica, *jar.replicas[at + 1 :]))


def _moves(jar: Jar, request: Request) -> Iterator[tuple[Jar, Request]]:
    match request.stage:
        case "waiting":
            entry = _joined(jar.tokens).begun(jar.clock)
            yield (
                jar,
                request._replace(
                    stage="sent", brought=jar.tokens, before=entry, entry=entry, floor=jar.seen, sent=jar.clock
                ),
            )
        case "sent" if request.writes:
            written = jar._replace(primary=Point(jar.primary + 1))
            yield written, _answer(written, request._replace(entry=_demanding(request.entry, written.primary)))
        case "sent" if request.reads:
            for entry, value in _reads(jar, request.entry):
                yield jar, _found(request._replace(entry=entry, reads=request.reads - 1), value)
        case "sent":
            yield jar, _answer(jar, request)
        case "answered":
            tokens = jar.tokens if request.token is None or jar.rule.appends else frozenset()
            gone = request.brought if request.replaces else frozenset()
            new = frozenset({request.token or NOTHING} - {NOTHING})
            kept = jar._replace(tokens=frozenset(tokens - gone | new), seen=max(jar.seen, request.value))
            yield kept, Request(request.writes, "done", is_wrong=request.is_wrong, reads=0)


def _found(request: Request, value: int) -> Request:
    return request._replace(
        value=max(request.value, value), is_wrong=request.is_wrong or value < max(request.floor, request.value)
    )


@cache
def _joined(tokens: frozenset[Entry]) -> Entry:
    return reduce(Entry.joined, sorted(tokens, key=repr), NOTHING)


def _has(replica: Replica, entry: Entry) -> bool:
    return not isinstance(entry.required, Point) or replica.position.includes(entry.required)


def _demanding(entry: Entry, position: Point) -> Entry:
    return replace(entry, required=position)


def _reads(jar: Jar, entry: Entry) -> Iterator[tuple[Entry, int]]:
    """Yield how one read can go: what is demanded after it, and what it has read."""
    if entry.required is UNKNOWN:
        entry = _demanding(entry, jar.primary)
    sampled = jar.primary if jar.former is None else jar.former
    if isinstance(entry.required, Point) and not sampled.includes(entry.required):
        yield from _chosen(jar, _demanding(entry, jar.primary if jar.rule.follows_anew else sampled))
    yield from _chosen(jar, entry)


def _chosen(jar: Jar, entry: Entry) -> Iterator[tuple[Entry, int]]:
    """Yield the same for a demand that stays."""
    if entry.left and jar.clock >= entry.left + jar.rule.stays_away:
        entry = Entry(jar.primary)
    for at in _kept(jar, entry):
        yield replace(entry, left=0), jar.replicas[at].position.count
    read = entry if entry.left or not entry.replica else _left(jar, entry)
    if _kept(jar, entry) and not entry.left:
        yield _having_read_the_primary(jar, entry), jar.primary.count
    yield _having_read_the_primary(jar, read), jar.primary.count
    for at, replica in enumerate(jar.replicas):
        if not entry.left and _has(replica, read):
            yield Entry(read.required, f"{at}", f"{replica.life}"), replica.position.count


def _kept(jar: Jar, entry: Entry) -> list[int]:
    """Return the replica that is read already, if it can be read."""
    return [
        at
        for at, replica in enumerate(jar.replicas)
        if (f"{at}", f"{replica.life}") == (entry.replica, entry.life)
        if _has(replica, entry)
    ]


def _left(jar: Jar, entry: Entry) -> Entry:
    return Entry(jar.primary if jar.rule.minds_leaving else entry.required)


def _having_read_the_primary(jar: Jar, entry: Entry) -> Entry:
    return _demanding(entry, jar.primary) if jar.rule.minds_primary_reads else entry


def _answer(jar: Jar, request: Request) -> Request:
    """Write the response: a token where something is new, in place of those that the request brought."""
    entry, rule = request.entry, jar.rule
    if entry.required is UNKNOWN:
        entry = _demanding(entry, jar.primary)
    if rule.stays_away:
        entry = entry.parted(request.before, jar.clock, rule.stays_away)
    is_slow = bool(entry.replica) and jar.clock >= request.sent + rule.repeats
    is_told = _is_news(_joined(request.brought), entry) or is_slow
    value = jar.primary.count if request.writes else request.value
    return request._replace(stage="answered", token=entry if is_told else None, replaces=is_told, value=value)


@cache
def _is_news(before: Entry, after: Entry) -> bool:
    """Ask the stores' own rule."""
    return is_news(*(Vector({} if entry == NOTHING else {Alias("default"): entry}) for entry in (before, after)))
