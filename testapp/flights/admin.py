"""How does the staff see the data?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from django.contrib import admin

from testapp.flights.models import Airline, Airport, AuditLog, Booking, Flight, Plane, Traveller, Weather


@admin.register(Airline)
class AirlineAdmin(admin.ModelAdmin):
    list_display = ["carrier", "name"]
    search_fields = ["carrier", "name"]


@admin.register(Airport)
class AirportAdmin(admin.ModelAdmin):
    list_display = ["faa", "name", "lat", "lon", "tzone"]
    search_fields = ["faa", "name"]
    list_filter = ["tzone"]


@admin.register(Plane)
class PlaneAdmin(admin.ModelAdmin):
    list_display = ["tailnum", "manufacturer", "model", "year", "seats"]
    search_fields = ["tailnum", "model"]
    list_filter = ["manufacturer"]


@admin.register(Flight)
class FlightAdmin(admin.ModelAdmin):
    # The columns, not the objects behind them: of some planes and destinations only the code is known.
    list_display = ["id", "date", "carrier_id", "number", "plane_id", "origin_id", "dest_id", "dep_delay"]
    list_filter = ["month", "carrier"]
    search_fields = ["=number", "plane__tailnum"]
    autocomplete_fields = ["carrier", "origin", "dest"]
    raw_id_fields = ["plane"]


@admin.register(Weather)
class WeatherAdmin(admin.ModelAdmin):
    list_display = ["id", "origin_id", "time_hour", "temp", "wind_speed", "precip", "visib"]
    list_filter = ["origin", "month"]
    autocomplete_fields = ["origin"]


class BookingInline(admin.TabularInline):
    model = Booking
    raw_id_fields = ["flight"]
    readonly_fields = ["made_at"]
    extra = 0


@admin.register(Traveller)
class TravellerAdmin(admin.ModelAdmin):
    list_display = ["id", "name", "email", "home_id"]
    search_fields = ["name", "email"]
    autocomplete_fields = ["home", "favourites"]
    raw_id_fields = ["user"]
    inlines = [BookingInline]


@admin.register(Booking)
class BookingAdmin(admin.ModelAdmin):
    list_display = ["id", "traveller", "flight_id", "seat", "price", "status", "made_at"]
    list_filter = ["status"]
    raw_id_fields = ["traveller", "flight"]
    readonly_fields = ["made_at"]


@admin.register(AuditLog)
class AuditLogAdmin(admin.ModelAdmin):
    list_display = ["at", "action", "traveller_id", "detail"]
    list_filter = ["action"]
    readonly_fields = ["at"]
