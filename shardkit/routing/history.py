"""What is a model called today that an old migration knows by another name?"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RenameModel, SeparateDatabaseAndState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import Model


def todays_model(app_label: str, model_name: str) -> type[Model] | None:
    """Return the model of that name, or of the name that it was given later; None when it is gone."""
    name, seen = model_name.lower(), set[str]()
    while name not in seen:
        try:
            return apps.get_model(app_label, name)
        except LookupError:
            seen.add(name)
            name = _renamed().get((app_label, name), name)
    return None


@cache
def _renamed() -> dict[tuple[str, str], str]:
    """Map (app, old name) to the new name, by the migrations of all apps."""
    migrations = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return {
        (app_label, operation.old_name_lower): operation.new_name_lower
        for (app_label, _), migration in migrations.items()
        for operation in _renames(migration.operations)
    }


def _renames(operations: Iterable[Any]) -> Iterator[RenameModel]:
    for operation in operations:
        if isinstance(operation, RenameModel):
            yield operation
        elif isinstance(operation, SeparateDatabaseAndState):
            yield from _renames([*operation.database_operations, *operation.state_operations])
