"""What do all flights refer to?

Small tables that everything joins, so every database holds a full copy. The columns are those of the source files.
"""

from __future__ import annotations

from django.db import models
from django.urls import reverse

from shardkit.models import ReferenceModel, ShardKeyCharField


class Airline(ReferenceModel):
    carrier = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["carrier"]

    def __str__(self) -> str:
        return self.name


class Airport(ReferenceModel):
    # The weather is placed by its airport, so the code needs the text equality of a shard key.
    faa = ShardKeyCharField("FAA code", max_length=3, primary_key=True)
    name = models.CharField(max_length=100)
    lat = models.FloatField("latitude")
    lon = models.FloatField("longitude")
    alt = models.IntegerField("altitude (ft)")
    tz = models.SmallIntegerField("offset from UTC (h)")
    dst = models.CharField("daylight saving", max_length=1)
    tzone = models.CharField("time zone", max_length=40, null=True, blank=True)  # noqa: DJ001 - the source has both

    class Meta:
        ordering = ["faa"]

    def __str__(self) -> str:
        return f"{self.faa} {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("airport", args=[self.faa])
