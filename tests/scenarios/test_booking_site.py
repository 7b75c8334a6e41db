"""Do the views of the site do the same on one plain database and on shards?"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.test import Client

from testapp.flights.factories import (
    AirportFactory,
    BookingFactory,
    FlightFactory,
    PlaneFactory,
    TravellerFactory,
    WeatherFactory,
)
from testapp.flights.models import AuditLog, Booking, Traveller

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("deployment")]

#: No id is as large as this, and no database's integer either.
BEYOND = 10**30


@pytest.fixture
def traveller(deployment):  # noqa: ARG001 - first the deployment, then its rows
    return TravellerFactory.create(name="Ann Traveller")


@pytest.fixture
def me(deployment, client, traveller):  # noqa: ARG001 - first the deployment, then its rows
    """Sign in as *traveller*."""
    client.post("/sign-in/", {"number": traveller.pk, "email": traveller.email})
    return traveller


class TestLooking:
    def test_the_home_page_lists_what_every_flight_refers_to(self, client: Client):
        FlightFactory.create()

        page = client.get("/").content.decode()

        assert "United Air Lines Inc." in page

    def test_a_tail_number_leads_to_its_plane_however_it_is_typed(self, client: Client):
        response = client.get("/", {"tailnum": " n14228 "})

        assert response["Location"] == "/planes/N14228/"

    def test_the_page_of_a_plane_has_its_flights_and_no_others(self, client: Client):
        plane, other = PlaneFactory.create(), PlaneFactory.create()
        flights = FlightFactory.create_batch(3, plane=plane)
        FlightFactory.create_batch(2, plane=other)

        response = client.get(f"/planes/{plane.pk}/")

        assert [flight.pk for flight in flights] == [flight.pk for flight in response.context["flights"]]
        assert response.context["summary"] == {"miles": 3 * 1400, "delay": 0}
        assert "737-824" in response.content.decode()

    def test_a_plane_of_which_only_flights_are_known_has_a_page(self, client: Client):
        FlightFactory.create(plane=None, plane_id="N0EGMQ")

        response = client.get("/planes/N0EGMQ/")

        assert response.status_code == 200
        assert "Nothing is known about this plane" in response.content.decode()

    def test_a_plane_without_flights_has_a_page(self, client: Client):
        plane = PlaneFactory.create()

        assert client.get(f"/planes/{plane.pk}/").status_code == 200

    def test_an_unknown_plane_is_not_found(self, client: Client):
        assert client.get("/planes/N99999/").status_code == 404

    def test_many_flights_take_several_pages(self, client: Client):
        plane = PlaneFactory.create()
        FlightFactory.create_batch(51, plane=plane)

        assert len(client.get(f"/planes/{plane.pk}/").context["flights"]) == 50
        assert len(client.get(f"/planes/{plane.pk}/", {"page": 2}).context["flights"]) == 1

    def test_the_page_of_a_flight_has_the_weather_of_its_hour(self, client: Client):
        leaves = dt.datetime(2013, 1, 5, 17, 30, tzinfo=dt.UTC)
        flight = FlightFactory.create(leaves=leaves)
        for hours, temp in ((-1, 20.0), (0, 21.5), (1, 23.0)):
            WeatherFactory.create(
                origin=flight.origin, at=leaves.replace(minute=0) + dt.timedelta(hours=hours), temp=temp
            )

        response = client.get(f"/flights/{flight.pk}/")

        assert response.context["weather"].temp == 21.5
        assert "George Bush Intercontinental" in response.content.decode()

    def test_a_flight_without_a_plane_has_a_page(self, client: Client):
        flight = FlightFactory.create(plane=None)

        response = client.get(f"/flights/{flight.pk}/")

        assert "not known" in response.content.decode()

    def test_a_flight_to_an_airport_that_is_not_described_has_a_page(self, client: Client):
        flight = FlightFactory.create(dest=None, dest_id="SJU")

        assert "SJU" in client.get(f"/flights/{flight.pk}/").content.decode()

    @pytest.mark.parametrize("pk", [0, 1, 4095, 2**53, 2**63, BEYOND])
    def test_an_unknown_flight_is_not_found(self, client: Client, pk):
        assert client.get(f"/flights/{pk}/").status_code == 404

    def test_the_page_of_an_airport_sums_up_the_weather_of_each_day(self, client: Client):
        airport = AirportFactory.create(faa="JFK")
        for day, temp in ((1, 20.0), (1, 30.0), (2, 25.0)):
            at = dt.datetime(2013, 2, day, int(temp) % 24, tzinfo=dt.UTC)
            WeatherFactory.create(origin=airport, at=at, temp=temp, wind_speed=10.0, precip=0.25)
        WeatherFactory.create(origin=airport, at=dt.datetime(2013, 3, 1, tzinfo=dt.UTC))

        days = client.get("/airports/JFK/", {"month": 2}).context["days"]

        assert list(days) == [
            {"day": 1, "low": 20.0, "high": 30.0, "wind": 10.0, "rain": 0.5},
            {"day": 2, "low": 25.0, "high": 25.0, "wind": 10.0, "rain": 0.25},
        ]

    def test_an_unknown_airport_or_month_is_not_found(self, client: Client):
        AirportFactory.create(faa="JFK")

        assert client.get("/airports/XXX/").status_code == 404
        assert {404} == {client.get("/airports/JFK/", {"month": month}).status_code for month in ("May", "", 0, 13)}


class TestSigningUp:
    def test_signing_up_makes_a_traveller_who_is_signed_in(self, client: Client):
        AirportFactory.create(faa="JFK")

        client.post("/sign-up/", {"name": "Zoë", "email": "zoe@example.org", "home": "JFK"})

        page = client.get("/").content.decode()
        assert "Zoë" in page
        assert "Your traveller number is" in page

    def test_signing_up_is_noted_in_the_audit_log(self, client: Client):
        client.post("/sign-up/", {"name": "Zoë", "email": "zoe@example.org"})

        assert [entry.action for entry in AuditLog.objects.all()] == ["signed up"]

    def test_a_visitor_with_a_user_account_signs_up_as_that_user(self, admin_client: Client, admin_user):
        admin_client.post("/sign-up/", {"name": "Zoë", "email": "zoe@example.org"})

        response = admin_client.get("/profile/")
        assert response.context["traveller"].user == admin_user

    def test_signing_up_without_an_address_shows_what_is_missing(self, client: Client):
        response = client.post("/sign-up/", {"name": "Zoë"})

        assert response.context["form"].errors == {"email": ["This field is required."]}

    def test_a_number_and_its_address_sign_in(self, client: Client, traveller: Traveller):
        response = client.post("/sign-in/", {"number": traveller.pk, "email": traveller.email.upper()})

        assert response["Location"] == "/"
        assert "Ann Traveller" in client.get("/").content.decode()

    def test_signing_in_goes_on_where_the_visitor_wanted_to_go(self, client: Client, traveller: Traveller):
        there = client.get("/bookings/")["Location"]

        response = client.post(there, {"number": traveller.pk, "email": traveller.email})

        assert response["Location"] == "/bookings/"

    def test_signing_in_leads_to_no_other_site(self, client: Client, traveller: Traveller):
        response = client.post(
            "/sign-in/?next=https://example.org/", {"number": traveller.pk, "email": traveller.email}
        )

        assert response["Location"] == "/"

    @pytest.mark.parametrize("number", ["", "x", "0", f"{BEYOND}", "{other}"])
    def test_an_unknown_number_does_not_sign_in(self, client: Client, traveller: Traveller, number):
        number = number.format(other=traveller.pk + 4096)

        response = client.post("/sign-in/", {"number": number, "email": traveller.email})

        assert response.status_code == 200
        assert client.get("/profile/").status_code == 302

    def test_another_address_does_not_sign_in(self, client: Client, traveller: Traveller):
        response = client.post("/sign-in/", {"number": traveller.pk, "email": "else@example.org"})

        assert "No traveller has this number and this address." in response.content.decode()

    def test_signing_out_forgets_the_traveller(self, client: Client, me: Traveller):
        client.post("/sign-out/")

        assert me.name not in client.get("/").content.decode()

    def test_a_traveller_who_is_gone_is_signed_out(self, client: Client, me: Traveller):
        Traveller.objects.filter(pk=me.pk).delete()

        assert client.get("/profile/")["Location"] == "/sign-in/?next=%2Fprofile%2F"


@pytest.mark.usefixtures("me")
class TestProfile:
    def test_a_traveller_changes_the_profile(self, client: Client, me: Traveller):
        AirportFactory.create(faa="LGA")

        client.post("/profile/", {"name": "Ann Other", "email": "ann@example.org", "home": "LGA"})

        me.refresh_from_db()
        assert ("Ann Other", "ann@example.org", "LGA") == (me.name, me.email, me.home_id)

    def test_an_airport_becomes_a_favourite_and_stops_being_one(self, client: Client, me: Traveller):
        airport = AirportFactory.create(faa="LGA")

        client.post("/airports/LGA/favourite/")
        assert [airport] == list(client.get("/profile/").context["favourites"])
        assert "Remove from my favourites" in client.get("/airports/LGA/").content.decode()

        client.post("/airports/LGA/favourite/")
        assert [] == list(me.favourites.all())


class TestBooking:
    def test_booking_needs_a_traveller(self, client: Client):
        flight = FlightFactory.create()

        response = client.post(f"/flights/{flight.pk}/book/", {"seat": "12C"})

        assert response["Location"].startswith("/sign-in/")

    def test_a_booked_flight_is_among_my_bookings(self, client: Client, me: Traveller):
        flights = FlightFactory.create_batch(3, distance=1000)

        for flight in flights:
            client.post(f"/flights/{flight.pk}/book/", {"seat": "12C"})

        booked = list(client.get("/bookings/").context["page_obj"])
        assert {flight.pk for flight in flights} == {booking.flight_id for booking in booked}
        assert {("12C", Decimal("139.00"), "booked", me.pk)} == {
            (booking.seat, booking.price, booking.status, booking.traveller_id) for booking in booked
        }

    def test_my_bookings_show_the_flights(self, client: Client, me: Traveller):
        bookings = BookingFactory.create_batch(3, traveller=me)

        page = client.get("/bookings/").content.decode()

        assert all(f"/flights/{booking.flight_id}/" in page for booking in bookings)
        assert all(booking.flight.code in page for booking in bookings)

    def test_a_booking_is_noted_in_the_audit_log(self, client: Client, me: Traveller):
        flight = FlightFactory.create()

        client.post(f"/flights/{flight.pk}/book/", {"seat": "12C"})

        entry = AuditLog.objects.get(traveller_id=me.pk)
        assert ("booked", f"flight {flight.pk} seat 12C") == (entry.action, entry.detail)

    def test_booking_again_changes_the_seat(self, client: Client, me: Traveller):
        flight = FlightFactory.create()

        client.post(f"/flights/{flight.pk}/book/", {"seat": "12C"})
        client.post(f"/flights/{flight.pk}/book/", {"seat": "1A"})

        assert ["1A"] == [booking.seat for booking in me.bookings.all()]
        assert "seat 1A" in client.get(f"/flights/{flight.pk}/").content.decode()

    @pytest.mark.parametrize("seat", ["", "12", "C12", "12G", "0A", "123A"])
    def test_a_seat_that_no_plane_has_is_not_booked(self, client: Client, me: Traveller, seat):
        flight = FlightFactory.create()

        response = client.post(f"/flights/{flight.pk}/book/", {"seat": seat})

        assert response.status_code == 200
        assert "seat" in response.context["form"].errors
        assert not me.bookings.exists()

    def test_an_unknown_flight_is_not_booked(self, client: Client, me: Traveller):
        assert client.post("/flights/1/book/", {"seat": "12C"}).status_code == 404
        assert not me.bookings.exists()

    def test_many_bookings_take_several_pages(self, client: Client, me: Traveller):
        BookingFactory.create_batch(21, traveller=me, flight__plane=PlaneFactory.create())

        assert len(client.get("/bookings/").context["page_obj"]) == 20
        assert len(client.get("/bookings/", {"page": 2}).context["page_obj"]) == 1

    def test_a_traveller_without_bookings_is_told_so(self, client: Client, me: Traveller):
        assert "You have booked nothing yet." in client.get("/bookings/").content.decode()
        assert not me.bookings.exists()

    def test_a_cancelled_booking_stays_on_record(self, client: Client, me: Traveller):
        booking = BookingFactory.create(traveller=me)

        client.post(f"/bookings/{booking.pk}/cancel/")

        booking.refresh_from_db()
        assert booking.is_cancelled
        assert "cancelled" in client.get(f"/bookings/{booking.pk}/").content.decode()
        assert "cancelled" in client.get("/bookings/").content.decode()

    def test_cancelling_twice_is_noted_once(self, client: Client, me: Traveller):
        booking = BookingFactory.create(traveller=me)

        client.post(f"/bookings/{booking.pk}/cancel/")
        client.post(f"/bookings/{booking.pk}/cancel/")

        assert ["cancelled"] == [entry.action for entry in AuditLog.objects.all()]

    def test_booking_a_cancelled_flight_again_revives_the_booking(self, client: Client, me: Traveller):
        booking = BookingFactory.create(traveller=me, status=Booking.Status.CANCELLED)

        client.post(f"/flights/{booking.flight_id}/book/", {"seat": "2B"})

        booking.refresh_from_db()
        assert ("2B", "booked") == (booking.seat, booking.status)

    @pytest.mark.usefixtures("me")
    def test_the_booking_of_another_traveller_is_not_found(self, client: Client):
        booking = BookingFactory.create()

        assert client.get(f"/bookings/{booking.pk}/").status_code == 404
        assert client.post(f"/bookings/{booking.pk}/cancel/").status_code == 404

        booking.refresh_from_db()
        assert not booking.is_cancelled
