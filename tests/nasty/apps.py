"""Which collation does each database need before the nasty tables can be made?"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import pre_migrate

# ICU compares letters and accents here, and not their case; equal texts need not be the same bytes.
CREATE_COLLATION_SQL = (
    "CREATE COLLATION IF NOT EXISTS nasty_caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
)


class NastyConfig(AppConfig):
    name = "tests.nasty"
    label = "nasty"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        pre_migrate.connect(make_collation, sender=self)


def make_collation(*, using: str, **_kwargs: Any) -> None:
    """Make the collation that ignores case, on PostgreSQL, which brings none."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(CREATE_COLLATION_SQL)
