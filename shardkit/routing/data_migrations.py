"""What is being migrated now, and does it reach every copy of a reference model?

A data migration runs once on each database, and there it writes that database's own copy. So the copies stay equal
only if it runs wherever there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import models, router

from shardkit.errors import CopiesWouldDiffer
from shardkit.routing.registry import Kind, databases_of, placement_of
from shardkit.topology.names import Alias


@dataclass(slots=True)
class Migrating:
    """The database that is being migrated, and how far it is."""

    alias: Alias
    #: The app and the name of the migration that runs.
    migration: tuple[str, str] | None = None
    #: Whether it is being taken back.
    is_backwards: bool = False
    #: Whether it has run on `default`, once that is known.
    has_run_on_default: bool = False
    #: The app and the hints of the data migration that runs: it asks the router first, and names no model itself.
    question: tuple[str, Mapping[str, Any]] | None = None
    #: The reference models whose copies were made or written.
    written: dict[type[models.Model], None] = field(default_factory=dict)

    def require_on_every_copy(self, model: type[models.Model]) -> None:
        """Refuse to write a copy of *model* where other copies will not be written by the same migration."""
        if self.question is None:
            return
        app_label, hints = self.question
        for alias in databases_of(model):
            if alias != self.alias and not router.allow_migrate(alias, app_label, **hints):
                remedy = f"Give it hints={{'model_name': {model._meta.model_name!r}}}, so that it writes each copy."
                raise CopiesWouldDiffer(self.alias, model._meta.label, f"does not run on {alias!r}", remedy)


#: What is being migrated. A migration runs once on each database, so it must not reach the others from there.
current: ContextVar[Migrating | None] = ContextVar("shardkit_migrating", default=None)


def migrated_alias() -> Alias | None:
    """Return the one database that is being migrated, None when none is."""
    running = current.get()
    return None if running is None else running.alias


def note_question(alias: str, app_label: str, hints: Mapping[str, Any]) -> None:
    """Note what the router is asked about *alias*: a data migration asks without a model, and then runs."""
    running = current.get()
    if running is not None and running.alias == alias:
        running.question = None if "model" in hints else (app_label, dict(hints))


def is_own_copy(model: type[models.Model], alias: str | None) -> bool:
    """Say whether *alias* is being migrated and has a copy of *model*, which the migration reads and writes."""
    running = current.get()
    return (
        running is not None
        and running.alias == alias
        and placement_of(model).kind is Kind.REFERENCE
        and alias in databases_of(model)
    )
