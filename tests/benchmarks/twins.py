"""What would the model be in a project that never heard of shardkit?

A twin is an ordinary unmanaged `models.Model` on the same table: Django's own fields, manager, queryset and metaclass.
It stands in a registry of its own, since a table has one placement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.apps.registry import Apps
from django.db import connections, models, router

from tests.oracle import ORACLE

_registry: Final = Apps()
_APP: Final = "plain"


def twin(model: type[models.Model]) -> Any:
    """Return the twin of *model*; what it refers to has twins too."""
    name = model.__name__
    if name.lower() in _registry.all_models[_APP]:
        return _registry.all_models[_APP][name.lower()]
    options = type("Meta", (), _options(model))
    fields = {field.name: _plain_field(field) for field in model._meta.local_fields}
    made = type(name, (models.Model,), {**fields, "Meta": options, "__module__": __name__})
    for field in model._meta.local_fields:
        if field.related_model is not None:
            twin(field.related_model)
    return made


def _options(model: type[models.Model]) -> dict[str, Any]:
    return {
        "app_label": _APP,
        "apps": _registry,
        "db_table": model._meta.db_table,
        "managed": False,
        "ordering": model._meta.ordering,
    }


def _plain_field(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    """Return what *field* would be if it were Django's own."""
    _, _, args, kwargs = field.deconstruct()
    if field.related_model is not None:
        kwargs["to"] = f"{_APP}.{field.related_model.__name__}"
    kind: Any = next(kind for kind in type(field).__mro__ if kind.__module__.startswith("django."))
    plain: models.Field[Any, Any] = kind(*args, **kwargs)
    return plain


@contextmanager
def without_routers() -> Iterator[None]:
    """Let the project have no database router."""
    routers, router.routers = router.routers, []
    try:
        yield
    finally:
        router.routers = routers


@contextmanager
def one_plain_database(alias: str = ORACLE) -> Iterator[None]:
    """Let the project have no router, and the plain database *alias* as its default."""
    logical = connections["default"]
    connections["default"] = connections[alias]
    try:
        with without_routers():
            yield
    finally:
        connections["default"] = logical
