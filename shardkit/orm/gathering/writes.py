"""How is a write done whose rows only a gather can find?

The primary keys of its rows are read first, by the SELECT that the write is made of, and with them each new value that
only rows of other databases tell. Then the rows are written by their keys, where they are, in the same transaction.
A row that somebody else changes in between is written if it is still there: that is READ COMMITTED, where one database
would have looked at the row once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connections, models, transaction
from django.db.models.expressions import Col

from shardkit.errors import CrossShardQuery
from shardkit.orm._django import MULTI, Query
from shardkit.orm.parameters import all_as_sent
from shardkit.orm.planning import as_is, as_select, plan_of_write
from shardkit.routing.expressions import has_subquery, roots, walk
from shardkit.routing.pins import is_expression
from shardkit.routing.plan import Gather
from shardkit.signals import announced_already
from shardkit.topology.names import LOGICAL
from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How many rows one statement writes, where the database takes so many parameters.
_ROWS: Final = 5000
#: Parameters left to what the rows are given.
_SPARE: Final = 100

Pk = Any
#: The keys of the rows that get the same values, as the driver read them.
Chosen = list[tuple[list[Any], list[Pk]]]


class _AsRead(models.Expression):
    """A value as the driver read it, to be written as it is: the database makes of it what it makes of its own."""

    def __init__(self, value: Any) -> None:
        super().__init__(output_field=models.Field())
        self.value = value

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG002 - Django's signature
        """Hand over the value."""
        return ("NULL", ()) if self.value is None else ("%s", (self.value,))


def write_gathered(source: Any, write: Callable[[Any], Any]) -> list[Any]:
    """Let *write* do statements that together write what *source*, an UPDATE or a DELETE, writes."""
    if _writes_nothing(source):
        return []
    with transaction.atomic(using=LOGICAL, savepoint=False), announced_already():
        fetched = _fetched_values(source)
        chosen = _choose(source, fetched)
        counts = [write(query) for query in _by_keys(source, fetched, chosen)]
        if asks_for_parents(source):
            counts += _write_parents(source, [pk for _values, pks in chosen for pk in pks], write)
        return counts


def _writes_nothing(source: Any) -> bool:
    """Say whether a new value is that of no row, for which Django runs no statement at all."""
    compiler = as_select(source).get_compiler(LOGICAL)
    for _field, _model, value in getattr(source, "values", None) or []:
        if is_expression(value):
            try:
                compiler.compile(value)
            except EmptyResultSet:
                return True
    return False


def asks_for_parents(source: Any) -> bool:
    """Say whether *source*, an UPDATE, writes to a table of a multi-table parent what a subquery tells.

    Django updates that table by a statement of its own, which has to be planned too.
    """
    related: dict[Any, Any] = getattr(source, "related_updates", {})
    return any(has_subquery(value) for written in related.values() for _field, _model, value in written)


def _write_parents(source: Any, pks: list[Pk], write: Callable[[Any], Any]) -> list[Any]:
    """Write the tables of parents, and return the counts of the first one if the model's own table was not written."""
    counts: list[list[Any]] = []
    for parent, written in source.related_updates.items():
        if not all(path.join_field.primary_key for path in source.get_meta().get_path_to_parent(parent)):
            raise CrossShardQuery(
                f"{source.get_meta().label}: update()",
                "new values of rows of several databases",
                f"{parent._meta.label} is a parent by another column than the primary key",
                f"Update {parent._meta.label} itself.",
            )
        found = []
        for start in range(0, len(pks), size := _batch_size(parent)):
            query = type(source)(parent)
            query.add_update_fields([(field, parent, value) for field, _model, value in written])
            query.add_filter("pk__in", pks[start : start + size])
            found.append(write(query))
        counts.append(found)
    return [] if source.values else counts[0]


