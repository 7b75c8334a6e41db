"""What is this app called?"""

from __future__ import annotations

from django.apps import AppConfig


class FlightsConfig(AppConfig):
    name = "testapp.flights"
    label = "flights"
    verbose_name = "Flights from New York"
