"""What happens when Django starts and after it migrates?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from shardkit.errors import SettingsInvalid
from shardkit.topology.names import LOGICAL


class ShardkitConfig(AppConfig):
    """The app that holds the catalog and the commands."""

    name = "shardkit"
    label = "shardkit"
    verbose_name = "shardkit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, tell what replicas are in tests, watch connections, and map the shards once migrated."""
        from shardkit import checks
        from shardkit.consistency import observing
        from shardkit.replication import mirrors

        checks.register_all()
        post_migrate.connect(_write_first_map, sender=self, dispatch_uid="shardkit.first_map")
        with suppress(SettingsInvalid):  # the checks tell what is wrong
            mirrors.declare()
            observing.start()


def _write_first_map(*, using: str, **_kwargs: Any) -> None:
    from shardkit import conf
    from shardkit.catalog import store

    if using == LOGICAL and conf.get_settings().topology.shards:
        store.create_first_map()
