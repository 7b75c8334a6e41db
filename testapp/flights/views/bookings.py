"""How does a traveller book a flight, and change their mind?"""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from testapp.flights.forms import BookingForm
from testapp.flights.models import AuditLog, Booking, Flight, Traveller
from testapp.flights.visitors import traveller_required

#: How many bookings a page shows.
PAGE_SIZE: Final = 20


@traveller_required
def book(request: HttpRequest, me: Traveller, pk: int) -> HttpResponse:
    """Book a seat; whoever booked the flight before gets the new seat instead of the old one."""
    flight = get_object_or_404(Flight, pk=pk)
    form = BookingForm(request.POST or None)
    if not form.is_valid():
        return render(request, "flights/form.html", {"form": form, "title": f"Book {flight}"})
    with transaction.atomic():
        booking, is_new = me.bookings.update_or_create(
            flight=flight,
            defaults={"seat": form.cleaned_data["seat"], "price": flight.fare, "status": Booking.Status.BOOKED},
        )
        log("booked" if is_new else "rebooked", booking)
    messages.success(request, f"Seat {booking.seat} on {flight} is yours.")
    return redirect("bookings")


@traveller_required
def my_bookings(request: HttpRequest, me: Traveller) -> HttpResponse:
    """List the traveller's bookings, newest first."""
    page = Paginator(me.bookings.all(), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "flights/bookings.html", {"page_obj": page})


@traveller_required
def booking(request: HttpRequest, me: Traveller, pk: int) -> HttpResponse:
    """Show one of the traveller's bookings."""
    booking = get_object_or_404(me.bookings.select_related("traveller"), pk=pk)
    return render(request, "flights/booking.html", {"booking": booking})


@require_POST
@traveller_required
def cancel(request: HttpRequest, me: Traveller, pk: int) -> HttpResponse:
    """Cancel one of the traveller's bookings; it stays on record."""
    booking = get_object_or_404(Booking, traveller=me, pk=pk)
    if not booking.is_cancelled:
        with transaction.atomic():
            booking.status = Booking.Status.CANCELLED
            booking.save(update_fields=["status"])
            log("cancelled", booking)
        messages.success(request, "Your booking is cancelled.")
    return redirect("bookings")


def log(action: str, booking: Booking) -> None:
    """Note what happened to *booking*."""
    AuditLog.objects.create(
        action=action, traveller_id=booking.traveller_id, detail=f"flight {booking.flight_id} seat {booking.seat}"
    )
