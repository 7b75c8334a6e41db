"""Who travels, and on what?

A traveller's bookings live with the traveller, wherever the booked flights are.
"""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse

from shardkit.models import ShardedModel
from testapp.flights.models.reference import Airport
from testapp.flights.models.schedule import Flight


class Traveller(ShardedModel):
    name = models.CharField(max_length=100)
    email = models.EmailField()
    home = models.ForeignKey(
        Airport, models.SET_NULL, verbose_name="home airport", related_name="residents", null=True, blank=True
    )
    favourites = models.ManyToManyField(Airport, verbose_name="favourite airports", related_name="fans", blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        related_name="travellers",
        null=True,
        blank=True,
        db_constraint=False,
    )

    shard_key = "id"

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Booking(ShardedModel):
    class Status(models.TextChoices):
        BOOKED = "booked", "booked"
        CANCELLED = "cancelled", "cancelled"

    traveller = models.ForeignKey(Traveller, models.CASCADE, related_name="bookings")
    flight = models.ForeignKey(Flight, models.DO_NOTHING, related_name="bookings", db_constraint=False)
    seat = models.CharField(
        max_length=3,
        validators=[RegexValidator(r"^[1-9]\d?[A-F]$", "A seat is a row and a letter, such as 12C.")],
    )
    price = models.DecimalField(max_digits=8, decimal_places=2)
    made_at = models.DateTimeField(auto_now_add=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.BOOKED)

    shard_key = "traveller"

    class Meta:
        ordering = ["-made_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["traveller", "flight"], name="one_booking_a_flight")]

    def __str__(self) -> str:
        return f"{self.flight_id} {self.seat}"

    def get_absolute_url(self) -> str:
        return reverse("booking", args=[self.pk])

    @property
    def is_cancelled(self) -> bool:
        return self.status == self.Status.CANCELLED
