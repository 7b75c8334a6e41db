"""Do the admin's pages about one row do the same on one plain database and on shards?"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import models
from django.forms import BaseForm, MultiWidget
from django.test import Client
from django.urls import reverse

from testapp.flights import factories
from testapp.flights.models import Airline, Airport, Booking, Flight, Plane, Traveller, Weather

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("deployment")]

#: A factory, a field that its form shows, and another value for it.
CHANGES: list[tuple[Any, str, Any]] = [
    (factories.AirlineFactory, "name", "United Airlines"),
    (factories.AirportFactory, "tzone", "America/Chicago"),
    (factories.PlaneFactory, "seats", 150),
    (factories.FlightFactory, "dep_delay", 17),
    (factories.WeatherFactory, "temp", -4.5),
    (factories.TravellerFactory, "email", "other@example.org"),
    (factories.BookingFactory, "seat", "30F"),
    (factories.AuditLogFactory, "detail", "by hand"),
]
#: Rows that can be deleted without asking every shard whether another row refers to them.
DELETABLE = [factories.WeatherFactory, factories.BookingFactory, factories.TravellerFactory, factories.AuditLogFactory]


def named(factory: Any) -> str:
    return str(factory._meta.get_model_class().__name__.lower())


def page(name: str, row: models.Model) -> str:
    return reverse(f"admin:flights_{row._meta.model_name}_{name}", args=[row.pk])


def values_of(form: BaseForm) -> dict[str, Any]:
    """Return what a browser would send if nobody touched *form*."""
    values: dict[str, Any] = {}
    for field in form:
        value, widget = field.value(), getattr(field.field.widget, "widget", field.field.widget)
        if isinstance(widget, MultiWidget):
            values |= {f"{field.html_name}_{at}": part for at, part in enumerate(widget.decompress(value) or ())}
        elif value is not None:
            values[field.html_name] = value
    return values


def sent_by(response: Any) -> dict[str, Any]:
    """Return what a browser would send if nobody touched the page's forms."""
    values = values_of(response.context["adminform"].form)
    for inline in response.context["inline_admin_formsets"]:
        for form in (inline.formset.management_form, *inline.formset.initial_forms):
            values |= values_of(form)
    return values


@pytest.mark.parametrize(("factory", "field", "value"), CHANGES, ids=[named(change[0]) for change in CHANGES])
def test_a_row_is_shown_and_changed(admin_client: Client, factory, field, value):
    row = factory()

    shown = admin_client.get(page("change", row))
    response = admin_client.post(page("change", row), {**sent_by(shown), field: value})

    assert response.status_code == 302, response.context["errors"]
    row.refresh_from_db()
    assert getattr(row, field) == value
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_a_row_that_would_have_to_move_is_refused_by_the_form(admin_client: Client, deployment: str):
    booking = factories.BookingFactory.create()
    travellers = factories.TravellerFactory.create_batch(12)
    other = next(one for one in travellers if one.shard != booking.shard or deployment == "plain")
    sent = sent_by(admin_client.get(page("change", booking))) | {"traveller": other.pk}

    response = admin_client.post(page("change", booking), sent)

    booking.refresh_from_db()
    if deployment == "plain":
        assert response.status_code == 302
        assert booking.traveller == other
    else:
        errors = response.context["adminform"].form.errors
        assert ["Booking cannot be moved to this traveller, whose rows are stored elsewhere."] == [
            error.partition(" Create")[0] for error in errors["traveller"]
        ]
        assert "cannot be moved to this traveller" in response.content.decode()
        assert booking.traveller != other


@pytest.mark.parametrize("factory", [change[0] for change in CHANGES], ids=named)
def test_the_history_of_a_row_is_shown(admin_client: Client, factory):
    row = factory()
    admin_client.post(page("change", row), sent_by(admin_client.get(page("change", row))))

    response = admin_client.get(page("history", row))

    assert response.status_code == 200
    assert len(response.context["action_list"]) == 1


@pytest.mark.parametrize("factory", DELETABLE, ids=named)
def test_a_row_is_deleted(admin_client: Client, factory):
    row, kept = factory.create_batch(2)

    asked = admin_client.get(page("delete", row))
    response = admin_client.post(page("delete", row), {"post": "yes"})

    assert asked.status_code == 200
    assert response.status_code == 302
    assert not type(row)._default_manager.filter(pk=row.pk).exists()
    assert type(row)._default_manager.filter(pk=kept.pk).exists()


def test_a_traveller_is_deleted_with_all_bookings(admin_client: Client):
    traveller = factories.TravellerFactory.create()
    bookings = factories.BookingFactory.create_batch(2, traveller=traveller)
    kept = factories.BookingFactory.create()

    admin_client.post(page("delete", traveller), {"post": "yes"})

    assert not any(Booking.objects.filter(pk=booking.pk).exists() for booking in bookings)
    assert Booking.objects.filter(pk=kept.pk).exists()


