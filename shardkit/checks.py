"""What is wrong with how the project uses shardkit?

Settings are judged by `shardkit.conf`, models by `shardkit.orm.declarations`, and what the catalog says by the catalog;
each lists its ids. Here they become Django's system checks.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DatabaseError
from django.utils.module_loading import import_string

from shardkit import conf
from shardkit.catalog import store
from shardkit.errors import CatalogError, ShardMapMissing, UnknownShard
from shardkit.orm.declarations import findings, placement_findings
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.apps import AppConfig

#: The catalog contradicts the settings, or was written by a newer shardkit.
CATALOG_ERROR = "shardkit.E050"
#: Replicas are read, and nothing carries the sessions of users.
STICKY_WARNING = "shardkit.W003"
#: Tasks of Celery say what they must see, and nobody listens.
TASKS_WARNING = "shardkit.W006"
MIDDLEWARE = "shardkit.middleware.StickyPrimaryMiddleware"


def register_all() -> None:
    """Register every check with Django."""
    checks.register(check_settings, "shardkit")
    checks.register(check_tasks, "shardkit")
    checks.register(check_models, "shardkit", checks.Tags.models)
    checks.register(check_catalog, "shardkit", checks.Tags.database)


def check_settings(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Check SHARDKIT, DATABASES and what goes with them."""
    found = [_message(problem.id, problem.fact, problem.hint, None) for problem in conf.current_problems()]
    is_readable = not any(message.is_serious() for message in found)
    if is_readable and conf.get_settings().replicas and not _is_sticky():
        fact = "There are replicas, and MIDDLEWARE lacks the StickyPrimaryMiddleware: users may miss what they wrote."
        found.append(_message(STICKY_WARNING, fact, f"Add {MIDDLEWARE!r} as the first entry of MIDDLEWARE.", None))
    return found


def _is_sticky() -> bool:
    """Say whether the middleware, or a subclass of it, is in the settings; functions are taken for what they are."""
    kinds = (import_string(name) for name in settings.MIDDLEWARE)
    ancestors = (ancestor for kind in kinds for ancestor in getattr(kind, "__mro__", ()))
    return MIDDLEWARE in {f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in ancestors}


def check_tasks(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Check that the tasks of Celery that are known by now are heard, where Celery is used at all."""
    if "celery" not in sys.modules:
        return []
    from shardkit.consistency.jobs.celery import unheeded

    hint = "Call shardkit.consistency.jobs.celery.connect() where the application of Celery is made."
    return [
        _message(TASKS_WARNING, f"The task {name} says consistency={value!r}, which nobody heeds.", hint, None)
        for name, value in unheeded().items()
    ]


def check_models(app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Check how each model is placed."""
    if any(message.is_serious() for message in check_settings()) or not conf.get_settings().active:
        return []
    models = apps.get_models(include_auto_created=True)
    chosen = [model for model in models if app_configs is None or model._meta.app_config in app_configs]
    found = [finding for model in chosen for finding in findings(model)]
    found += [] if app_configs is not None else placement_findings()
    return [_message(finding.id, finding.fact, finding.hint, finding.subject) for finding in found]


def check_catalog(databases: Iterable[str] | None = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Check that the catalog, if there is one yet, agrees with the settings."""
    if LOGICAL not in (databases or ()) or not conf.get_settings().active:
        return []
    try:
        store.current_map()
    except (ShardMapMissing, DatabaseError):
        return []
    except (CatalogError, UnknownShard) as error:
        return [_message(CATALOG_ERROR, str(error), "See docs/reference/settings.md.", None)]
    return []


def _message(identifier: str, fact: str, hint: str, subject: Any) -> checks.CheckMessage:
    kind = checks.Warning if ".W" in identifier else checks.Error
    return kind(fact, hint=hint, obj=subject, id=identifier)