def _fetched_values(source: Any) -> list[int]:
    """Return the positions of the new values that the rows' own databases cannot tell."""
    written = getattr(source, "values", None) or []
    expressions = [n for n, (_field, _model, value) in enumerate(written) if is_expression(value)]
    if not expressions:
        return []
    every_row = type(source)(source.get_meta().model)
    every_row.values = written
    if not isinstance(plan_of_write(every_row.get_compiler(LOGICAL)), Gather):
        return []
    _require_independent(source, expressions)
    return expressions


def _require_independent(source: Any, expressions: list[int]) -> None:
    """Refuse what assigns a column and reads it in a later assignment: MariaDB and MySQL read the new value there."""
    if vendor_of(connections[LOGICAL]).assigns_at_once:
        return
    columns = [field.column for field, _model, _value in source.values]
    for position in expressions:
        for field in _read_of(source.base_table, source.values[position][2]):
            if field.column in columns[:position]:
                raise CrossShardQuery(
                    f"{source.get_meta().label}: update()",
                    "new values of rows of several databases",
                    f"{field.name!r} is assigned before it is read",
                    "Write two updates, or name the fields in another order.",
                )


def _read_of(table: str, expression: Any) -> Iterator[Any]:
    """Yield the fields of the row that is written, of *table*, that *expression* reads, subqueries included."""
    for node in walk(expression):
        if isinstance(node, Col) and node.alias == table:
            yield node.target
        elif isinstance(node, Query):
            for root in roots(node):
                yield from _read_of(table, root)


def _choose(source: Any, fetched: list[int]) -> Chosen:
    """Read the keys of the rows that *source* writes, those together that get equal values."""
    rows = as_select(source)
    if sum(1 for count in source.alias_refcount.values() if count) <= 1:
        # Django then writes every row that the conditions accept.
        rows.distinct, rows.distinct_fields = False, ()
        rows.clear_limits()
    base = rows.get_initial_alias()
    pk = rows.get_meta().pk_fields
    rows.select = tuple(field.get_col(base) for field in pk)
    rows.annotations = {name: found for name, found in rows.annotations.items() if not name.startswith("__new_")}
    for position in fetched:
        rows.annotations[f"__new_{position}"] = as_is(source.values[position][2])
    rows.set_annotation_mask({f"__new_{position}" for position in fetched})
    compiler = rows.get_compiler(LOGICAL)
    read = [row for chunk in compiler.execute_sql(MULTI) for row in chunk]
    converters = compiler.get_converters([expression for expression, _, _ in compiler.select[: len(pk)]])
    keys = compiler.apply_converters([list(row[: len(pk)]) for row in read], converters)
    found: dict[Any, tuple[list[Any], dict[Pk, None]]] = {}
    for row, key in zip(read, keys, strict=True):
        values = list(row[len(pk) : len(pk) + len(fetched)])
        found.setdefault(all_as_sent(values), (values, {}))[1][key[0] if len(pk) == 1 else tuple(key)] = None
    return [(values, list(pks)) for values, pks in found.values()]


def _by_keys(source: Any, fetched: list[int], chosen: Chosen) -> Iterator[Any]:
    """Yield statements that write the *chosen* rows by their keys, no more in one than a database takes."""
    model = source.get_meta().model
    size = _batch_size(model)
    alone = asks_for_parents(source)
    for values, pks in chosen if not alone or source.values else ():
        for start in range(0, len(pks), size):
            query = type(source)(model)
            query.add_filter("pk__in", pks[start : start + size])
            if hasattr(source, "add_update_values"):
                written = list(source.values)
                for position, value in zip(fetched, values, strict=True):
                    field, owner, _expression = written[position]
                    written[position] = (field, owner, _AsRead(value))
                query.values, query.related_updates = written, {} if alone else source.related_updates
            yield query


def _batch_size(model: type[models.Model]) -> int:
    """Return how many keys of *model* one statement takes on every database."""
    limit = min(connections[alias].features.max_query_params or _ROWS for alias in connections)
    return max(1, min(_ROWS, limit - _SPARE) // len(model._meta.pk_fields))
