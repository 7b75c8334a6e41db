"""Which rows does a program get?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from typing import Any

from django.db.models import Avg, Count, Max, Q
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.decorators import action
from rest_framework.filters import SearchFilter
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ModelViewSet, ReadOnlyModelViewSet

from testapp.flights.api import filters, serializers
from testapp.flights.api.pages import NumberedPages, TimetablePages
from testapp.flights.models import Airline, Airport, Booking, Flight, Plane, Weather


class Listed:
    """What all lists have."""

    filter_backends: Any = [DjangoFilterBackend, SearchFilter, filters.StableOrdering]
    pagination_class: Any = NumberedPages


class AirlineViewSet(Listed, ReadOnlyModelViewSet):
    queryset = Airline.objects.all()
    serializer_class = serializers.AirlineSerializer
    search_fields = ["name"]


class AirportViewSet(Listed, ReadOnlyModelViewSet):
    queryset = Airport.objects.all()
    serializer_class = serializers.AirportSerializer
    filterset_fields = ["tzone", "dst"]
    search_fields = ["name", "=faa"]
    ordering_fields = ["faa", "name", "alt", "lat"]


class PlaneViewSet(Listed, ReadOnlyModelViewSet):
    queryset = Plane.objects.all()
    serializer_class = serializers.PlaneSerializer
    filterset_class = filters.PlaneFilter
    search_fields = ["manufacturer", "model"]
    ordering_fields = ["tailnum", "manufacturer", "model", "year", "seats", "speed"]


class FlightViewSet(Listed, ReadOnlyModelViewSet):
    queryset = Flight.objects.select_related("carrier", "plane")
    serializer_class = serializers.FlightSerializer
    filterset_class = filters.FlightFilter
    search_fields = ["carrier__name", "plane__manufacturer", "dest__name"]
    ordering_fields = ["time_hour", "carrier", "number", "dest", "distance", "dep_delay", "arr_delay", "carrier__name"]

    @action(detail=False)
    def delays(self, request: Request) -> Response:
        """Sum up the delays of the flights that are asked for, by ``carrier``, ``origin``, ``dest`` or ``month``."""
        by = request.query_params.get("by", "carrier")
        if by not in {"carrier", "origin", "dest", "month"}:
            return Response({"by": ["Choose carrier, origin, dest or month."]}, status=400)
        groups = (
            self.filter_queryset(self.get_queryset())
            .order_by()
            .values(by)
            .annotate(
                flights=Count("id"),
                cancelled=Count("id", filter=Q(dep_time=None)),
                delay=Avg("dep_delay"),
                worst=Max("dep_delay"),
            )
            .order_by("-flights", by)
        )
        page = self.paginate_queryset(groups)
        return self.get_paginated_response(page)


class TimetableViewSet(ListModelMixin, GenericViewSet):
    """The flights in the order of their departure, from one page to the next."""

    queryset = Flight.objects.select_related("carrier", "plane")
    serializer_class = serializers.FlightSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = filters.FlightFilter
    pagination_class = TimetablePages


class FeedViewSet(ListModelMixin, GenericViewSet):
    """The flights in any order, from one page to the next, however far behind it is."""

    queryset = Flight.objects.select_related("carrier", "plane")
    serializer_class = serializers.FlightSerializer
    filter_backends = [DjangoFilterBackend, filters.StableOrdering]
    filterset_class = filters.FlightFilter
    ordering_fields = ["time_hour", "carrier", "dest", "distance", "dep_delay", "carrier__name", "plane__manufacturer"]


class WeatherViewSet(Listed, ReadOnlyModelViewSet):
    queryset = Weather.objects.all()
    serializer_class = serializers.WeatherSerializer
    filterset_class = filters.WeatherFilter
    search_fields = ["origin__name"]
    ordering_fields = ["time_hour", "origin", "temp", "wind_speed", "precip"]


class BookingViewSet(Listed, ModelViewSet):
    """The bookings of all travellers, for the staff."""

    permission_classes = [IsAdminUser]
    queryset = Booking.objects.select_related("traveller", "flight__carrier")
    serializer_class = serializers.BookingSerializer
    filterset_class = filters.BookingFilter
    search_fields = ["traveller__name", "flight__carrier__name"]
    ordering_fields = ["made_at", "price", "seat", "flight__time_hour", "traveller__name"]
