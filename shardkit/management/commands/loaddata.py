"""Does each row of a fixture get to its shard, and no id of it be given again?"""

from __future__ import annotations

from typing import Any

from django.core.management.commands.loaddata import Command as DjangoLoaddata
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.management.serializing import logical_models, reset_placed_sequences
from shardkit.topology.names import LOGICAL


class Command(DjangoLoaddata):
    """Django's `loaddata`, for which the cluster is one database."""

    def handle(self, *fixture_labels: str, **options: Any) -> None:
        """Load the rows."""
        with logical_models(options["database"]):
            super().handle(*fixture_labels, **options)

    def reset_sequences(self, connection: BaseDatabaseWrapper, models: set[type[models.Model]]) -> None:
        """Begin new ids above those that came with the fixture, on placed databases too."""
        super().reset_sequences(connection, models)
        if connection.alias == LOGICAL:
            reset_placed_sequences(models)
