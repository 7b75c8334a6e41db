"""Who did what, and when? Kept away from the rest, on a database of its own."""

from __future__ import annotations

from django.db import models

from shardkit.models import PlacedModel


class AuditLog(PlacedModel):
    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=40)
    traveller_id = models.BigIntegerField("traveller", null=True, blank=True, db_index=True)
    detail = models.CharField(max_length=200, blank=True)

    database = "audit"

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = "audit log entry"
        verbose_name_plural = "audit log"

    def __str__(self) -> str:
        return f"{self.action} {self.detail}".strip()
