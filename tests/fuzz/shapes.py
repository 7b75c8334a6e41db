"""Which columns and relations does a model have, as far as a random question is concerned?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django.db.models import Field, ForeignKey, ForeignObjectRel, Model

#: What a column holds, by Django's own name of the field's type.
KINDS: Final[Mapping[str, str]] = {
    "AutoField": "int",
    "BigAutoField": "int",
    "BigIntegerField": "int",
    "BinaryField": "bytes",
    "BooleanField": "bool",
    "CharField": "text",
    "DateField": "date",
    "DateTimeField": "datetime",
    "DecimalField": "decimal",
    "DurationField": "duration",
    "FloatField": "float",
    "IntegerField": "int",
    "JSONField": "json",
    "SmallIntegerField": "int",
    "TextField": "text",
    "TimeField": "time",
    "UUIDField": "uuid",
}


@dataclass(frozen=True)
class Column:
    """A column of a table, by its name in lookups."""

    name: str
    kind: str
    model: type[Model]
    field: Any
    #: What it refers to, if it is a foreign key.
    refers_to: type[Model] | None = None


@dataclass(frozen=True)
class Relation:
    """The way from a model to another, by its name in lookups."""

    name: str
    model: type[Model]
    #: It may lead to several rows.
    many: bool
    #: What prefetch_related() calls it.
    accessor: str
    #: select_related() takes it.
    selectable: bool


@dataclass(frozen=True)
class Shape:
    """The columns and relations of one model."""

    model: type[Model]
    columns: tuple[Column, ...]
    relations: tuple[Relation, ...]

    def of_kind(self, *kinds: str) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in kinds)

    @property
    def pk(self) -> str:
        return str(self.model._meta.pk.name)


@cache
def shape_of(model: type[Model], world: frozenset[type[Model]]) -> Shape:
    """Describe *model* with its relations to the models of *world*."""
    columns = [_column(field, model) for field in model._meta.concrete_fields if kind_of(field)]
    relations = []
    for field in model._meta.get_fields():
        other: Any = field.related_model
        if field.is_relation and other in world and not getattr(field, "hidden", False):
            relations.append(_relation(field, other))
    return Shape(model, tuple(columns), tuple(relations))


def kind_of(field: Field[Any, Any]) -> str | None:
    """Say what *field* holds; a foreign key holds what it points at."""
    while isinstance(field, ForeignKey):
        field = field.target_field
    return KINDS.get(field.get_internal_type())


def _column(field: Any, model: type[Model]) -> Column:
    refers_to = field.related_model if field.is_relation else None
    return Column(field.name, str(kind_of(field)), model, field, refers_to)


def _relation(field: Any, other: type[Model]) -> Relation:
    many = bool(field.many_to_many or field.one_to_many)
    accessor = str(field.get_accessor_name() if isinstance(field, ForeignObjectRel) else field.name)
    selectable = not many and (field.concrete or bool(field.one_to_one))
    return Relation(field.name, other, many, accessor, selectable)
