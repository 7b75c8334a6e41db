"""What is wrong with a row's shard key, that a form should say before the row is saved?

No database is asked, but for a directory's if its cache does not know the key: what is refused here would be refused
on saving, and what cannot be judged here is left to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from shardkit.errors import ShardKeyImmutable
from shardkit.orm.aliases import is_routing
from shardkit.orm.placing import home_of_saved, key_of, shard_alias_of
from shardkit.routing import owners
from shardkit.routing.functions import ByKey
from shardkit.routing.registry import Kind, placement_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.db.models import Model

    from shardkit.routing.registry import ModelPlacement

MOVED: Final = _(
    "%(model)s cannot be moved to this %(field)s, whose rows are stored elsewhere. Create it anew there, and delete "
    "this one."
)
NOT_COVERED: Final = _("No place is set up for rows with this %(field)s.")


def key_problem(instance: Model, unjudged: Collection[str]) -> tuple[str, ValidationError] | None:
    """Return the field and what is wrong with it: the key of *instance* has no place, or not that of the saved row.

    Nothing is said of fields in *unjudged*.
    """
    placement = placement_of(type(instance))
    if placement.kind is not Kind.SHARDED or not is_routing():
        return None
    key = key_of(placement)
    fields: list[Any] = [instance._meta.get_field(attname) for attname in key.attnames]
    judged = [field for field in fields if field.name not in unjudged]
    if not judged or not set(key.attnames) <= instance.__dict__.keys():
        return None
    values = _prepped(instance, fields)
    if values is None:
        return None
    message, code = _judged(instance, placement, values)
    if not code:
        return None
    named = {"model": capfirst(instance._meta.verbose_name), "field": judged[0].verbose_name}
    return judged[0].name, ValidationError(message, code=code, params=named)


def _prepped(instance: Model, fields: list[Any]) -> tuple[Any, ...] | None:
    """Return the key as a database has it, None where a value is missing or none of its field: others say that."""
    try:
        values = tuple(field.get_prep_value(getattr(instance, field.attname)) for field in fields)
    except (TypeError, ValueError):
        return None
    missing = any(value is None and not field.null for field, value in zip(fields, values, strict=True))
    return None if missing else values


def _judged(instance: Model, placement: ModelPlacement, values: tuple[Any, ...]) -> tuple[Any, str]:
    """Return a message and its code; no code if there is nothing to say."""
    function = key_of(placement).function
    if owners.find(key_of(placement), values) is None:
        assigns = not isinstance(function, ByKey) or getattr(function.sharding, "new_keys", None) is not None
        return ("", "") if assigns else (NOT_COVERED, "shard_key_not_covered")
    if not instance._state.adding and shard_alias_of(instance) is not None:
        try:
            home_of_saved(instance, placement, "full_clean()")
        except ShardKeyImmutable:
            return MOVED, "shard_key_immutable"
    return "", ""
