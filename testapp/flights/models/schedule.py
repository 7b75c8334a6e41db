"""What flew, and when?

A plane and its flights live together: both are placed by the tail number. The columns are those of the source files.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from django.db import models
from django.urls import reverse

from shardkit.models import ShardedModel, ShardKeyCharField
from testapp.flights.models.reference import Airline, Airport

#: What a seat costs: a fee, and so much for each mile.
BASE_FARE: Final = Decimal("29.00")
FARE_PER_MILE: Final = Decimal("0.11")


class Plane(ShardedModel):
    tailnum = ShardKeyCharField("tail number", max_length=6, primary_key=True)
    year = models.SmallIntegerField("year built", null=True, blank=True)
    type = models.CharField(max_length=40)
    manufacturer = models.CharField(max_length=60)
    model = models.CharField(max_length=40)
    engines = models.SmallIntegerField()
    seats = models.SmallIntegerField()
    speed = models.SmallIntegerField(null=True, blank=True)
    engine = models.CharField(max_length=30)

    shard_key = "tailnum"

    class Meta:
        ordering = ["tailnum"]

    def __str__(self) -> str:
        return str(self.tailnum)

    def get_absolute_url(self) -> str:
        return reverse("plane", args=[self.tailnum])


class Flight(ShardedModel):
    """A flight that left, or should have left, New York.

    The source names planes and destinations that it does not describe, and some flights name no plane. Hence no
    database constraint, and NULL allowed: so Django joins with LEFT and loses no flight.
    """

    year = models.SmallIntegerField()
    month = models.SmallIntegerField()
    day = models.SmallIntegerField()
    dep_time = models.SmallIntegerField("departure", null=True, blank=True)
    sched_dep_time = models.SmallIntegerField("scheduled departure")
    dep_delay = models.SmallIntegerField("departure delay (min)", null=True, blank=True)
    arr_time = models.SmallIntegerField("arrival", null=True, blank=True)
    sched_arr_time = models.SmallIntegerField("scheduled arrival")
    arr_delay = models.SmallIntegerField("arrival delay (min)", null=True, blank=True)
    carrier = models.ForeignKey(Airline, models.PROTECT, db_column="carrier", related_name="flights")
    number = models.SmallIntegerField("flight number", db_column="flight")
    plane = models.ForeignKey(
        Plane,
        models.DO_NOTHING,
        db_column="tailnum",
        related_name="flights",
        null=True,
        blank=True,
        db_constraint=False,
    )
    origin = models.ForeignKey(Airport, models.PROTECT, db_column="origin", related_name="departures")
    dest = models.ForeignKey(
        Airport,
        models.DO_NOTHING,
        db_column="dest",
        related_name="arrivals",
        verbose_name="destination",
        null=True,
        blank=True,
        db_constraint=False,
    )
    air_time = models.SmallIntegerField("time in the air (min)", null=True, blank=True)
    distance = models.SmallIntegerField("distance (miles)")
    hour = models.SmallIntegerField()
    minute = models.SmallIntegerField()
    time_hour = models.DateTimeField("scheduled hour (UTC)")

    shard_key = "plane"

    class Meta:
        ordering = ["time_hour", "minute", "id"]

    def __str__(self) -> str:
        return f"{self.code} {self.date} {self.origin_id}-{self.dest_id}"

    def get_absolute_url(self) -> str:
        return reverse("flight", args=[self.pk])

    @property
    def code(self) -> str:
        return f"{self.carrier_id}{self.number}"

    @property
    def date(self) -> dt.date:
        return dt.date(self.year, self.month, self.day)

    @property
    def departure(self) -> dt.time:
        return dt.time(self.hour, self.minute)

    @property
    def is_cancelled(self) -> bool:
        return self.dep_time is None

    @property
    def fare(self) -> Decimal:
        return BASE_FARE + FARE_PER_MILE * self.distance
