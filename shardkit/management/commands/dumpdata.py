"""Does a dump of `default` hold the sharded rows too? Yes, each once, from wherever it lives."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.dumpdata import Command as DjangoDumpdata

from shardkit.management.serializing import CATALOG_APP, logical_models


class Command(DjangoDumpdata):
    """Django's `dumpdata`, for which the cluster is one database."""

    def handle(self, *app_labels: str, **options: Any) -> None:
        """Dump the rows; the catalog only where it is asked for by name, for it describes this very cluster."""
        if not any(label.split(".")[0] == CATALOG_APP for label in app_labels):
            options["exclude"] = [*options["exclude"], CATALOG_APP]
        with logical_models(options["database"]):
            super().handle(*app_labels, **options)
