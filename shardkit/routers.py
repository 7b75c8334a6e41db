"""Which database does Django ask when nobody named one?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps

from shardkit import conf
from shardkit.orm.aliases import READS
from shardkit.routing.data_migrations import is_own_copy, migrated_alias, note_question
from shardkit.routing.history import todays_model
from shardkit.routing.registry import Kind, databases_of, placement_of, serializing
from shardkit.topology.names import LOGICAL, Alias

if TYPE_CHECKING:
    from django.db.models import Model


class ShardRouter:
    """Send everything to the logical database, which plans it, and let each table be made where its rows live.

    Its answers are always explicit: with None, Django would go to the database of whatever instance is at hand.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Answer the logical database, marked for a read where there are replicas.

        A migration reads the copies of reference models where it runs: those of other databases are behind, or ahead.
        """
        del hints
        migrated = migrated_alias()
        if migrated is not None:
            return migrated if is_own_copy(model, migrated) else LOGICAL
        return READS if conf.get_settings().replicas else LOGICAL

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Answer the logical database; a migration writes the copies of reference models where it runs."""
        del hints
        migrated = migrated_alias()
        return migrated if migrated is not None and is_own_copy(model, migrated) else LOGICAL

    def allow_relation(self, *objects: Model, **hints: Any) -> bool:
        """Allow every relation: all rows are rows of the logical database."""
        del objects, hints
        return True

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """Say whether a table belongs on the database *db*; of databases that are not ours we have no opinion.

        An operation without a model (``RunPython``, ``RunSQL``) runs where its app has a table.
        """
        settings = conf.get_settings()
        note_question(db, app_label, hints | ({"model_name": model_name} if model_name else {}))
        ours = {LOGICAL, *settings.topology.primaries, *settings.placed_aliases, *_placed_by_models()}
        if db in settings.replica_aliases or db == settings.gather_coordinator:
            return False
        model = hints.get("model") or (todays_model(app_label, model_name) if model_name else None)
        if db not in ours:
            return None if model is None or placement_of(model).kind is Kind.GLOBAL else False
        if model is None:
            return _has_table(db, app_label) if model_name is None else db not in settings.placed_aliases
        return _belongs(model, db)


def _belongs(model: type[Model], db: str) -> bool:
    if db == LOGICAL and serializing.get():
        return True
    return db in databases_of(model)


def _has_table(db: str, app_label: str) -> bool:
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label == app_label]
    return any(db in databases_of(model) for model in models) if models else db == LOGICAL


def _placed_by_models() -> set[Alias]:
    found = (placement_of(model) for model in apps.get_models())
    return {placement.alias for placement in found if placement.kind is Kind.PLACED}
