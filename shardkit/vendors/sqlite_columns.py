"""Which collation and which type has an expression for SQLite, where no function of its tells?

A column has those that it was declared with, also when it comes out of a subquery; CAST gives another type and keeps
the collation. COLLATE says one for everything around it. Whatever else there is compares bytes and has no type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from django.core.exceptions import FieldError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Aggregate, ExpressionWrapper, Func, Subquery, Window
from django.db.models.expressions import Col, RawSQL, Ref, SQLiteNumericMixin
from django.db.models.functions import Cast, Collate
from django.db.models.sql.query import Query
from django.db.models.sql.where import ExtraWhere

#: What is written as the call of a function, whatever its arguments are.
_CALL: Final = re.compile(r"(?!cast\b)\w+\s*\((?!.*\bcollate\b).*\)", re.IGNORECASE | re.DOTALL)
#: To these types Django casts by functions, which make something new.
_MADE_BY_FUNCTIONS: Final = frozenset({"date", "datetime", "time"})


def collation_of(expression: Any, connection: BaseDatabaseWrapper) -> str | None:
    """Name the collation by which text of *expression* compares, empty for its bytes; None where only SQLite knows."""
    if isinstance(expression, Col):
        return str(expression.target.db_parameters(connection).get("collation") or "")
    if isinstance(expression, Collate):
        return _named(expression)
    if isinstance(expression, Cast):
        inside = expression.source_expressions[0] if _is_written_as_cast(expression, connection) else None
    else:
        inside = _wrapped(expression)
    return _said_inside(expression) if inside is None else collation_of(inside, connection)


def type_of(expression: Any, connection: BaseDatabaseWrapper) -> str | None:
    """Return the type by whose affinity values of *expression* compare with others, None for none."""
    declared: str | None = None
    if isinstance(expression, Col):
        declared = expression.target.cast_db_type(connection)
    elif isinstance(expression, Cast):
        declared = expression.output_field.cast_db_type(connection)
        declared = declared if _is_written_as_cast(expression, connection) else None
    elif isinstance(expression, SQLiteNumericMixin) and _is_decimal(expression):
        declared = "numeric"  # Django writes a CAST around it
    else:
        inside = expression.source_expressions[0] if isinstance(expression, Collate) else _wrapped(expression)
        inside = _selected(expression) if type(expression) is Subquery else inside
        declared = None if inside is None else type_of(inside, connection)
    return declared


def is_known(expression: Any) -> bool:
    """Say whether SQLite's collation and type of *expression* can be told without asking it: not of SQL of others."""
    return all(map(_is_known, _walk(expression)))


def _said_inside(expression: Any) -> str | None:
    """Name the collation that some COLLATE inside of *expression* says, empty if there is none, None if unsure."""
    if not is_known(expression):
        return None
    said = {_named(node) for node in _walk(expression) if isinstance(node, Collate)}
    if not said:
        return ""
    return said.pop() if len(said) == 1 and not any(map(_has_more, _walk(expression))) else None


def _has_more(node: Any) -> bool:
    """Say whether something belongs to *node* that is no argument of it: a COLLATE there is for nothing around it."""
    return isinstance(node, Window) or (
        isinstance(node, Aggregate) and (node.filter is not None or getattr(node, "order_by", None) is not None)
    )


def _walk(expression: Any) -> Iterator[Any]:
    """Yield *expression* and everything inside of it but subqueries, which let no COLLATE out."""
    yield expression
    inside: list[Any] = [] if isinstance(expression, Query) else getattr(expression, "get_source_expressions", list)()
    for part in inside:
        if part is not None:
            yield from _walk(part)


def _is_known(node: Any) -> bool:
    kind = type(node)
    if isinstance(node, Func):
        is_djangos = kind.__module__.startswith("django.") and not node.extra.keys() & {"function", "template"}
        return is_djangos or _is_call(node)
    if not hasattr(node, "as_sql"):
        return True
    return kind.__module__.startswith("django.") and not isinstance(node, (RawSQL, ExtraWhere))


def _is_call(node: Func) -> bool:
    """Say whether the function *node* of somebody's is written as the call of one, and nothing around it."""
    kind: Any = type(node)
    if kind.as_sql is not Func.as_sql or getattr(kind, "as_sqlite", None) is not SQLiteNumericMixin.as_sqlite:
        return False
    template, function = node.extra.get("template", node.template), node.extra.get("function", node.function)
    return _CALL.fullmatch(str(template).replace("%(function)s", str(function))) is not None


def _is_written_as_cast(cast: Any, connection: BaseDatabaseWrapper) -> bool:
    return cast.output_field.db_type(connection) not in _MADE_BY_FUNCTIONS


def _is_decimal(expression: Any) -> bool:
    try:
        return bool(expression.output_field.get_internal_type() == "DecimalField")
    except (AttributeError, FieldError):
        return False


def _wrapped(expression: Any) -> Any:
    """Return what *expression* is another name for, None if it is something of its own."""
    match expression:
        case Ref():
            return expression.source  # type: ignore[attr-defined]
        case ExpressionWrapper():
            return expression.expression
        case _:
            return None


def _selected(subquery: Any) -> Any:
    """Return the only thing that *subquery* selects."""
    selected = [*subquery.query.select, *subquery.query.annotation_select.values()]
    return selected[0] if len(selected) == 1 else None


def _named(collate: Any) -> str:
    return str(collate.collation)
