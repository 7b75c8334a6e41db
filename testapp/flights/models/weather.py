"""What was the weather like where the flights left?"""

from __future__ import annotations

from django.db import models

from shardkit.models import ShardedModel
from testapp.flights.models.reference import Airport


class Weather(ShardedModel):
    """One hour at one airport. A month of an airport is read together, so it lives together."""

    origin = models.ForeignKey(Airport, models.PROTECT, db_column="origin", related_name="weather")
    year = models.SmallIntegerField()
    month = models.SmallIntegerField()
    day = models.SmallIntegerField()
    hour = models.SmallIntegerField()
    temp = models.FloatField("temperature (°F)", null=True, blank=True)
    dewp = models.FloatField("dew point (°F)", null=True, blank=True)
    humid = models.FloatField("humidity (%)", null=True, blank=True)
    wind_dir = models.SmallIntegerField("wind direction (°)", null=True, blank=True)
    wind_speed = models.FloatField("wind speed (mph)", null=True, blank=True)
    wind_gust = models.FloatField("gusts (mph)", null=True, blank=True)
    precip = models.FloatField("precipitation (in)")
    pressure = models.FloatField("pressure (mbar)", null=True, blank=True)
    visib = models.FloatField("visibility (miles)")
    time_hour = models.DateTimeField("hour (UTC)")

    shard_key = ("origin", "year", "month")

    class Meta:
        ordering = ["origin_id", "time_hour"]
        verbose_name_plural = "weather"
        constraints = [
            # The local hour repeats when the clocks go back, so the hour in UTC tells two readings apart.
            # The shard key stands in front, so that what holds on each shard holds for all.
            models.UniqueConstraint(fields=["origin", "year", "month", "time_hour"], name="one_reading_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.origin_id} {self.time_hour:%Y-%m-%d %H:%M}"
