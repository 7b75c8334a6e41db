"""What do the users of a run do, and what do they find?

A population is users who share rows and the rule by which the site reads for them. Populations of one run have the
same faults at the same time, so that rules can be compared. Within one, users take the stores of sessions in turn.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final

from tests.soak.browser import Answer, Door, Jar, NoAnswer
from tests.soak.checker import Checker, Floor, Violation

logger = logging.getLogger(__name__)

#: How often a run tells how far it is, in seconds.
TELLS_EVERY: Final = 30.0
#: How many events of each user are remembered for the report of a violation.
REMEMBERED: Final = 12
#: The share of reads that ask for a few rows only; the others ask for all rows of their population.
FEW: Final = 0.3
#: The rule that leaves it to shardkit, whose users may have any store.
POSITIONS: Final = "positions"
#: Stores whose users see on one device what they wrote on another. One that forgets needs the cookies of all devices.
STORES_OF_DEVICES: Final = frozenset({"redis"})
#: What each request says of its client.
STORE_HEADER, USER_HEADER = "X-Soak-Store", "X-Soak-User"
STORES: Final = ("cookie", "header", "memcached", "redis")
_NUMBERS: Final = re.compile(r"\d+(?:[-/.][\dA-F]+)*")


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How the users of a population behave."""

    users: int = 24
    #: The share of users who write at all, and the share of writes in what these do.
    writers: float = 0.5
    writes: float = 0.2
    #: How often a write saves an instance, runs raw SQL, writes to two databases, to the default one, and in a stream.
    ways: tuple[int, ...] = (60, 20, 8, 10, 2)
    #: Requests of one user that may be under way at once.
    tabs: int = 2
    #: Seconds between two requests of a tab, on average.
    pause: float = 0.0
    #: The share of requests that uvicorn answers instead of gunicorn.
    asgi: float = 0.25
    #: The share of these that a synchronous view answers.
    synchronous: float = 0.2
    #: Which stores keep their sessions; rules that know nothing of positions have cookies.
    stores: tuple[str, ...] = ("cookie",)
    #: The share of requests after which a user is away for longer than a token lives, or comes back as somebody else.
    away: float = 0.0
    away_seconds: float = 13.0
    forgets: float = 0.002


@dataclass
class Gate:
    """Lets writes pass, and tells when none is under way. Used from two threads."""

    is_closed: bool = False
    under_way: int = 0
    _lock: Lock = field(default_factory=Lock)

    def enter(self) -> bool:
        with self._lock:
            self.under_way += not self.is_closed
            return not self.is_closed

    def leave(self) -> None:
        with self._lock:
            self.under_way -= 1

    def close(self) -> None:
        """Let nobody in, and wait until everybody is out."""
        with self._lock:
            self.is_closed = True
        while self.under_way:
            time.sleep(0.01)

    def open(self) -> None:
        self.is_closed = False


def _tallies() -> defaultdict[str, Counter[str]]:
    return defaultdict(Counter)


