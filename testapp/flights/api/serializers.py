"""What does the API say about a row?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from testapp.flights.models import Airline, Airport, Booking, Flight, Plane, Weather


class AirlineSerializer(serializers.ModelSerializer):
    class Meta:
        model = Airline
        fields = ["carrier", "name"]


class AirportSerializer(serializers.ModelSerializer):
    class Meta:
        model = Airport
        fields = ["faa", "name", "lat", "lon", "alt", "tzone"]


class PlaneSerializer(serializers.ModelSerializer):
    class Meta:
        model = Plane
        fields = ["tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "speed", "engine"]


class FlightSerializer(serializers.ModelSerializer):
    """The codes of plane and destination: not all of them are described."""

    airline = serializers.CharField(source="carrier.name", read_only=True)
    manufacturer = serializers.CharField(source="plane.manufacturer", default=None, read_only=True)
    tailnum = serializers.CharField(source="plane_id")
    dest = serializers.CharField(source="dest_id")

    class Meta:
        model = Flight
        fields = [
            "id",
            "code",
            "date",
            "time_hour",
            "carrier",
            "airline",
            "number",
            "tailnum",
            "manufacturer",
            "origin",
            "dest",
            "distance",
            "dep_delay",
            "arr_delay",
            "air_time",
        ]


class WeatherSerializer(serializers.ModelSerializer):
    class Meta:
        model = Weather
        fields = ["id", "origin", "time_hour", "temp", "humid", "wind_dir", "wind_speed", "precip", "visib"]


class BookingSerializer(serializers.ModelSerializer):
    """A traveller, and the flight wherever it is described."""

    name = serializers.CharField(source="traveller.name", read_only=True)
    code = serializers.CharField(source="flight.code", read_only=True)
    airline = serializers.CharField(source="flight.carrier.name", read_only=True)
    departs = serializers.DateTimeField(source="flight.time_hour", read_only=True)

    class Meta:
        model = Booking
        fields = [
            "id",
            "traveller",
            "name",
            "flight",
            "code",
            "airline",
            "departs",
            "seat",
            "price",
            "status",
            "made_at",
        ]
        read_only_fields = ["made_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        booking = self.instance
        if booking is not None and attrs.get("traveller", booking.traveller) != booking.traveller:
            raise serializers.ValidationError({"traveller": "A booking stays with its traveller."})
        return attrs
