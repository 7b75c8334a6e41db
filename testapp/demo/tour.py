"""What happens on the site, and which databases take part?

Visitors and staff use the real pages. Nothing here tells a page where a row is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from testapp.demo.browsing import Answer, Visitor
from testapp.demo.dwellings import dwellings_of
from testapp.demo.screen import Screen
from testapp.demo.watching import Seen, watching
from testapp.flights.dataset.files import TABLES
from testapp.flights.models import Airline, Flight, Plane, Traveller

#: How many flights of the file are looked at for planes that live on different shards.
LOOKED_AT: Final = 200
#: How many planes the visitors look up.
PLANES: Final = 3
#: Where a flight, and the cancelling of a booking, are found.
FLIGHT: Final = r"/flights/\d+/"
CANCEL: Final = r"/bookings/\d+/cancel/"
#: Where the weather is measured.
AIRPORT: Final = "JFK"


@dataclass
class Tour:
    """Shows each step with its statements, and the rows that it made."""

    screen: Screen
    statements: Counter[str] = field(default_factory=Counter)
    steps: int = 0

    def step(self, title: str, visit: Callable[[], Answer]) -> Answer:
        """Do one thing on the site, and tell all about it."""
        with watching() as seen:
            answer = visit()
        self.steps += 1
        self.statements += seen.by_database
        self.screen.step(self.steps, title, str(answer))
        self.screen.table(("database", "statements", "why there"), _statements(seen))
        if rows := list(_new_rows(seen)):
            self.screen.table(("found in", "new row", "why there"), rows)
        return answer


@dataclass(frozen=True)
class Staff:
    """Who may open the admin."""

    name: str
    password: str


@dataclass(frozen=True)
class People:
    """Who has been here."""

    travellers: Sequence[Traveller]
    staff: Visitor
    #: The planes that were looked up.
    planes: Sequence[str]


def tour(screen: Screen, folder: Path, months: Collection[int], staff: Staff) -> People:
    """Use the site, and return who did."""
    told = Tour(screen)
    planes = planes_on_different_shards(folder, months)
    flights = look_around(told, planes)
    ada, bessie, charles = Visitor("Ada Lovelace"), Visitor("Bessie Coleman"), Visitor("Charles Lindbergh")
    travellers = [sign_up(told, visitor) for visitor in (ada, bessie, charles)]
    told.step(f"{ada.first_name} reads about a flight of {planes[0]}", lambda: ada.get(flights[0]))
    for visitor, which in ((ada, 0), (ada, -1), (charles, 0)):
        book(told, visitor, planes[which], flights[which])
    think_again(told, ada, month=min(months))
    admin = in_the_admin(told, staff, plane=planes[0])
    counts = ", ".join(f"{alias} {told.statements[alias]}" for alias in screen.aliases)
    screen.say(f"{told.steps} steps, {told.statements.total()} statements: {counts}.", apart=True)
    return People(travellers, admin, planes)


def look_around(told: Tour, planes: Sequence[str]) -> list[str]:
    """Look up *planes*, and return the address of a flight of each."""
    anybody = Visitor("anybody")
    told.step("Somebody opens the home page", lambda: anybody.get("/"))
    return [
        told.step(f"Somebody looks up the plane {plane}", partial(anybody.get, f"/planes/{plane}/")).first_link(FLIGHT)
        for plane in planes
    ]


def sign_up(told: Tour, visitor: Visitor) -> Traveller:
    """Let *visitor* become a traveller."""
    email = f"{visitor.first_name.lower()}@example.org"
    visitor.get("/sign-up/")
    told.step(
        f"{visitor.first_name} signs up",
        lambda: visitor.post("/sign-up/", name=visitor.name, email=email, home=AIRPORT),
    )
    return Traveller.objects.get(pk=visitor.client.session["traveller"])


def book(told: Tour, visitor: Visitor, plane: str, flight: str) -> None:
    """Let *visitor* book a seat in *plane* on the flight with this address."""
    visitor.get(flight)
    told.step(f"{visitor.first_name} books a flight of {plane}", lambda: visitor.post(f"{flight}book/", seat="12C"))


def think_again(told: Tour, visitor: Visitor, *, month: int) -> None:
    """Let *visitor* cancel a booking, and look at an airport."""
    first_name = visitor.first_name
    bookings = told.step(f"{first_name} reads the bookings", lambda: visitor.get("/bookings/"))
    told.step(f"{first_name} cancels one", lambda: visitor.post(bookings.first_link(CANCEL)))
    told.step(f"{first_name} reads about an airport", lambda: visitor.get(f"/airports/{AIRPORT}/?month={month}"))
    told.step(f"{first_name} makes it a favourite", lambda: visitor.post(f"/airports/{AIRPORT}/favourite/"))


def in_the_admin(told: Tour, staff: Staff, *, plane: str) -> Visitor:
    """Let the staff sign in, look at a row of one shard, and save one that every database keeps."""
    admin = Visitor(staff.name)
    admin.get("/admin/login/")
    told.step(
        "The staff signs in",
        lambda: admin.post("/admin/login/", username=staff.name, password=staff.password, next="/admin/"),
    )
    told.step("The staff opens a plane", lambda: admin.get(f"/admin/flights/plane/{plane}/change/"))
    airline = Airline.objects.all()[0]
    told.step(
        "The staff saves an airline",
        lambda: admin.post(
            f"/admin/flights/airline/{airline.carrier}/change/", carrier=airline.carrier, name=airline.name
        ),
    )
    return admin


def planes_on_different_shards(folder: Path, months: Collection[int]) -> Sequence[str]:
    """Choose planes from the file, of which each lives on another shard if there are such."""
    chosen: dict[object, str] = {}
    for tail in islice(_tail_numbers(folder, months), LOOKED_AT):
        chosen.setdefault(Plane(pk=tail).shard, tail)
    return list(chosen.values())[:PLANES]


def _tail_numbers(folder: Path, months: Collection[int]) -> Iterator[str]:
    table = next(table for table in TABLES if table.model is Flight)
    at = table.attnames.index("plane_id")
    return (row[at] for _line, row in table.rows(folder, months) if row[at] is not None)


def _statements(seen: Seen) -> Iterator[tuple[str, str, str]]:
    for statement, times in seen.statements.items():
        repeated = f", {times} times" if times > 1 else ""
        yield statement.alias, f"{statement.verb} {statement.table}{repeated}", statement.why


def _new_rows(seen: Seen) -> Iterator[tuple[str, str, str]]:
    for new in seen.new_rows:
        for dwelling in dwellings_of(new):
            yield ", ".join(dwelling.aliases) or "nowhere", dwelling.row, dwelling.why
