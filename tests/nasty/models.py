"""Columns of every type that databases compare in their own way, and orders that see more than their own row."""

from __future__ import annotations

import os
from typing import Final

from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Rank

from shardkit.models import ReferenceModel, ShardedModel, ShardKeyCharField

VENDOR: Final = os.environ.get("TESTAPP_VENDOR", "sqlite")
#: A collation that ignores case, by vendor; tests.nasty.apps makes PostgreSQL's.
CASELESS: Final = {"sqlite": "nocase", "postgresql": "nasty_caseless", "mysql": "utf8mb4_general_ci"}[VENDOR]
#: A collation of code points.
BINARY: Final = {"sqlite": "binary", "postgresql": "C", "mysql": "utf8mb4_bin"}[VENDOR]


class Tone(ReferenceModel):
    """Copied, and named by text that ignores case."""

    name = models.CharField(max_length=20, db_collation=CASELESS)
    level = models.IntegerField(null=True)


class Shelf(models.Model):
    """Global."""

    name = models.CharField(max_length=20, null=True)  # noqa: DJ001 - NULL is one of the traps
    price = models.DecimalField(max_digits=20, decimal_places=4, null=True)


class Box(ShardedModel):
    shard_key = "id"
    name = models.CharField(max_length=30)
    tone = models.ForeignKey(Tone, models.PROTECT, null=True, related_name="boxes")


class Thing(ShardedModel):
    """It lives with its box, and its rival anywhere."""

    shard_key = "box"
    box = models.ForeignKey(Box, models.CASCADE, related_name="things")
    rival = models.ForeignKey("self", models.SET_NULL, null=True, related_name="rivals", db_constraint=False)
    tone = models.ForeignKey(Tone, models.PROTECT, null=True, related_name="things")
    shelf = models.ForeignKey(Shelf, models.PROTECT, null=True, related_name="things", db_constraint=False)
    tones = models.ManyToManyField(Tone, related_name="heard_in")
    text = models.CharField(max_length=30, null=True)  # noqa: DJ001
    caseless = models.CharField(max_length=30, null=True, db_collation=CASELESS)  # noqa: DJ001
    binary = models.CharField(max_length=30, db_collation=BINARY)
    #: The length is for forms; the column takes any.
    long = models.TextField(blank=True, max_length=5)
    small = models.SmallIntegerField(null=True)
    huge = models.BigIntegerField(null=True)
    real = models.FloatField(null=True)
    money = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    flag = models.BooleanField(null=True)
    day = models.DateField(null=True)
    at = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    uid = models.UUIDField(null=True)
    blob = models.BinaryField(null=True)
    data = models.JSONField(null=True)

    class Meta:
        ordering = ["caseless", "-real", "pk"]


class Mark(ShardedModel):
    """Placed by a text of its own, so that its thing is anywhere."""

    shard_key = "word"
    word = ShardKeyCharField(max_length=10)
    thing = models.ForeignKey(Thing, models.CASCADE, null=True, related_name="marks", db_constraint=False)
    value = models.FloatField(null=True)
    at = models.DateTimeField(null=True)


class Spot(ShardedModel):
    """Placed by a decimal and a date, one of which may be NULL."""

    shard_key = ("size", "day")
    size = models.DecimalField(max_digits=12, decimal_places=4)
    day = models.DateField(null=True)
    flag = models.BooleanField()
    mark = models.ForeignKey(Mark, models.CASCADE, null=True, related_name="spots", db_constraint=False)


class Pebble(ShardedModel):
    """Placed by a UUID that is its primary key."""

    shard_key = "id"
    id = models.UUIDField(primary_key=True)
    text = models.CharField(max_length=30, db_collation=CASELESS)
    real = models.FloatField()


class Choir(models.Model):
    """Global, and it declares a relation to what is sharded."""

    boxes = models.ManyToManyField(Box, related_name="choirs", db_constraint=False)


class Floor(ShardedModel):
    """Ordered by a window function."""

    shard_key = "id"
    level = models.IntegerField()

    class Meta:
        ordering = [Window(Rank(), order_by=["-level", "pk"])]


class Stair(ShardedModel):
    """Ordered by text that reads its table; its floor is anywhere."""

    shard_key = "id"
    level = models.IntegerField()
    floor = models.ForeignKey(Floor, models.CASCADE, null=True, related_name="stairs", db_constraint=False)

    class Meta:
        ordering = [RawSQL("(SELECT COUNT(*) FROM nasty_stair s WHERE s.level < nasty_stair.level)", ()), "pk"]


class Tread(ShardedModel):
    """Ordered by a subquery about rows that are anywhere."""

    shard_key = "id"
    level = models.IntegerField()
    stair = models.ForeignKey(Stair, models.CASCADE, null=True, related_name="treads", db_constraint=False)

    class Meta:
        ordering = [
            Subquery(
                Stair.objects.filter(level=OuterRef("level"))
                .order_by()
                .values("level")
                .annotate(n=Count("pk"))
                .values("n")
            ).desc(nulls_last=True),
            "level",
            "pk",
        ]


class Locker(ShardedModel):
    """No two that are full have one number."""

    shard_key = "id"
    number = models.IntegerField()
    load = models.IntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["number"], condition=Q(load__gt=5), name="locker_full")]
