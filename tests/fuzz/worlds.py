"""Which tables does a data set fill?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from django.db.models import Model

from testapp.flights import models as flights
from tests.nasty import models as nasty
from tests.shop import models as shop


@dataclass(frozen=True)
class World:
    """Models that refer to each other, referred-to models first."""

    name: str
    models: tuple[type[Model], ...]
    #: Those that questions begin with, the more often named the more often.
    asked: tuple[type[Model], ...]

    @cached_property
    def members(self) -> frozenset[type[Model]]:
        return frozenset(self.models)

    @cached_property
    def tables(self) -> tuple[type[Model], ...]:
        """The models of every table, those of many-to-many relations after what they refer to."""
        throughs: list[Any] = [
            field.remote_field.through for model in self.models for field in model._meta.local_many_to_many
        ]
        return (*self.models, *throughs)


_SHOP: Final = World(
    "shop",
    (
        shop.Country,
        shop.Label,
        shop.Product,
        shop.Customer,
        shop.Profile,
        shop.Order,
        shop.Line,
        shop.Shipment,
        shop.Tagged,
        shop.Reading,
        shop.Gadget,
        shop.Document,
        shop.Parcel,
        shop.Ticket,
        shop.Answer,
        shop.Room,
        shop.Invoice,
        shop.InvoiceLine,
    ),
    (
        *(shop.Order, shop.Order, shop.Order, shop.Customer, shop.Customer, shop.Customer, shop.Line, shop.Line),
        *(shop.Shipment, shop.Shipment, shop.Country, shop.Label, shop.Product, shop.Profile, shop.Tagged),
        *(shop.Reading, shop.Gadget, shop.Document, shop.Parcel, shop.Ticket, shop.Answer, shop.Answer, shop.Room),
        *(shop.Regular, shop.Invoice, shop.OrderReport),
    ),
)
_NASTY: Final = World(
    "nasty",
    (
        *(nasty.Tone, nasty.Shelf, nasty.Box, nasty.Thing, nasty.Mark, nasty.Spot, nasty.Pebble),
        *(nasty.Floor, nasty.Stair, nasty.Tread, nasty.Locker, nasty.Choir),
    ),
    (
        *(nasty.Thing, nasty.Thing, nasty.Thing, nasty.Thing, nasty.Mark, nasty.Mark, nasty.Box, nasty.Spot),
        *(nasty.Pebble, nasty.Tone, nasty.Shelf, nasty.Floor, nasty.Stair, nasty.Tread, nasty.Locker, nasty.Choir),
    ),
)
_FLIGHTS: Final = World(
    "flights",
    (
        flights.Airline,
        flights.Airport,
        flights.Plane,
        flights.Flight,
        flights.Weather,
        flights.Traveller,
        flights.Booking,
        flights.AuditLog,
    ),
    (
        *(flights.Flight, flights.Flight, flights.Flight, flights.Plane, flights.Weather, flights.Weather),
        *(flights.Traveller, flights.Booking, flights.Booking, flights.Airport, flights.Airline, flights.AuditLog),
    ),
)
WORLDS: Final[Mapping[str, World]] = {world.name: world for world in (_SHOP, _NASTY, _FLIGHTS)}
