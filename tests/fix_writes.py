"""Does a write leave the shards as it would have left one plain database?

`same_write()` runs it in both worlds and compares what it returned and the full content of every table. Ids of new
rows differ between the worlds, so a new row is known by its values, those of the rows it refers to included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import MultipleObjectsReturned, ValidationError
from django.db import Error, models, transaction
from django.db.models import Model, QuerySet

from shardkit.routing import owners
from shardkit.routing.registry import Kind, placement_of
from tests.oracle import ORACLE, on_plain_database

#: Every row of a table: primary key to column values.
Rows = dict[Any, dict[str, Any]]
#: Every row of every table of the shop, by the model's label.
Content = dict[str, Rows]

#: What a write may raise in both worlds alike.
EXPECTED = (
    Error,
    models.ProtectedError,
    models.RestrictedError,
    models.ObjectDoesNotExist,
    MultipleObjectsReturned,
    ValidationError,
    ValueError,
)


def shop_models() -> list[type[Model]]:
    """List the concrete models of the shop, through tables included."""
    found = apps.get_app_config("shop").get_models(include_auto_created=True)
    return [model for model in found if not model._meta.proxy]


def rows_on(model: type[Model], alias: str) -> Rows:
    """Return all rows of *model*'s own table on one database, which is read as it is."""
    fields = [field.attname for field in model._meta.local_concrete_fields]
    rows: Any = QuerySet(model, using=alias).values(*fields)
    pk = [field.attname for field in model._meta.pk_fields]
    return {row[pk[0]] if len(pk) == 1 else tuple(row[name] for name in pk): row for row in rows}


def content_of_shards() -> Content:
    """Read every database, and insist that each row is where it belongs and nowhere else."""
    return {model._meta.label: _rows_of_cluster(model) for model in shop_models()}


def content_of(alias: str) -> Content:
    """Read one plain database."""
    return {model._meta.label: rows_on(model, alias) for model in shop_models()}


def _rows_of_cluster(model: type[Model]) -> Rows:
    placement = placement_of(model)
    match placement.kind:
        case Kind.GLOBAL | Kind.PLACED:
            return rows_on(model, placement.alias)
        case Kind.REFERENCE:
            rows = rows_on(model, "default")
            for alias in owners.all_aliases():
                assert rows == rows_on(model, alias), f"{model._meta.label}: the copy on {alias} differs"
            return rows
        case Kind.SHARDED:
            return _rows_of_shards(model)


def _rows_of_shards(model: type[Model]) -> Rows:
    found: Rows = {}
    for alias in owners.all_aliases():
        for pk, row in rows_on(model, alias).items():
            assert pk not in found, f"{model._meta.label} {pk} is on two shards"
            assert alias == home_of_row(model, row), f"{model._meta.label} {pk} is on {alias}, where its key is not"
            found[pk] = row
    return found


def home_of_row(model: type[Model], row: Mapping[str, Any]) -> str | None:
    """Return the database on which the shard key of *row* places it."""
    key = placement_of(model).key
    assert key is not None
    while not all(attname in row for attname in key.attnames):  # a child's key is in its parent's table
        link: Any = next(iter(model._meta.parents.values()))
        model, pk = link.related_model, row[link.attname]
        (row,) = [found[pk] for found in (rows_on(model, alias) for alias in owners.all_aliases()) if pk in found]
    fields: list[Any] = [model._meta.get_field(attname) for attname in key.attnames]
    values = tuple(field.get_prep_value(row[field.attname]) for field in fields)
    return owners.find(key, values)


@dataclass
class Identity:
    """How rows are named in both worlds: an old one by its primary key, a new one by its values."""

    content: Content
    old: Mapping[str, set[Any]]

    def of(self, model: type[Model], pk: Any) -> Any:
        label = model._meta.label
        if pk is None or pk in self.old[label]:
            return pk
        row = self.content[label].get(pk)
        return "a row that is not there" if row is None else ("new", *self._values(model, row))

    def all(self) -> dict[str, list[Any]]:
        """Return the values of all rows, in an order that is the same in both worlds."""
        return {
            model._meta.label: sorted(
                (
                    (self.of(model, pk), *self._values(model, row))
                    for pk, row in self.content[model._meta.label].items()
                ),
                key=repr,
            )
            for model in shop_models()
        }

    def _values(self, model: type[Model], row: Mapping[str, Any]) -> Iterator[Any]:
        generic = {f.fk_field: f.ct_field for f in model._meta.private_fields if isinstance(f, GenericForeignKey)}
        fields: list[Any] = list(model._meta.local_concrete_fields)
        for field in fields:
            value = row[field.attname]
            if field.primary_key and not field.is_relation and value not in self.old[model._meta.label]:
                if not isinstance(field, (models.AutoField, models.UUIDField)):
                    yield field.name, value
            elif field.name in generic:
                target = ContentType.objects.get_for_id(row[f"{generic[field.name]}_id"]).model_class()
                yield field.name, self.of(target, value) if target and target in shop_models() else value
            elif field.is_relation and field.related_model in shop_models() and field.target_field.primary_key:
                yield field.name, self.of(field.related_model, value)
            else:
                yield field.name, value


def unrouted(model: type[Model]) -> Any:
    """Return a queryset that knows nothing of shards, such as another app's manager has."""
    return QuerySet(model)


def plain(value: Any, identity: Identity) -> Any:  # noqa: PLR0911 - a table of types
    """Return *value* as something that compares between the worlds."""
    match value:
        case Model():
            model: Any = value._meta.concrete_model
            known = model._meta.label in identity.old
            return value._meta.label, identity.of(model, value.pk) if known else value.pk
        case BaseException():
            return type(value).__name__
        case dict():
            return {key: plain(item, identity) for key, item in value.items()}
        case list() | tuple() | QuerySet():
            return [plain(item, identity) for item in value]
        case set() | frozenset():
            return sorted((plain(item, identity) for item in value), key=repr)
        case _:
            return value


def outcome(write: Callable[[], Any]) -> Any:
    """Return what *write* returned or raised; a savepoint keeps the test's transaction usable."""
    try:
        with transaction.atomic():
            return write()
    except EXPECTED as error:
        return error


def same_write(write: Callable[[], Any]) -> Any:
    """Run *write* on the shards and on a plain database, compare everything, and return its result on the shards."""
    before, here = content_of(ORACLE), content_of_shards()
    old = {label: rows.keys() & here[label].keys() for label, rows in before.items()}
    result = outcome(write)
    sharded = Identity(content_of_shards(), old)
    got = plain(result, sharded), sharded.all()
    with on_plain_database():
        expected_result = outcome(write)
        single = Identity(content_of(ORACLE), old)
        expected = plain(expected_result, single), single.all()
    assert expected[0] == got[0], (expected_result, result)
    assert expected[1] == got[1]
    return result


def refused_write(write: Callable[[], Any], error: type[BaseException]) -> BaseException:
    """Expect *write* to raise *error* on the shards and to leave every database as it was, no savepoint helping."""
    before = content_of_shards()
    with pytest.raises(error) as raised:
        write()
    for alias in ("default", *owners.all_aliases()):
        transaction.set_rollback(False, using=alias)  # look at what there is, not at what the error would roll back
    assert before == content_of_shards()
    return raised.value
