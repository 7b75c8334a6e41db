"""What does an expression ask of the databases, when they do not answer?

It is evaluated up to the first statement that it would run; the plan of that one has been announced by then.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any, Final

from django.apps import apps
from django.db import connections, models
from django.db.models import functions
from django.utils import timezone

from shardkit import conf
from shardkit.catalog import store
from shardkit.routing.plan import Plan
from shardkit.signals import query_planned

#: What the connections and the catalog ask by themselves.
_OWN: Final = re.compile(
    r"\s*(SET|PRAGMA|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|START|COMMIT)\b|.*\bshardkit_", re.IGNORECASE | re.DOTALL
)


class Asked(BaseException):
    """A statement was about to run. No handler in between is for this."""

    @staticmethod
    @contextmanager
    def anything() -> Iterator[None]:
        """Raise this at any statement inside the block."""

        def guard(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
            if _OWN.match(str(sql)):
                return execute(sql, params, many, context)
            raise Asked

        with ExitStack() as stack:
            for alias in connections:
                stack.enter_context(connections[alias].execute_wrapper(guard))
            yield


def evaluated(expression: str, **names: Any) -> tuple[Any, list[tuple[str, Plan]]]:
    """Return what *expression* comes to, and the plans that it had made until it would have asked a database."""
    asked: list[tuple[str, Plan]] = []

    def note(sender: type[models.Model] | None, plan: Plan, **_kwargs: object) -> None:
        asked.append((sender._meta.label if sender else "The query", plan))

    if conf.get_settings().topology.shards:
        store.current_map()
    query_planned.connect(note)
    try:
        with Asked.anything():
            return eval(expression, {**namespace(), **names}), asked  # noqa: S307 - whoever types a command may
    except Asked:
        return None, asked
    finally:
        query_planned.disconnect(note)


def namespace() -> dict[str, Any]:
    """Return what expressions are made of: all models by name, and by label where two have one name."""
    known: dict[str, Any] = {"datetime": dt, "Decimal": Decimal, "timezone": timezone, "models": models}
    known |= {name: getattr(module, name) for module in (functions, models) for name in module.__all__}
    known |= {model.__name__: model for model in reversed(apps.get_models())}
    return known | {app.label: app.models_module for app in apps.get_app_configs() if app.models_module}
