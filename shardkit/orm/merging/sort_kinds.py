"""What kind of values does an expression sort by, as far as Django knows?"""

from __future__ import annotations

import re
from typing import Any, Final

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import Col, Ref
from django.db.models.functions import Collate

from shardkit.merge.ordering import Kind, Sorted
from shardkit.vendors.registry import vendor_of

#: Fields by what they hold, the more special ones first.
_KINDS: Final[tuple[tuple[tuple[type[models.Field[Any, Any]], ...], Kind], ...]] = (
    ((models.BooleanField,), Kind.BOOLEAN),
    ((models.IntegerField, models.FloatField, models.DecimalField), Kind.NUMBER),
    ((models.DateField, models.TimeField), Kind.TIME),
    ((models.DurationField,), Kind.DURATION),
    ((models.UUIDField,), Kind.UUID),
    ((models.BinaryField,), Kind.BYTES),
    ((models.CharField, models.TextField, models.FileField, models.FilePathField), Kind.TEXT),
    ((models.GenericIPAddressField,), Kind.ADDRESS),
)
#: A type that takes so many characters.
_LIMITED: Final = re.compile(r"char\((\d+)\)", re.IGNORECASE)
#: Whose `db_type()` is known to fit the kind.
_TRUSTED: Final = ("django.", "shardkit.")


def kind_of_sort(expression: Any, connection: Any) -> Sorted:
    """Say what is known of *expression*, before any row is read."""
    found: Any = getattr(expression, "source", expression) if isinstance(expression, Ref) else expression
    field = _field(found)
    kind = Kind.UNKNOWN if field is None else _kind(field)
    collation = vendor_of(connection).collation_of(found)
    return Sorted(
        kind,
        width=_width(field, connection) if kind is Kind.TEXT and _is_column(found) else None,
        collation=collation or "",
        is_plain=collation is not None,
    )


def _field(expression: Any) -> Any:
    """Return the field that *expression* gives values of; a foreign key gives those of what it points at."""
    try:
        field = expression.output_field
    except (AttributeError, FieldError):
        return None
    while getattr(field, "target_field", None) is not None and field.remote_field is not None:
        field = field.target_field
    return field


def _kind(field: Any) -> Kind:
    if not str(type(field).db_type.__module__).startswith(_TRUSTED):
        return Kind.UNKNOWN
    return next((kind for fields, kind in _KINDS if isinstance(field, fields)), Kind.UNKNOWN)


def _is_column(expression: Any) -> bool:
    """Say whether *expression* is a column, by whatever collation."""
    while isinstance(expression, Collate):
        (expression,) = expression.get_source_expressions()
    return isinstance(expression, Col)


def _width(field: Any, connection: Any) -> int:
    """Return how many characters the column of *field* takes, 0 if any number: forms have limits of their own."""
    found = _LIMITED.search(str(field.db_type(connection)))
    return int(found[1]) if found else 0
