"""Does each row of a fixture get to its shard, and no id of it be given again?"""

from __future__ import annotations

import inspect
from typing import Any, Final

from django.core.management import call_command
from django.core.management.commands.loaddata import Command as DjangoLoaddata
from django.core.serializers.base import DeserializedObject
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from shardkit.management.serializing import logical_models, reset_placed_sequences
from shardkit.management.targets import all_targets
from shardkit.orm.placing import found_on, home_of
from shardkit.routing.data_migrations import migrated_alias
from shardkit.routing.registry import Kind, databases_of, placement_of
from shardkit.topology.names import LOGICAL, Alias

#: Where Django's test classes are, which load their fixtures once for each database.
TEST_CLASSES: Final = "django.test.testcases"


class Command(DjangoLoaddata):
    """Django's `loaddata`, for which the cluster is one database."""

    #: Only what lives on this database is loaded.
    only: Alias | None = None

    def handle(self, *fixture_labels: str, **options: Any) -> None:
        """Load the rows; those that live on it where a shard or a placed database is named."""
        alias = options["database"]
        if alias not in {LOGICAL, migrated_alias()} and alias in {target.alias for target in all_targets()}:
            if _loads_fixtures_of_test_class():
                _require_logical()
                return
            self.only, options["database"] = alias, LOGICAL
        with logical_models(options["database"]):
            super().handle(*fixture_labels, **options)

    def get_targets(self, *what: Any) -> Any:
        """Find the fixtures whose names say the database that was named, or none."""
        using, self.using = self.using, self.only or self.using
        try:
            return super().get_targets(*what)
        finally:
            self.using = using

    def save_obj(self, obj: DeserializedObject) -> bool:
        """Save a row, if it is one of those that are loaded."""
        model = type(obj.object)
        excluded = model in self.excluded_models or model._meta.app_config in self.excluded_apps
        if self.only is not None and not excluded and not _lives_on(self.only, obj.object):
            return False
        saved: bool = super().save_obj(obj)
        return saved

    def reset_sequences(self, connection: BaseDatabaseWrapper, models: set[type[models.Model]]) -> None:
        """Begin new ids above those that came with the fixture, on placed databases too."""
        super().reset_sequences(connection, models)
        if connection.alias == LOGICAL:
            reset_placed_sequences(models)


def _lives_on(alias: Alias, instance: models.Model) -> bool:
    """Say whether a row lives on the shard or placed database *alias*, and nowhere else."""
    placement = placement_of(type(instance))
    if placement.kind is not Kind.SHARDED or alias not in databases_of(placement.model):
        return placement.kind is Kind.PLACED and placement.alias == alias
    known = None if instance.pk is None else found_on(instance, placement)
    return alias == (known or home_of(instance, placement, "loaddata"))


def _loads_fixtures_of_test_class() -> bool:
    """Say whether a test class loads its fixtures: all were loaded with `default`, of which this database is a part."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not call_command.__code__:
        frame = frame.f_back
    caller = frame.f_back if frame is not None else None
    return caller is not None and caller.f_globals.get("__name__") == TEST_CLASSES


def _require_logical() -> None:
    """Let Django say by name that a test class may not ask `default`, with which all rows are loaded."""
    with connections[LOGICAL].cursor():
        pass
