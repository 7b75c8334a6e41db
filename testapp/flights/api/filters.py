"""What can a program filter and sort by?"""

# django-filter is published without types.
# mypy: allow-any-generics, allow-subclassing-any

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import django_filters
from django.db.models import QuerySet
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.views import APIView

from testapp.flights.models import Booking, Flight, Plane, Weather


class CodesFilter(django_filters.BaseInFilter, django_filters.CharFilter):
    """One code, or several with commas between them."""


class StableOrdering(OrderingFilter):
    """Rows that are equal in what was asked for keep one order, so that no page repeats a row of another."""

    def get_ordering(self, request: Request, queryset: QuerySet, view: APIView) -> Sequence[str] | None:
        chosen = super().get_ordering(request, queryset, view)
        return chosen and (*chosen, "pk")


class PlaneFilter(django_filters.FilterSet):
    flown = django_filters.BooleanFilter("flights", "isnull", exclude=True, distinct=True)

    class Meta:
        model = Plane
        fields = {
            "manufacturer": ["exact", "icontains"],
            "year": ["exact", "lt", "gte", "isnull"],
            "seats": ["lt", "gte"],
            "engine": ["exact"],
        }


class FlightFilter(django_filters.FilterSet):
    carrier = CodesFilter("carrier")
    origin = CodesFilter("origin")
    dest = CodesFilter("dest")
    tailnum = CodesFilter("plane")
    manufacturer = django_filters.CharFilter("plane__manufacturer", "icontains")
    date = django_filters.DateFilter(method="on_date")
    departs = django_filters.IsoDateTimeFromToRangeFilter("time_hour")
    delay = django_filters.RangeFilter("dep_delay")
    cancelled = django_filters.BooleanFilter("dep_time", "isnull")

    class Meta:
        model = Flight
        fields = {"number": ["exact"], "distance": ["lt", "gte"]}

    def on_date(self, flights: QuerySet[Flight], _name: str, date: dt.date) -> QuerySet[Flight]:
        return flights.filter(year=date.year, month=date.month, day=date.day)


class WeatherFilter(django_filters.FilterSet):
    origin = CodesFilter("origin")
    hours = django_filters.IsoDateTimeFromToRangeFilter("time_hour")

    class Meta:
        model = Weather
        fields = {"month": ["exact"], "temp": ["lt", "gte", "isnull"], "precip": ["gt"], "visib": ["lt"]}


class BookingFilter(django_filters.FilterSet):
    origin = CodesFilter("flight__origin")
    carrier = CodesFilter("flight__carrier")
    home = CodesFilter("traveller__home")
    late = django_filters.NumberFilter("flight__dep_delay", "gte")

    class Meta:
        model = Booking
        fields = {"status": ["exact"], "traveller": ["exact"], "price": ["lt", "gte"], "seat": ["exact"]}
