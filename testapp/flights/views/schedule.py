"""Which planes, flights and airports are there to look at?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from django.db.models import Avg, Max, Min, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.generic import ListView

from testapp.flights.forms import NEW_YORK, BookingForm, FinderForm
from testapp.flights.models import Airline, Airport, Flight, Plane, Weather
from testapp.flights.visitors import current_traveller

YEAR: Final = 2013


def home(request: HttpRequest) -> HttpResponse:
    """Find a plane by its tail number."""
    form = FinderForm(request.GET if "tailnum" in request.GET else None)
    if form.is_valid():
        return redirect("plane", form.cleaned_data["tailnum"])
    context = {"form": form, "airlines": Airline.objects.all(), "airports": Airport.objects.filter(pk__in=NEW_YORK)}
    return render(request, "flights/home.html", context)


class PlaneView(ListView):
    """A plane and its flights; of some planes only the flights are known."""

    template_name = "flights/plane.html"
    context_object_name = "flights"
    paginate_by = 50

    def get_queryset(self) -> QuerySet[Flight]:
        flights: QuerySet[Flight] = Flight.objects.filter(plane=self.kwargs["tailnum"])
        return flights.select_related("carrier", "dest")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        tailnum = self.kwargs["tailnum"]
        plane = Plane.objects.filter(pk=tailnum).first()
        if plane is None and not context["flights"]:
            raise Http404("No plane and no flight has this tail number.")
        summary = self.get_queryset().aggregate(miles=Sum("distance"), delay=Avg("dep_delay"))
        return {**context, "plane": plane, "tailnum": tailnum, "summary": summary}


def flight(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a flight, the weather it left in, and how to book it."""
    flight = get_object_or_404(Flight.objects.select_related("carrier", "plane", "origin", "dest"), pk=pk)
    weather = Weather.objects.filter(
        origin=flight.origin, year=flight.year, month=flight.month, time_hour=flight.time_hour
    ).first()
    me = current_traveller(request)
    context = {
        "flight": flight,
        "weather": weather,
        "form": BookingForm(),
        "booking": me.bookings.filter(flight=flight).first() if me else None,
    }
    return render(request, "flights/flight.html", context)


def airport(request: HttpRequest, faa: str) -> HttpResponse:
    """Show an airport and, where it is measured, the weather of a month."""
    airport = get_object_or_404(Airport, pk=faa)
    try:
        first_day = dt.date(YEAR, int(request.GET.get("month", 1)), 1)
    except ValueError:
        raise Http404("There is no such month.") from None
    days = (
        Weather.objects.filter(origin=airport, year=YEAR, month=first_day.month)
        .values("day")
        .annotate(low=Min("temp"), high=Max("temp"), wind=Avg("wind_speed"), rain=Sum("precip"))
        .order_by("day")
    )
    me = current_traveller(request)
    context = {
        "airport": airport,
        "has_weather": airport.pk in NEW_YORK,
        "first_day": first_day,
        "months": range(1, 13),
        "days": days,
        "is_favourite": me is not None and me.favourites.contains(airport),
    }
    return render(request, "flights/airport.html", context)
