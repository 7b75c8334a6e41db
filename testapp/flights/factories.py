"""What does an ordinary row of each table look like?"""

# factory-boy says it is typed, and half of it is.
# mypy: allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from factory.declarations import Iterator, LazyAttribute, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory
from factory.faker import Faker
from factory.helpers import post_generation

from testapp.flights.models import Airline, Airport, AuditLog, Booking, Flight, Plane, Traveller, Weather

#: The factories invent the year that the files are about.
NEW_YEAR = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
#: New York is so far behind UTC in winter.
BEHIND_UTC = dt.timedelta(hours=5)


class AirlineFactory(DjangoModelFactory[Airline]):
    class Meta:
        model = Airline
        django_get_or_create = ("carrier",)

    carrier = "UA"
    name = "United Air Lines Inc."


class AirportFactory(DjangoModelFactory[Airport]):
    class Meta:
        model = Airport
        django_get_or_create = ("faa",)

    faa = Iterator(["EWR", "JFK", "LGA"])
    name = LazyAttribute(lambda airport: f"{airport.faa} Airport")
    lat = 40.6925
    lon = -74.168667
    alt = 18
    tz = -5
    dst = "A"
    tzone = "America/New_York"


class PlaneFactory(DjangoModelFactory[Plane]):
    class Meta:
        model = Plane

    tailnum = Sequence(lambda number: f"N{number:05}")
    year = 1999
    type = "Fixed wing multi engine"
    manufacturer = "BOEING"
    model = "737-824"
    engines = 2
    seats = 149
    engine = "Turbo-fan"


class FlightFactory(DjangoModelFactory[Flight]):
    class Meta:
        model = Flight

    class Params:
        #: The scheduled departure, in New York.
        leaves = Sequence(lambda number: NEW_YEAR + dt.timedelta(hours=5 + number % 18, days=number // 18))

    year = LazyAttribute(lambda flight: flight.leaves.year)
    month = LazyAttribute(lambda flight: flight.leaves.month)
    day = LazyAttribute(lambda flight: flight.leaves.day)
    hour = LazyAttribute(lambda flight: flight.leaves.hour)
    minute = LazyAttribute(lambda flight: flight.leaves.minute)
    time_hour = LazyAttribute(lambda flight: flight.leaves.replace(minute=0) + BEHIND_UTC)
    sched_dep_time = LazyAttribute(lambda flight: flight.hour * 100 + flight.minute)
    dep_time = SelfAttribute("sched_dep_time")
    dep_delay = 0
    sched_arr_time = LazyAttribute(lambda flight: (flight.sched_dep_time + 300) % 2400)
    arr_time = SelfAttribute("sched_arr_time")
    arr_delay = 0
    carrier = SubFactory(AirlineFactory)
    number = Sequence(lambda number: 1 + number % 8500)
    plane = SubFactory(PlaneFactory)
    origin = SubFactory(AirportFactory)
    dest = SubFactory(AirportFactory, faa="IAH", name="George Bush Intercontinental", tzone="America/Chicago")
    air_time = 227
    distance = 1400


class WeatherFactory(DjangoModelFactory[Weather]):
    class Meta:
        model = Weather

    class Params:
        #: The hour of the reading, in New York.
        at = Sequence(lambda number: NEW_YEAR + dt.timedelta(hours=number))

    origin = SubFactory(AirportFactory)
    year = LazyAttribute(lambda weather: weather.at.year)
    month = LazyAttribute(lambda weather: weather.at.month)
    day = LazyAttribute(lambda weather: weather.at.day)
    hour = LazyAttribute(lambda weather: weather.at.hour)
    time_hour = LazyAttribute(lambda weather: weather.at + BEHIND_UTC)
    temp = 39.02
    dewp = 26.06
    humid = 59.37
    wind_dir = 270
    wind_speed = 10.357019999999999
    precip = 0.0
    pressure = 1012.0
    visib = 10.0


class TravellerFactory(DjangoModelFactory[Traveller]):
    class Meta:
        model = Traveller
        skip_postgeneration_save = True

    name = Faker("name")
    email = Sequence(lambda number: f"traveller{number}@example.org")
    home = SubFactory(AirportFactory)

    @post_generation
    def favourites(self: Traveller, create: bool, airports: Any, **_extra: Any) -> None:  # noqa: FBT001 - factory-boy's signature
        if create and airports:
            self.favourites.add(*airports)


class BookingFactory(DjangoModelFactory[Booking]):
    class Meta:
        model = Booking

    traveller = SubFactory(TravellerFactory)
    flight = SubFactory(FlightFactory)
    seat = Sequence(lambda number: f"{1 + number // 6 % 30}{'ABCDEF'[number % 6]}")
    price = Decimal("183.00")
    status = Booking.Status.BOOKED


class AuditLogFactory(DjangoModelFactory[AuditLog]):
    class Meta:
        model = AuditLog

    action = "booked"
