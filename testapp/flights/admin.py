"""How does the staff see the data?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import ngettext

from testapp.flights.models import Airline, Airport, AuditLog, Booking, Flight, Plane, Traveller, Weather


class Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


@admin.action(description="Export the selected %(verbose_name_plural)s as CSV")
def export(modeladmin: admin.ModelAdmin, _request: HttpRequest, queryset: QuerySet[Any]) -> StreamingHttpResponse:
    """Send the columns of the chosen rows, one by one."""
    columns = [field.attname for field in modeladmin.opts.concrete_fields]

    def lines() -> Iterator[str]:
        writer = csv.writer(Echo())
        yield writer.writerow(columns)
        for row in queryset.values_list(*columns).iterator():
            yield writer.writerow(row)

    name = f"{modeladmin.opts.model_name}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines(), content_type="text/csv", headers=headers)


class PunctualityFilter(admin.SimpleListFilter):
    """A quarter of an hour is punctual enough."""

    title = "punctuality"
    parameter_name = "punctuality"
    conditions = {
        "punctual": Q(dep_delay__lte=15),
        "late": Q(dep_delay__gt=15, dep_delay__lte=120),
        "very-late": Q(dep_delay__gt=120),
        "cancelled": Q(dep_time=None),
    }

    def lookups(self, _request: HttpRequest, _modeladmin: admin.ModelAdmin) -> Sequence[tuple[str, str]]:
        return [(name, name.replace("-", " ")) for name in self.conditions]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = self.conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


@admin.register(Airline)
class AirlineAdmin(admin.ModelAdmin):
    list_display = ["carrier", "name"]
    search_fields = ["carrier", "name"]
    actions = [export]


@admin.register(Airport)
class AirportAdmin(admin.ModelAdmin):
    list_display = ["faa", "name", "lat", "lon", "alt", "tzone"]
    search_fields = ["faa", "name"]
    list_filter = ["tzone", "dst"]
    actions = [export]


@admin.register(Plane)
class PlaneAdmin(admin.ModelAdmin):
    list_display = ["tailnum", "manufacturer", "model", "year", "seats"]
    search_fields = ["tailnum", "manufacturer", "model"]
    list_filter = ["engine", "manufacturer", ("speed", admin.EmptyFieldListFilter)]
    ordering = ["manufacturer", "model", "tailnum"]
    actions = [export]


@admin.register(Flight)
class FlightAdmin(admin.ModelAdmin):
    # The columns, not the objects behind them: of some planes and destinations only the code is known.
    list_display = ["id", "date", "carrier", "number", "plane_id", "origin_id", "dest_id", "dep_delay"]
    list_select_related = ["carrier"]
    list_filter = [PunctualityFilter, "origin", "carrier", ("plane", admin.EmptyFieldListFilter)]
    search_fields = ["=number", "=plane__tailnum", "carrier__name", "dest__name", "plane__manufacturer"]
    search_help_text = "a number, a tail number, or words of an airline, a destination, a manufacturer"
    date_hierarchy = "time_hour"
    ordering = ["-time_hour", "-minute", "-id"]
    autocomplete_fields = ["carrier", "origin", "dest"]
    raw_id_fields = ["plane"]
    actions = [export]

    @admin.display(ordering="time_hour")
    def date(self, flight: Flight) -> str:
        return f"{flight.date:%Y-%m-%d}"


@admin.register(Weather)
class WeatherAdmin(admin.ModelAdmin):
    list_display = ["id", "origin", "time_hour", "temp", "wind_speed", "precip", "visib"]
    list_filter = ["origin", "month", ("wind_gust", admin.EmptyFieldListFilter)]
    list_select_related = ["origin"]
    search_fields = ["origin__name"]
    date_hierarchy = "time_hour"
    ordering = ["time_hour", "origin"]
    autocomplete_fields = ["origin"]
    actions = [export]


class BookingInline(admin.TabularInline):
    model = Booking
    raw_id_fields = ["flight"]
    readonly_fields = ["made_at"]
    extra = 0


@admin.register(Traveller)
class TravellerAdmin(admin.ModelAdmin):
    list_display = ["id", "name", "email", "home", "booked"]
    list_select_related = ["home"]
    list_filter = ["home__tzone", ("home", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["name", "email", "bookings__flight__carrier__name"]
    autocomplete_fields = ["home", "favourites"]
    raw_id_fields = ["user"]
    inlines = [BookingInline]
    actions = [export]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Traveller]:
        travellers: QuerySet[Traveller] = super().get_queryset(request)
        return travellers.annotate(
            booking_count=Count("bookings", filter=Q(bookings__status=Booking.Status.BOOKED), distinct=True)
        )

    @admin.display(ordering="booking_count")
    def booked(self, traveller: Any) -> int:
        return int(traveller.booking_count)


@admin.register(Booking)
class BookingAdmin(admin.ModelAdmin):
    list_display = ["id", "traveller", "flight", "airline", "seat", "price", "status", "made_at"]
    list_select_related = ["traveller", "flight__carrier"]
    list_filter = ["status", "flight__origin", "traveller__home"]
    search_fields = ["traveller__name", "flight__carrier__name", "=seat"]
    date_hierarchy = "made_at"
    ordering = ["-made_at", "-id"]
    raw_id_fields = ["traveller", "flight"]
    readonly_fields = ["made_at"]
    actions = ["cancel", export]

    @admin.display(ordering="flight__carrier__name")
    def airline(self, booking: Booking) -> str:
        return str(booking.flight.carrier)

    @admin.action(description="Cancel the selected bookings")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Booking]) -> None:
        cancelled = queryset.filter(status=Booking.Status.BOOKED).update(status=Booking.Status.CANCELLED)
        text = ngettext("%d booking was cancelled.", "%d bookings were cancelled.", cancelled) % cancelled
        self.message_user(request, text, messages.SUCCESS)


@admin.register(AuditLog)
class AuditLogAdmin(admin.ModelAdmin):
    list_display = ["at", "action", "traveller_id", "detail"]
    list_filter = ["action"]
    search_fields = ["detail", "=traveller_id"]
    date_hierarchy = "at"
    readonly_fields = ["at"]
    actions = [export]
