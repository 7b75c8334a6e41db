"""Does the API do the same on one plain database and on shards: who may do what, and what is written?"""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from testapp.flights.factories import AirlineFactory, BookingFactory, FlightFactory, PlaneFactory, TravellerFactory
from testapp.flights.models import Booking, Flight

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("deployment")]

#: No id is as large as this, and no database's integer either.
BEYOND = 10**30


@pytest.fixture
def anybody() -> APIClient:
    return APIClient()


@pytest.fixture
def staff(deployment) -> APIClient:  # noqa: ARG001 - first the deployment, then its rows
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("staff"))
    return client


class TestReading:
    def test_anybody_reads_about_a_flight(self, anybody: APIClient):
        flight = FlightFactory.create(leaves=dt.datetime(2013, 1, 5, 17, 30, tzinfo=dt.UTC), dep_delay=7)

        answer = anybody.get(f"/api/flights/{flight.pk}/").json()

        assert answer == {
            "id": flight.pk,
            "code": flight.code,
            "date": "2013-01-05",
            "time_hour": "2013-01-05T22:00:00Z",
            "carrier": "UA",
            "airline": "United Air Lines Inc.",
            "number": flight.number,
            "tailnum": flight.plane_id,
            "manufacturer": "BOEING",
            "origin": flight.origin_id,
            "dest": "IAH",
            "distance": 1400,
            "dep_delay": 7,
            "arr_delay": 0,
            "air_time": 227,
        }

    def test_of_some_planes_only_the_tail_number_is_known_or_not_even_that(self, anybody: APIClient):
        flights = [FlightFactory.create(plane_id="N0EGMQ", plane=None), FlightFactory.create(plane=None)]

        answers = [anybody.get(f"/api/flights/{flight.pk}/").json() for flight in flights]

        assert [("N0EGMQ", None), (None, None)] == [(answer["tailnum"], answer["manufacturer"]) for answer in answers]

    @pytest.mark.parametrize("pk", [0, 1, 4095, 2**53, BEYOND, "x"])
    def test_an_unknown_flight_is_not_found(self, anybody: APIClient, pk):
        assert anybody.get(f"/api/flights/{pk}/").status_code == 404

    def test_flights_are_sorted_filtered_and_counted(self, anybody: APIClient):
        delays = [3, None, 50, -2, 50, 17, 8, 0]
        flights = [FlightFactory.create(dep_delay=delay, distance=200 + delay if delay else 0) for delay in delays]
        FlightFactory.create(carrier=AirlineFactory.create(carrier="B6", name="JetBlue Airways"), dep_delay=99)

        answer = anybody.get("/api/flights/?carrier=UA&delay_min=1&ordering=-dep_delay&page_size=3").json()

        assert (5, [50, 50, 17]) == (answer["count"], [flight["dep_delay"] for flight in answer["results"]])
        assert sorted(flights[at].pk for at in (2, 4)) == [flight["id"] for flight in answer["results"][:2]]
        assert [8, 3] == [flight["dep_delay"] for flight in anybody.get(answer["next"]).json()["results"]]

    def test_delays_are_summed_up_by_carrier(self, anybody: APIClient):
        jetblue = AirlineFactory.create(carrier="B6", name="JetBlue Airways")
        for delay in (3, None, 50, -2):
            FlightFactory.create(dep_delay=delay, dep_time=None if delay is None else 600)
        FlightFactory.create(carrier=jetblue, dep_delay=9)

        answer = anybody.get("/api/flights/delays/").json()

        assert [
            {"carrier": "UA", "flights": 4, "cancelled": 1, "delay": 17, "worst": 50},
            {"carrier": "B6", "flights": 1, "cancelled": 0, "delay": 9, "worst": 9},
        ] == [{**group, "delay": float(group["delay"])} for group in answer["results"]]

    def test_planes_that_fly_are_told_from_those_that_do_not(self, anybody: APIClient):
        flying, idle = (PlaneFactory.create_batch(4) for _ in range(2))
        for plane in flying:
            FlightFactory.create_batch(2, plane=plane)

        answers = [anybody.get(f"/api/planes/?flown={flown}").json() for flown in ("true", "false")]

        assert [[plane.pk for plane in flying], [plane.pk for plane in idle]] == [
            [plane["tailnum"] for plane in answer["results"]] for answer in answers
        ]

    def test_a_timetable_stays_in_order_while_flights_are_added(self, anybody: APIClient):
        leaves = dt.datetime(2013, 5, 1, 12, tzinfo=dt.UTC)
        flights = [FlightFactory.create(leaves=leaves + dt.timedelta(hours=hour)) for hour in range(6)]
        first = anybody.get("/api/timetable/?page_size=3").json()

        FlightFactory.create(leaves=leaves - dt.timedelta(hours=1))
        second = anybody.get(first["next"]).json()

        found = [flight["id"] for flight in (*first["results"], *second["results"])]
        assert [flight.pk for flight in flights] == found
        assert second["next"] is None


