"""What is answered about rows of all shards, and how?

The answer is that of one database. Each question is asked as anybody would ask it, and shown with its route: the plan
that was made for it, why it was made, and which databases were asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.db.models import Avg, Count, Exists, F, OuterRef, QuerySet
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
#: Pages with lists: of the site, of its admin, of its API.
PAGES: Final = (
    "/flights/?origin=JFK&sort=-delay",
    "/admin/flights/booking/?status__exact=booked",
    "/api/flights/delays/?by=dest",
)
#: How many characters of a cursor are shown: it grows with the values of the row that it names.
CURSOR_LENGTH: Final = 24


@dataclass(frozen=True)
class Question:
    """Code, and what it gives."""

    code: str
    ask: Callable[[], object]
    #: Says its own route, if it is a queryset that asks.
    queryset: QuerySet[Any, Any] | None = None


def rows_of(code: str, queryset: QuerySet[Any, Any]) -> Question:
    """Ask for the rows of *queryset*, anew each time."""
    return Question(code, lambda: list(queryset.all()), queryset)


def worst_first() -> OrderBy:
    """Sort by delay, cancelled flights last."""
    return F("dep_delay").desc(nulls_last=True)


def merged() -> Iterator[Question]:
    """Yield questions of which each shard answers for its own rows."""
    yield Question("Flight.objects.count()", Flight.objects.count)
    yield rows_of(
        "Flight.objects.order_by(F('dep_delay').desc(nulls_last=True))[:3]",
        Flight.objects.order_by(worst_first())[:3],
    )
    yield rows_of(
        "Flight.objects.values('carrier__name').annotate(n=Count('id'), delay=Avg('dep_delay')).order_by('-n')[:3]",
        Flight.objects.values("carrier__name").annotate(n=Count("id"), delay=Avg("dep_delay")).order_by("-n")[:3],
    )


def gathered() -> Iterator[Question]:
    """Yield questions for which rows of several databases have to meet before anybody can judge."""
    yield rows_of(
        "Booking.objects.filter(status='booked').values_list('traveller__name', 'flight__carrier__name')",
        Booking.objects.filter(status="booked").values_list("traveller__name", "flight__carrier__name"),
    )
    yield rows_of(
        "Flight.objects.filter(Exists(Weather.objects.filter(…its airport and hour…, wind_gust__gt=30)), day=1)[:3]",
        Flight.objects.filter(in_gusts(), day=1)[:3],
    )


def in_gusts() -> Exists:
    """Say whether gusts blew in the hour of a flight; the weather is kept by airport, the flight by plane."""
    hour = {name: OuterRef(name) for name in ("origin", "year", "month", "time_hour")}
    return Exists(Weather.objects.filter(**hour, wind_gust__gt=30))


def ask_all(screen: Screen, staff: Visitor) -> None:
    """Ask about flights, bookings and the weather, and open pages that do."""
    screen.say("Each shard answers for its own rows, and the answers are merged.")
    _show_all(screen, merged())
    screen.say("Here rows of several databases have to meet: those that matter are gathered.", apart=True)
    _show_all(screen, gathered())
    screen.say("A page asks several questions.", apart=True)
    _show_all(screen, _pages(staff))


def turn_pages(screen: Screen) -> None:
    """Read the flights page by page, there and back."""
    screen.say("A cursor names a place in an order. A page costs what the first one does, however far behind it is.")
    flights = Flight.objects.order_by("time_hour", "minute", "id")
    page = _turn(screen, flights, f"page = flights.cursor_page(size={PAGE_SIZE})", None)
    for name in ("next_cursor", "previous_cursor"):
        cursor = getattr(page, name)
        if cursor is not None:
            screen.say(f"page.{name} is {_shortened(cursor, CURSOR_LENGTH)}", apart=True)
            code = f"page = flights.cursor_page(size={PAGE_SIZE}, cursor=page.{name})"
            page = _turn(screen, flights, code, cursor)


def _turn(screen: Screen, flights: Any, code: str, cursor: str | None) -> Any:
    """Turn to the page of *cursor*, show it, and return it."""
    turned: list[Any] = []

    def turn() -> list[Flight]:
        turned.append(flights.cursor_page(size=PAGE_SIZE, cursor=cursor))
        return list(turned[0])

    _show(screen, Question(code, turn))
    return turned[0]


def _pages(staff: Visitor) -> Iterator[Question]:
    """Yield pages of the site, of its admin and of its API."""
    for address in PAGES:
        yield Question(f"GET {address}", partial(_status, staff, address))


def _status(staff: Visitor, address: str) -> str:
    return f"status {staff.get(address).status}"


def _show_all(screen: Screen, questions: Iterable[Question]) -> None:
    for question in questions:
        _show(screen, question)


def _show(screen: Screen, question: Question) -> None:
    """Ask *question*, and tell what came of it."""
    with watching() as seen:
        answer = str(question.ask())
    screen.quote(question.code, _shortened(answer, ANSWER_LENGTH), is_bad=False)
    routes = _plans(seen) if question.queryset is None else [str(_route(question.queryset))]
    for line in "\n".join(routes).splitlines():
        screen.remark(line)
    asked = ", ".join(f"{alias} {seen.by_database[alias]}" for alias in screen.aliases if seen.by_database[alias])
    screen.remark(f"Statements: {asked}")


def _route(queryset: Any) -> Plan:
    plan: Plan = queryset.route()
    return plan


def _plans(seen: Seen) -> Iterator[str]:
    """Yield the plans over several databases with their reasons, and how many others there were."""
    several = Counter(str(plan) for _table, plan in seen.plans if len(aliases_of(plan)) > 1)
    for plan, count in several.items():
        name, *reasons = plan.splitlines()
        times = f" ({count} times)" if count > 1 else ""
        yield "\n".join((f"{name}{times}", *reasons))
    if others := len(seen.plans) - several.total():
        yield f"Besides, {others} of one database"


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