@dataclass
class Population:
    """Users of one rule, and what they found."""

    rule: str
    travellers: list[int]
    groups: list[int]
    habits: Habits
    checker: Checker = field(default_factory=Checker)
    #: Which role answered for how many reads of one primary each, and why.
    roles: Counter[str] = field(default_factory=Counter)
    #: What was counted for each store, and for synchronous and asynchronous views.
    stores: defaultdict[str, Counter[str]] = field(default_factory=_tallies)
    views: defaultdict[str, Counter[str]] = field(default_factory=_tallies)
    whys: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    stories: list[dict[str, Any]] = field(default_factory=list)
    cookie_bytes: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class User:
    """One user, who is a session of the site."""

    population: Population
    doors: tuple[Door, Door]
    gate: Gate
    name: str
    own: int
    is_writer: bool
    dice: random.Random
    store: str = "cookie"
    times: int = 0
    #: What each device keeps.
    jars: list[Jar] = field(default_factory=list)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    async def live(self, until: float) -> None:
        """Go on until then, with as many requests at once as there are tabs."""
        self.jars = self._new_jars()
        await asyncio.gather(*(self._tab(until, each) for each in range(self.population.habits.tabs)))

    def _new_jars(self) -> list[Jar]:
        """Make what each tab has: one jar, or a device of its own where the store knows users."""
        tabs = self.population.habits.tabs
        return [Jar() for _ in range(tabs)] if self.store in STORES_OF_DEVICES else [Jar()] * tabs

    async def _tab(self, until: float, tab: int) -> None:
        habits = self.population.habits
        await asyncio.sleep(self.dice.random() * (habits.pause or 0.2))
        while time.monotonic() < until:
            try:
                await self._act(tab)
            except NoAnswer as error:
                self.population.errors[f"no answer: {error}"] += 1
                await asyncio.sleep(0.2)
            if self.dice.random() < habits.forgets:
                self._forget()
            if self.dice.random() < habits.away:
                await asyncio.sleep(min(habits.away_seconds, max(0.0, until - time.monotonic())))
            if habits.pause:
                await asyncio.sleep(self.dice.expovariate(1 / habits.pause))

    def _forget(self) -> None:
        """Come back as somebody else, to whom nothing was promised."""
        self.times += 1
        self.name, self.jars = f"{self.name.partition('.')[0]}.{self.times}", self._new_jars()
        self.events.clear()

    async def _act(self, tab: int) -> None:
        if self.is_writer and self.dice.random() < self.population.habits.writes and self.gate.enter():
            try:
                return await self._write(tab)
            finally:
                self.gate.leave()
        return await self._read(tab)

    async def _write(self, tab: int) -> None:
        name = self.name
        how = self.dice.choices(["orm", "raw", "both", "group", "stream"], self.population.habits.ways)[0]
        pk = self.own if self.dice.random() < 0.8 else self.dice.choice(self.population.travellers)
        group = self.dice.choice(self.population.groups)
        rows = {"both": f"t={pk}&g={group}", "group": f"g={group}"}.get(how, f"t={pk}")
        answer = await self._ask("POST", "write", f"rule={self.population.rule}&how={how}&{rows}", self.jars[tab])
        if answer is not None and self.name == name:
            self.population.stores[self.store]["writes"] += 1
            self.population.checker.written(name, answer.body["rows"])
            self._remember(f"wrote ({how}) {answer.body['rows']}")

    async def _read(self, tab: int) -> None:
        name = self.name
        others = self.population.travellers
        travellers = {self.own, *(self.dice.sample(others, 3) if self.dice.random() < FEW else others)}
        groups = self.population.groups if self.dice.random() < 0.2 else []
        floor = self.population.checker.starts(name, [*(f"t{pk}" for pk in travellers), *(f"g{pk}" for pk in groups)])
        began = time.monotonic()
        query = f"t={','.join(map(str, travellers))}&g={','.join(map(str, groups))}"
        answer = await self._ask("GET", "read", f"rule={self.population.rule}&{query}", self.jars[tab])
        if answer is None or self.name != name:
            return
        self.population.seconds.append(time.monotonic() - began)
        found = self.population.checker.ends(floor, answer.body["rows"])
        self._count(answer, floor, found)
        if found:
            self._tell(found, floor, answer, began)
        own = answer.body["rows"].get(f"t{self.own}")
        self._remember(f"read t{self.own}={own} began {began % 1000:.3f} {answer.body['told']}")

    async def _ask(self, method: str, view: str, query: str, jar: Jar) -> Answer | None:
        habits = self.population.habits
        is_asgi = self.dice.random() < habits.asgi
        waits = is_asgi and self.population.rule == POSITIONS and self.dice.random() >= habits.synchronous
        headers = {STORE_HEADER: self.store, USER_HEADER: self.name}
        path = f"/soak/{'a' if waits else ''}{view}?{query}"
        answer = await self.doors[is_asgi].ask(method, path, jar, headers)
        answer = replace(answer, view=("async" if waits else "sync under ASGI") if is_asgi else "sync")
        self.population.cookie_bytes = max(self.population.cookie_bytes, answer.sent)
        if answer.status == 200:
            return answer
        self.population.stores[self.store]["server errors"] += answer.status == 500  # not what views tell, 503
        self.population.errors[_without_numbers(f"{method} {answer.body['error']}")[:120]] += 1
        await asyncio.sleep(0.05)
        return None

    def _count(self, answer: Answer, floor: Floor, found: list[Violation]) -> None:
        for tally in (self.population.stores[self.store], self.population.views[answer.view]):
            tally["reads"] += 1
            tally["rows"] += len(floor.rows)
            tally["checked"] += len(floor.wrote) + len(floor.saw)
            tally["violations"] += len(found)
        for _primary, alias, why in answer.body["told"]:
            role = "replica" if "_replica_" in alias else "primary"
            self.population.roles[role] += 1
            self.population.whys[f"{role}: {_without_numbers(why)}"] += 1

    def _remember(self, event: str) -> None:
        self.events.append(f"{time.monotonic() % 1000:.3f} {event}")

    def _tell(self, found: list[Violation], floor: Floor, answer: Answer, began: float) -> None:
        if len(self.population.stories) < 40:
            told = [f"{each.kind}: {each.row} is {each.found}, must be {each.least}" for each in found]
            self.population.stories.append(
                {
                    "at": round(time.monotonic() % 1000, 3),
                    "began": round(began % 1000, 3),
                    "user": floor.user,
                    "store": self.store,
                    "view": answer.view,
                    "found": told,
                    "told": answer.body["told"],
                    "before": list(self.events),
                }
            )


def _without_numbers(text: str) -> str:
    return _NUMBERS.sub("N", text)


async def busy(populations: list[Population], ports: tuple[int, int], gate: Gate, *, seconds: float, seed: int) -> None:
    """Let all users go on for so long."""
    doors = (Door(ports[0]), Door(ports[1]))
    until = time.monotonic() + seconds
    users = [user for number, each in enumerate(populations) for user in _users(each, number, doors, gate, seed)]
    telling = asyncio.create_task(_tell_progress(populations))
    try:
        await asyncio.gather(*(user.live(until) for user in users))
    finally:
        telling.cancel()
        for door in doors:
            door.close()


async def _tell_progress(populations: list[Population]) -> None:
    while True:
        await asyncio.sleep(TELLS_EVERY)
        for each in populations:
            counts = each.checker.counts
            wrong = counts["violations: read your writes"] + counts["violations: monotonic"]
            told = (each.rule, counts["reads"], counts["writes"], counts["rows"], wrong, each.errors.total())
            logger.info("%s: %s reads, %s writes, %s rows read, %s violations, %s errors", *told)


def _users(population: Population, number: int, doors: tuple[Door, Door], gate: Gate, seed: int) -> list[User]:
    """Make the users. Those of each population throw the same dice."""
    habits = population.habits
    made = []
    stores = habits.stores if population.rule == POSITIONS else ("cookie",)
    for each in range(habits.users):
        own = population.travellers[each % len(population.travellers)]
        is_writer = each < round(habits.users * habits.writers)
        dice = random.Random(f"{seed} {each}")  # noqa: S311 - has to be repeated
        store = stores[each % len(stores)]
        made.append(User(population, doors, gate, f"u{number}x{each}", own, is_writer, dice, store))
    return made
