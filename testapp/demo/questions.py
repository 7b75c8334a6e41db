"""What is answered about rows of all shards, and how?

The answer is that of one database. Each question is asked as anybody would ask it, and shown with its route: the plan
that was made for it, why it was made, and which databases were asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Avg, Count, Exists, F, OuterRef
from django.db.models.expressions import OrderBy

from shardkit.routing.plan import Plan
from testapp.demo.browsing import Visitor
from testapp.demo.screen import Screen
from testapp.demo.watching import Seen, aliases_of, watching
from testapp.flights.models import Booking, Flight, Weather

#: How many characters of an answer are shown.
ANSWER_LENGTH: Final = 300
#: How many flights a page has.
PAGE_SIZE: Final = 3
#: How many characters of a cursor are shown: it grows with the values of the row that it names.
CURSOR_LENGTH: Final = 24


@dataclass(frozen=True)
class Question:
    """Code, and what it gives."""

    code: str
    ask: Callable[[], object]


def worst_first() -> OrderBy:
    """Sort by delay, cancelled flights last."""
    return F("dep_delay").desc(nulls_last=True)


def in_fog() -> Exists:
    """Say whether nobody saw far in the hour of a flight; the weather is kept by airport, the flight by plane."""
    hour = {name: OuterRef(name) for name in ("origin", "year", "month", "time_hour")}
    return Exists(Weather.objects.filter(**hour, visib__lt=3))


#: Each shard answers for its own rows, and the answers make one.
MERGED: Final = (
    Question("Flight.objects.count()", Flight.objects.count),
    Question(
        "Flight.objects.order_by(F('dep_delay').desc(nulls_last=True))[:3]",
        lambda: list(Flight.objects.order_by(worst_first())[:3]),
    ),
    Question(
        "Flight.objects.values('carrier__name').annotate(n=Count('id'), delay=Avg('dep_delay')).order_by('-n')[:3]",
        lambda: list(
            Flight.objects.values("carrier__name").annotate(n=Count("id"), delay=Avg("dep_delay")).order_by("-n")[:3]
        ),
    ),
)
#: Rows of several databases have to meet before anybody can judge.
GATHERED: Final = (
    Question(
        "Booking.objects.values_list('traveller__name', 'flight__carrier__name')",
        lambda: list(Booking.objects.values_list("traveller__name", "flight__carrier__name")),
    ),
    Question(
        "Flight.objects.filter(Exists(Weather.objects.filter(…its hour…, visib__lt=3))).aggregate(Avg('dep_delay'))",
        lambda: Flight.objects.filter(in_fog()).aggregate(Avg("dep_delay")),
    ),
)


def ask_all(screen: Screen, staff: Visitor) -> None:
    """Ask about flights, bookings and the weather, and open pages that do."""
    screen.say("Each shard answers for its own rows, and the answers are merged.")
    _show_all(screen, MERGED)
    screen.say("Here rows of several databases have to meet: those that matter are gathered.", apart=True)
    _show_all(screen, GATHERED)
    screen.say("A page asks several questions.", apart=True)
    _show_all(screen, _pages(staff))


def turn_pages(screen: Screen) -> None:
    """Read the flights page by page, there and back."""
    flights = Flight.objects.order_by("time_hour", "minute", "id")
    screen.say(
        "A cursor names a place in an order. Every page costs what the first one does, however far behind it is."
    )
    page: Any = None

    def turn(**where: str | None) -> list[Flight]:
        nonlocal page
        page = flights.cursor_page(size=PAGE_SIZE, **where)
        return list(page)

    _show(screen, Question(f"page = flights.cursor_page(size={PAGE_SIZE})", turn))
    for name in ("next_cursor", "previous_cursor"):
        cursor = getattr(page, name)
        if cursor is not None:
            code = f"flights.cursor_page(size={PAGE_SIZE}, cursor=page.{name})"
            screen.say(f"page.{name} is {_shortened(cursor, CURSOR_LENGTH)}")
            _show(screen, Question(code, lambda cursor=cursor: turn(cursor=cursor)))  # type: ignore[misc]


def _pages(staff: Visitor) -> Iterator[Question]:
    for address in (
        "/flights/?origin=JFK&sort=-delay",
        "/admin/flights/booking/?q=air",
        "/api/flights/delays/?by=dest",
    ):
        yield Question(f"GET {address}", lambda address=address: f"status {staff.get(address).status}")  # type: ignore[misc]


def _show_all(screen: Screen, questions: Iterable[Question]) -> None:
    for question in questions:
        _show(screen, question)


def _show(screen: Screen, question: Question) -> None:
    """Ask *question*, and tell what came of it."""
    with watching() as seen:
        answer = str(question.ask())
    screen.quote(question.code, _shortened(answer, ANSWER_LENGTH), is_bad=False)
    for line in _route(seen):
        screen.remark(line)
    asked = ", ".join(f"{alias} {seen.by_database[alias]}" for alias in screen.aliases if seen.by_database[alias])
    screen.remark(f"statements: {asked}")


def _route(seen: Seen) -> Iterator[str]:
    """Yield the plans over several databases with their reasons, and how many others there were."""
    plans = Counter(plan for _table, plan in seen.plans)
    several = [plan for plan in plans if len(aliases_of(plan)) > 1]
    for plan in several:
        times = f", {plans[plan]} times" if plans[plan] > 1 else ""
        yield f"{_kind(plan)} over {len(aliases_of(plan))} shards{times}: {plan.why}"
    if others := sum(times for plan, times in plans.items() if plan not in several):
        yield f"and {others} on one database"


def _kind(plan: Plan) -> str:
    return type(plan).__name__


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
