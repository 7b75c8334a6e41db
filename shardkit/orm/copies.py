"""How does a write to a reference model reach every copy?

The logical database is written first, and the shards in the same transaction. What only a database can evaluate
(``Now()``, ``Random()``, a column's database default) is evaluated once, there, and the result is copied; what a field
makes up on saving (``auto_now``) is asked for once. The copies must not differ. Rows are found without the model's
managers, which may hide some.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from django.db import models, transaction
from django.db.models.constants import OnConflict
from django.db.models.expressions import Func

from shardkit.errors import CrossDatabaseQuery
from shardkit.orm._django import MULTI, ROW_COUNT, InsertQuery, Query
from shardkit.orm.placing import all_rows
from shardkit.orm.planning import as_select, select_of
from shardkit.routing import owners
from shardkit.routing.expressions import roots, walk
from shardkit.routing.opaque import is_opaque
from shardkit.routing.registry import Kind, placement_of_table
from shardkit.routing.selects import tables
from shardkit.routing.transactions import join
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: How many rows one statement copies.
_COPY_BATCH: Final = 100


def freeze(query: Any) -> None:
    """Ask each field of an INSERT now for what it saves, so that every copy is given the same."""
    if not query.raw:
        pk = query.get_meta().pk
        query.objs = [
            SimpleNamespace(
                **{pk.attname: getattr(instance, pk.attname)},
                **{field.attname: field.pre_save(instance, add=True) for field in query.fields if field is not pk},
            )
            for instance in query.objs
        ]
        query.raw = True
    if query.on_conflict is not None:
        _require_values(query)


def insert_copies(query: Any, rows: Any, returning_fields: Any) -> None:
    """Repeat an INSERT that was done on the logical database on every shard, with the primary keys it gave."""
    model, objects = query.get_meta().model, query.objs
    pk = model._meta.pk
    returned = [field.attname for field in returning_fields or ()]
    if pk.attname in returned:
        for instance, row in zip(objects, rows, strict=True):
            setattr(instance, pk.attname, row[returned.index(pk.attname)])
    pks = [getattr(instance, pk.attname) for instance in objects]  # not .pk: that of a child table is another column
    if None in pks:
        _require_plain_ignore(query)
        _copy_missing(model)
    elif query.on_conflict is None and _evaluates(query, objects):
        _insert_everywhere(model, _rows_of(model, pks))
    else:
        fields = query.fields if pk in query.fields else [pk, *query.fields]
        for alias in owners.all_copies():
            copy = query.clone()
            copy.objs, copy.fields, copy.raw = objects, fields, query.raw
            _run(copy, alias)


def update_copies(compiler: Any, own: Callable[[], Any], *, nothing: Any = 0) -> Any:
    """Run the UPDATE or DELETE of *compiler* by *own* on the logical database, and the same on every shard.

    Return what *own* does, or *nothing* when there turns out to be no row to write.
    """
    query = compiler.query
    with transaction.atomic(using=LOGICAL, savepoint=False):
        if _is_same_everywhere(query):
            result = own()
            for alias in owners.all_copies():
                _run(_of_own_table(query), alias)
            return result
        chosen = [row[0] for rows in as_select(query).get_compiler(LOGICAL).execute_sql(MULTI) for row in rows]
        if not chosen:
            return nothing
        compiler.query = _of_rows(query, chosen)  # asked again, the database might choose others
        result = own()
        _repeat_on(query.get_meta().model, chosen, deletes=not _is_update(query))
    return result


def _is_update(query: Any) -> bool:
    return hasattr(query, "add_update_values")


def _of_own_table(source: Any) -> Any:
    """Return a copy of a write without what it does to the tables of parents, which have reached every copy."""
    query = source.clone()
    if _is_update(query):
        query.related_updates = {}
    return query


def _of_rows(source: Any, pks: list[Any]) -> Any:
    """Return an UPDATE or DELETE that does to the rows *pks* what *source* does to those that it finds."""
    query = type(source)(source.get_meta().model)
    query.add_filter("pk__in", pks)
    if _is_update(source):
        query.values, query.related_updates = source.values, source.related_updates
    return query


def _is_same_everywhere(query: Any) -> bool:
    """Say whether every copy would come to the same result by itself."""
    select = select_of(as_select(query).get_compiler(LOGICAL))
    placements = [placement_of_table(name) for name in tables(select)]
    copied = all(placement is not None and placement.kind is Kind.REFERENCE for placement in placements)
    return copied and not any(_is_judged_by_database(level.query) for level in select.levels())


def _is_judged_by_database(query: Any) -> bool:
    """Say whether two databases with the same rows may answer *query* differently."""
    chooses = query.is_sliced or query.distinct_fields
    return chooses or any(_is_evaluated(node) for root in roots(query) for node in walk(root))


def _is_evaluated(node: Any) -> bool:
    """Say whether two databases may come to different values of *node*."""
    return isinstance(node, Func) or is_opaque(node)


def _repeat_on(model: type[models.Model], pks: list[Any], *, deletes: bool) -> None:
    """Make the rows *pks* of every shard what they now are on the logical database."""
    rows = [] if deletes else _rows_of(model, pks)
    names = [field.name for field in _writable(model) if not field.primary_key]
    for alias in owners.all_copies():
        join(alias, (model._meta.db_table,))
        copies = all_rows(model, alias)
        for batch in _batches(pks):
            if deletes:
                copies.filter(pk__in=batch)._raw_delete(alias)
        if rows and names:
            copies.bulk_update(rows, names, batch_size=_COPY_BATCH)


def _evaluates(query: Any, objects: Iterable[Any]) -> bool:
    """Say whether an INSERT leaves any value to the database."""
    fields = query.fields
    return len(fields) < len(_writable(query.get_meta().model)) - 1 or any(
        hasattr(getattr(instance, field.attname), "resolve_expression") for instance in objects for field in fields
    )


def _require_plain_ignore(query: Any) -> None:
    if query.on_conflict is not OnConflict.IGNORE:
        raise CrossDatabaseQuery(
            f"{query.get_meta().label}: bulk_create(update_conflicts=True)",
            "the rows have no primary key yet, so that their copies on the shards cannot be told apart",
            "Give the primary keys, or update the rows that exist by update().",
        )


def _require_values(query: Any) -> None:
    values = (getattr(instance, field.attname) for instance in query.objs for field in query.fields)
    if any(isinstance(node, Query) or _is_evaluated(node) for value in values for node in walk(value)):
        raise CrossDatabaseQuery(
            f"{query.get_meta().label}: bulk_create() that ignores or updates conflicts",
            "each copy would evaluate the expressions among its values for itself",
            "Give values, or insert the new rows and update() the others.",
        )


def _copy_missing(model: type[models.Model]) -> None:
    """Insert on every shard the rows that only the logical database has."""
    known = set(all_rows(model, LOGICAL).values_list("pk", flat=True))
    for alias in owners.all_copies():
        there = set(all_rows(model, alias).values_list("pk", flat=True))
        _insert(model, _rows_of(model, sorted(known - there, key=str)), alias)


def _rows_of(model: type[models.Model], pks: list[Any]) -> list[Any]:
    rows = all_rows(model, LOGICAL)
    return [instance for batch in _batches(pks) for instance in rows.filter(pk__in=batch)]


def _insert_everywhere(model: type[models.Model], rows: list[Any]) -> None:
    for alias in owners.all_copies():
        _insert(model, rows, alias)


def _insert(model: type[models.Model], rows: list[Any], alias: Any) -> None:
    for batch in _batches(rows):
        query = InsertQuery(model)
        query.insert_values(_writable(model), batch, raw=True)
        _run(query, alias)


def _run(query: Any, alias: Any) -> None:
    join(alias, (query.get_meta().db_table,))
    compiler = query.get_compiler(alias)
    compiler.execute_sql(*(() if isinstance(query, InsertQuery) else (ROW_COUNT,)))


def _writable(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]


def _batches(items: list[Any]) -> Iterable[list[Any]]:
    return (items[start : start + _COPY_BATCH] for start in range(0, len(items), _COPY_BATCH))