class TestBookings:
    def test_only_the_staff_reads_them(self, anybody: APIClient, staff: APIClient):
        BookingFactory.create()

        assert anybody.get("/api/bookings/").status_code == 403
        assert staff.get("/api/bookings/").json()["count"] == 1

    def test_they_are_found_by_what_is_known_of_traveller_and_flight(self, staff: APIClient):
        jetblue = AirlineFactory.create(carrier="B6", name="JetBlue Airways")
        bookings = [
            BookingFactory.create(traveller__name=name, flight__carrier=airline, flight__plane=plane)
            for plane in PlaneFactory.create_batch(4)
            for name in ("Ada", "Bessie")
            for airline in (jetblue, AirlineFactory.create())
        ]

        answer = staff.get("/api/bookings/?carrier=B6&search=ada&ordering=seat").json()

        chosen = [
            booking for booking in bookings if booking.flight.carrier == jetblue and booking.traveller.name == "Ada"
        ]
        assert {booking.pk: booking.flight.code for booking in chosen} == {
            booking["id"]: booking["code"] for booking in answer["results"]
        }
        assert sorted(booking.seat for booking in chosen) == [booking["seat"] for booking in answer["results"]]

    def test_the_staff_books_for_a_traveller(self, staff: APIClient):
        traveller, flight = TravellerFactory.create(), FlightFactory.create()

        values = {"traveller": traveller.pk, "flight": flight.pk, "seat": "12C", "price": "99.50"}
        answer = staff.post("/api/bookings/", values)

        assert answer.status_code == 201, answer.json()
        booking = Booking.objects.get(pk=answer.json()["id"])
        assert (traveller, flight, "12C") == (booking.traveller, booking.flight, booking.seat)
        assert (flight.code, "booked") == (answer.json()["code"], answer.json()["status"])

    def test_a_flight_is_not_booked_twice_for_the_same_traveller(self, staff: APIClient):
        booking = BookingFactory.create()

        values = {"traveller": booking.traveller_id, "flight": booking.flight_id, "seat": "12C", "price": "99.50"}
        answer = staff.post("/api/bookings/", values)

        assert answer.status_code == 400
        assert answer.json() == {"non_field_errors": ["The fields traveller, flight must make a unique set."]}

    @pytest.mark.parametrize("name", ["traveller", "flight"])
    def test_what_does_not_exist_is_not_booked(self, staff: APIClient, name):
        values = {"traveller": TravellerFactory.create().pk, "flight": FlightFactory.create().pk, "seat": "1A"}

        answer = staff.post("/api/bookings/", {**values, "price": "1.00", name: 4096 * 77})

        assert answer.status_code == 400
        assert [name] == list(answer.json())

    def test_a_booking_is_changed_and_deleted(self, staff: APIClient):
        booking, kept = BookingFactory.create_batch(2)

        changed = staff.patch(f"/api/bookings/{booking.pk}/", {"status": "cancelled"})
        assert changed.json()["status"] == "cancelled"
        booking.refresh_from_db()
        assert booking.is_cancelled

        assert staff.delete(f"/api/bookings/{booking.pk}/").status_code == 204
        assert [kept] == list(Booking.objects.all())

    def test_a_booking_stays_with_its_traveller(self, staff: APIClient):
        booking, other = BookingFactory.create(), TravellerFactory.create()

        answer = staff.patch(f"/api/bookings/{booking.pk}/", {"traveller": other.pk, "seat": "1A"})
        same = staff.patch(f"/api/bookings/{booking.pk}/", {"traveller": booking.traveller_id, "seat": "2B"})

        assert (400, {"traveller": ["A booking stays with its traveller."]}) == (answer.status_code, answer.json())
        assert (200, "2B") == (same.status_code, same.json()["seat"])

    def test_nobody_changes_a_flight(self, staff: APIClient):
        flight = FlightFactory.create()

        assert staff.patch(f"/api/flights/{flight.pk}/", {"dep_delay": 0}).status_code == 405
        assert Flight.objects.count() == 1
