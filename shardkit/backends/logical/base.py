"""The engine of `default` over any other backend, which ``DATABASES["default"]["BASE_ENGINE"]`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

from shardkit.backends.connection import logical_wrapper

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def DatabaseWrapper(settings_dict: dict[str, Any], alias: str) -> BaseDatabaseWrapper:  # noqa: N802 - Django calls it
    """Make the logical connection over the backend that the settings name."""
    engine = settings_dict.get("BASE_ENGINE")
    if not engine:
        raise ImproperlyConfigured(
            f"DATABASES[{alias!r}] uses shardkit.backends.logical without BASE_ENGINE. Name the backend it stands on, "
            "such as 'django.contrib.gis.db.backends.postgis'."
        )
    return logical_wrapper(engine)(settings_dict, alias)