@pytest.mark.parametrize("model", [Plane, Flight, Weather, Traveller, Booking, Airline, Airport])
def test_an_unknown_row_leads_back_to_the_index(admin_client: Client, model):
    response = admin_client.get(reverse(f"admin:flights_{model._meta.model_name}_change", args=["404"]))

    assert response["Location"] == "/admin/"


def test_a_reference_row_is_added_and_can_be_referred_to(admin_client: Client):
    values = {"faa": "SJU", "name": "San Juan", "lat": 18.4, "lon": -66, "alt": 9, "tz": -4, "dst": "N"}

    response = admin_client.post(reverse("admin:flights_airport_add"), values)

    assert response.status_code == 302, response.context["errors"]
    flight = factories.FlightFactory.create(dest_id="SJU", dest=None)
    airport = Flight.objects.select_related("dest").get(pk=flight.pk).dest
    assert airport is not None
    assert airport.name == "San Juan"


def test_a_plane_is_added_and_found_by_its_key(admin_client: Client):
    values = {
        "tailnum": "N1",
        "type": "Rotorcraft",
        "manufacturer": "SIKORSKY",
        "model": "S-76A",
        "engines": 2,
        "seats": 14,
        "engine": "Turbo-shaft",
    }

    response = admin_client.post(reverse("admin:flights_plane_add"), values)

    assert response.status_code == 302, response.context["errors"]
    assert Plane.objects.get(pk="N1").model == "S-76A"


def test_a_flight_is_added_beside_its_plane(admin_client: Client):
    plane, airline, origin = (
        factories.PlaneFactory.create(),
        factories.AirlineFactory.create(),
        factories.AirportFactory.create(),
    )
    times = {"year": 2013, "month": 5, "day": 6, "hour": 7, "minute": 8, "sched_dep_time": 708, "sched_arr_time": 900}
    values = {"carrier": airline.pk, "number": 1, "plane": plane.pk, "origin": origin.pk, "distance": 300}
    values |= {**times, "time_hour_0": "2013-05-06", "time_hour_1": "11:00:00"}

    response = admin_client.post(reverse("admin:flights_flight_add"), values)

    assert response.status_code == 302, response.context["errors"]
    (flight,) = plane.flights.all()
    assert flight.time_hour == dt.datetime(2013, 5, 6, 11, tzinfo=dt.UTC)
    assert flight.dest is None


def test_a_traveller_is_added_with_a_booking_on_the_same_page(admin_client: Client):
    flight, airport = factories.FlightFactory.create(), factories.AirportFactory.create()
    values = sent_by(admin_client.get(reverse("admin:flights_traveller_add")))
    values |= {"name": "Ann", "email": "ann@example.org", "favourites": [airport.pk], "bookings-TOTAL_FORMS": 1}
    values |= {"bookings-0-flight": flight.pk, "bookings-0-seat": "3D", "bookings-0-price": "9.99"}
    values |= {"bookings-0-status": "booked"}

    response = admin_client.post(reverse("admin:flights_traveller_add"), values)

    assert response.status_code == 302, response.context["errors"]
    traveller = Traveller.objects.get(pk=str(LogEntry.objects.get().object_id))
    assert [(flight.pk, "3D")] == [(booking.flight_id, booking.seat) for booking in traveller.bookings.all()]
    assert [airport] == list(traveller.favourites.all())


def test_a_booking_is_changed_on_the_page_of_its_traveller(admin_client: Client):
    booking = factories.BookingFactory.create()
    shown = admin_client.get(page("change", booking.traveller))

    admin_client.post(page("change", booking.traveller), {**sent_by(shown), "bookings-0-seat": "5E"})

    booking.refresh_from_db()
    assert booking.seat == "5E"


def test_a_second_booking_of_one_flight_is_refused_by_the_form(admin_client: Client):
    booking = factories.BookingFactory.create()
    values = {"traveller": booking.traveller_id, "flight": booking.flight_id, "seat": "7A", "price": 5}

    response = admin_client.post(reverse("admin:flights_booking_add"), {**values, "status": "booked"})

    assert "Booking with this Traveller and Flight already exists." in response.content.decode()


def test_the_search_for_an_airport_answers(admin_client: Client):
    factories.AirportFactory.create(faa="JFK")
    factories.AirportFactory.create(faa="LGA")

    response = admin_client.get(
        reverse("admin:autocomplete"),
        {"app_label": "flights", "model_name": "traveller", "field_name": "home", "term": "LGA"},
    )

    assert [{"id": "LGA", "text": "LGA LGA Airport"}] == response.json()["results"]


def test_the_index_lists_every_table(admin_client: Client):
    assert "Audit log" in admin_client.get("/admin/").content.decode()
