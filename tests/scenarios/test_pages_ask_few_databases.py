"""Does each page of the site ask only the databases that hold its rows, although no view says which?"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from testapp import flights
from testapp.flights.factories import AirportFactory, BookingFactory, FlightFactory, TravellerFactory, WeatherFactory
from testapp.flights.models import Traveller

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.skipif(not settings.SHARDKIT, reason="one plain database is asked for everything"),
]

#: What a developer writes without a thought of shards.
UNCHANGED = ["admin.py", "api", "factories.py", "forms.py", "templates", "urls.py", "views", "visitors.py"]


@pytest.fixture
def me(client: Client) -> Traveller:
    """Sign a traveller in."""
    traveller = TravellerFactory.create()
    client.post("/sign-in/", {"number": traveller.pk, "email": traveller.email})
    return traveller


def shards(statements) -> set[str]:
    """Return the shards among the databases of *statements*."""
    return {alias for alias in statements if alias.startswith("shard_")}


def test_the_page_of_a_plane_asks_the_shard_of_the_plane(client: Client, counting):
    flight = FlightFactory.create()

    with counting() as statements:
        client.get(f"/planes/{flight.plane_id}/")

    assert shards(statements) == {flight.shard}


def test_the_page_of_a_flight_asks_the_shards_of_the_flight_and_of_the_weather(client: Client, counting):
    flight = FlightFactory.create(leaves=dt.datetime(2013, 1, 5, 17, tzinfo=dt.UTC))
    weather = WeatherFactory.create(origin=flight.origin, at=dt.datetime(2013, 1, 5, 17, tzinfo=dt.UTC))

    with counting() as statements:
        client.get(f"/flights/{flight.pk}/")

    assert shards(statements) == {flight.shard, weather.shard}


def test_the_page_of_an_airport_asks_the_shard_of_the_weather(client: Client, counting):
    weather = WeatherFactory.create(origin=AirportFactory.create(faa="JFK"))

    with counting() as statements:
        client.get("/airports/JFK/", {"month": weather.month})

    assert shards(statements) == {weather.shard}


def test_the_home_page_asks_no_shard(client: Client, counting):
    with counting() as statements:
        client.get("/")

    assert set(statements) == {"default"}


def test_signing_up_asks_one_shard_and_the_audit_log(client: Client, counting):
    AirportFactory.create(faa="JFK")

    with counting() as statements:
        client.post("/sign-up/", {"name": "Zoë", "email": "zoe@example.org", "home": "JFK"})

    me = Traveller.objects.get(pk=client.session["traveller"])
    assert set(statements) == {"default", me.shard, "audit"}


def test_booking_asks_the_shards_of_the_traveller_and_of_the_flight_and_the_audit_log(
    client: Client, me: Traveller, counting
):
    flight = FlightFactory.create()

    with counting() as statements:
        client.post(f"/flights/{flight.pk}/book/", {"seat": "12C"})

    assert set(statements) == {"default", me.shard, flight.shard, "audit"}


def test_a_booking_lives_where_its_traveller_lives(me: Traveller):
    bookings = BookingFactory.create_batch(8, traveller=me)

    assert {booking.shard for booking in bookings} == {me.shard}


def test_my_bookings_ask_my_shard_and_those_of_the_flights(client: Client, me: Traveller, counting):
    bookings = BookingFactory.create_batch(2, traveller=me)

    with counting() as statements:
        client.get("/bookings/")

    assert shards(statements) == {me.shard, *(booking.flight.shard for booking in bookings)}


@pytest.mark.parametrize("name", UNCHANGED)
def test_the_code_behind_the_pages_has_no_word_of_shards(name):
    path = Path(flights.__file__).with_name(name)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.suffix in {".py", ".html"}]

    assert files
    assert not [file.name for file in files if "shard" in file.read_text().lower()]
