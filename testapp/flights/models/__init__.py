"""Which tables does the site have?"""

from __future__ import annotations

from testapp.flights.models.audit import AuditLog
from testapp.flights.models.bookings import Booking, Traveller
from testapp.flights.models.reference import Airline, Airport
from testapp.flights.models.schedule import Flight, Plane
from testapp.flights.models.weather import Weather

__all__ = ["Airline", "Airport", "AuditLog", "Booking", "Flight", "Plane", "Traveller", "Weather"]
