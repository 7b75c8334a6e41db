"""Do the admin's actions reach the chosen rows on every shard, as they do on one plain database?"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import models
from django.test import Client
from django.urls import reverse

from testapp.flights import factories
from testapp.flights.models import AuditLog, Booking, Flight, Plane, Traveller, Weather

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("deployment")]

#: So many rows that every shard has some.
MANY = 16


def act(client: Client, action: str, rows: Iterable[models.Model], **values: str) -> Any:
    """Choose *rows* in their list, and an *action* for them."""
    chosen = list(rows)
    address = reverse(f"admin:flights_{chosen[0]._meta.model_name}_changelist")
    return client.post(address, {"action": action, "_selected_action": [row.pk for row in chosen], **values})


def told(client: Client, response: Any) -> str:
    """Return what the list says after an action."""
    return "".join(map(str, client.get(response["Location"]).context["messages"]))


def test_the_chosen_bookings_are_cancelled(admin_client: Client):
    bookings = factories.BookingFactory.create_batch(MANY)
    kept = factories.BookingFactory.create_batch(3)

    response = act(admin_client, "cancel", bookings)

    assert told(admin_client, response) == f"{MANY} bookings were cancelled."
    cancelled = Booking.objects.filter(status=Booking.Status.CANCELLED)
    assert {booking.pk for booking in bookings} == {booking.pk for booking in cancelled}
    assert len(kept) == Booking.objects.filter(status=Booking.Status.BOOKED).count()


def test_a_booking_that_is_cancelled_is_not_counted_again(admin_client: Client):
    bookings = factories.BookingFactory.create_batch(2)
    bookings.append(factories.BookingFactory.create(status=Booking.Status.CANCELLED))

    response = act(admin_client, "cancel", bookings)

    assert told(admin_client, response) == "2 bookings were cancelled."


@pytest.mark.parametrize(
    "factory",
    [
        factories.PlaneFactory,
        factories.WeatherFactory,
        factories.FlightFactory,
        factories.BookingFactory,
        factories.AuditLogFactory,
    ],
)
def test_the_chosen_rows_are_deleted(admin_client: Client, factory):
    rows, kept = factory.create_batch(MANY), factory.create_batch(2)

    asked = act(admin_client, "delete_selected", rows)
    response = act(admin_client, "delete_selected", rows, post="yes")

    assert all(str(row) in asked.content.decode() for row in rows)
    assert f"Successfully deleted {MANY} " in told(admin_client, response)
    assert {row.pk for row in kept} == {row.pk for row in type(rows[0])._default_manager.all()}
    assert {str(row.pk) for row in rows} == {entry.object_id for entry in LogEntry.objects.all()}


def test_travellers_are_deleted_with_their_bookings(admin_client: Client):
    travellers = factories.TravellerFactory.create_batch(MANY, favourites=[factories.AirportFactory.create()])
    for traveller in travellers:
        factories.BookingFactory.create(traveller=traveller)
    kept = factories.BookingFactory.create()

    asked = act(admin_client, "delete_selected", travellers)
    act(admin_client, "delete_selected", travellers, post="yes")

    assert dict(asked.context["model_count"]) == {
        "travellers": MANY,
        "bookings": MANY,
        "traveller-airport relationships": MANY,
    }
    assert [kept] == list(Booking.objects.all())
    assert [kept.traveller] == list(Traveller.objects.all())


def test_all_rows_of_a_list_are_chosen_at_once(admin_client: Client):
    factories.WeatherFactory.create_batch(MANY)
    (one, *_others) = factories.FlightFactory.create_batch(MANY)

    response = act(admin_client, "delete_selected", [one], post="yes", select_across="1")

    assert f"Successfully deleted {MANY} flights" in told(admin_client, response)
    assert (0, MANY) == (Flight.objects.count(), Weather.objects.count())


@pytest.mark.parametrize(
    ("factory", "column"),
    [
        (factories.FlightFactory, "plane_id"),
        (factories.TravellerFactory, "email"),
        (factories.AirlineFactory, "name"),
        (factories.AuditLogFactory, "action"),
    ],
)
def test_the_chosen_rows_are_exported(admin_client: Client, factory, column):
    rows = factory.create_batch(MANY)
    factories.PlaneFactory.create()

    response = act(admin_client, "export", rows)

    lines = list(csv.DictReader(StringIO(response.getvalue().decode())))
    assert sorted({(str(row.pk), getattr(row, column)) for row in rows}) == sorted(
        (line[row_key(rows[0])], line[column]) for line in lines
    )
    assert response["Content-Type"] == "text/csv"


def row_key(row: models.Model) -> str:
    return row._meta.pk.attname


def test_nothing_else_is_exported(admin_client: Client):
    (plane, *_others) = factories.PlaneFactory.create_batch(MANY)

    response = act(admin_client, "export", [plane])

    lines = list(csv.DictReader(StringIO(response.getvalue().decode())))
    assert [plane.pk] == [line["tailnum"] for line in lines]
    assert (MANY, 0) == (Plane.objects.count(), AuditLog.objects.count())
