"""Which sharded tables does a statement read, and which of their columns?

That is looked up in the text of the compiled statement too: nothing that the database will see escapes it, and whatever
is named there in a way that the ORM does not know of is fetched whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.db.models import AutoField

from shardkit.errors import CrossShardQuery
from shardkit.routing.expressions import roots, walk
from shardkit.routing.opaque import is_opaque
from shardkit.routing.registry import Kind, placement_of_table
from shardkit.routing.selects import tables
from shardkit.routing.texts import tables_in_text
from shardkit.shadows import Column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shardkit.orm.gathering.push import Occurrence
    from shardkit.routing.registry import ModelPlacement
    from shardkit.routing.selects import Select

#: What follows a table in a FROM clause that gives it no alias.
_NO_ALIAS: Final = frozenset(
    {
        *("CROSS", "EXCEPT", "GROUP", "HAVING", "INNER", "INTERSECT", "LEFT", "LIMIT"),
        *("OFFSET", "ON", "ORDER", "RIGHT", "UNION", "WHERE", "WINDOW"),
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """The compiled statement, and what the ORM knows of it."""

    select: Select
    connection: Any
    sql: str
    #: All mentions of tables that the ORM made; there are none of raw SQL.
    occurrences: tuple[Occurrence, ...]

    def sharded(self) -> list[ModelPlacement]:
        """List the placements of the sharded tables that the statement reads at any level, raw SQL included."""
        named = {name: placement_of_table(name) for name in tables(self.select)}
        named |= {found.model._meta.db_table: found for found in tables_in_text(self.sql)}
        sharded = [found for found in named.values() if found is not None and found.kind is Kind.SHARDED]
        return sorted(sharded, key=lambda found: found.model._meta.db_table)

    def reads_only_shadows(self) -> bool:
        """Say whether the statement certainly reads no table of the database on which it runs."""
        shadows = {found.model._meta.db_table for found in self.sharded()}
        return tables(self.select) <= shadows and not any(map(_has_text, self.select.levels()))

    def known(self, table: str) -> list[Occurrence]:
        """List the occurrences of *table*; none when it is also read in a way that the ORM does not know of."""
        found = [one for one in self.occurrences if one.table == table]
        hidden = any(table in level.hidden for level in self.select.levels())
        return [] if hidden or not set(self._mentions(table)) <= {one.alias for one in found} else found

    def _mentions(self, table: str) -> Iterator[str]:
        """Yield the alias of each mention of *table* in a FROM clause, and ``""`` when it is mentioned otherwise."""
        quoted = re.escape(self.connection.ops.quote_name(table))
        for found in re.finditer(rf"{quoted}(?!\.)(?:\s+(?:AS\s+)?\W?(\w+))?", self.sql):
            word = found.group(1)
            yield table if word is None or word in _NO_ALIAS else word
        if re.search(rf"\b{re.escape(table)}\b", re.sub(quoted, "", self.sql), re.IGNORECASE):
            yield ""

    def needed(self, table: str, fields: Sequence[Any]) -> Sequence[Any]:
        """Return those of *fields*, which are of *table*, that the statement names, and the primary key."""
        prefixes = {table, *self._mentions(table)}
        if "" in prefixes or any(map(_has_text, self.select.levels())):
            return fields
        named = [field for field in fields if field.primary_key or self._names(prefixes, field.column)]
        return named or fields[:1]

    def _names(self, prefixes: set[str], column: str) -> bool:
        quote = self.connection.ops.quote_name
        qualified = "|".join(re.escape(f"{text}.") for prefix in prefixes for text in (prefix, quote(prefix)))
        return re.search(rf"(?<![.\w])(?:{qualified})?{re.escape(quote(column))}", self.sql) is not None


def _has_text(select: Select) -> bool:
    """Say whether somebody else than Django wrote SQL of this level, so that it may name columns in its own way."""
    query: Any = select.query
    if query.extra or query.extra_order_by or query.extra_tables:
        return True
    return any(is_opaque(node) for root in roots(query) for node in walk(root))


def require_shadowable(placement: ModelPlacement, connection: Any, why: str) -> None:
    """Refuse a table whose name is more than a name: a shadow cannot hide what a schema qualifies."""
    table = placement.model._meta.db_table
    if connection.ops.quote_name("")[:1] in table:
        raise CrossShardQuery(
            f"{placement.model._meta.label}: reading",
            "rows of several shards in one place",
            f"{why}, and its table {table} names a schema",
            "Filter on its shard key, or name the table without a schema.",
        )


def fields_of(table: str, placement: ModelPlacement, select: Select) -> list[Any]:
    """List the fields of *table*: those of its model, and what other models over the same table add."""
    found: dict[str, Any] = {}
    others = [model for model in apps.get_models(include_auto_created=True) if model._meta.db_table == table]
    queried = [level.query.model for level in select.levels() if level.query.model is not None]
    for model in (placement.model, *others, *(model for model in queried if model._meta.db_table == table)):
        for field in model._meta.local_concrete_fields:
            found.setdefault(str(field.column), field)
    return list(found.values())


def column_of(field: Any, connection: Any) -> Column:
    """Return the column of *field* as a shadow has it: the same type and collation, and nothing that fills it."""
    parameters = field.db_parameters(connection=connection)
    numbered = isinstance(field, AutoField)
    return Column(
        str(field.column),
        field.rel_db_type(connection) if numbered else parameters["type"],
        parameters.get("collation"),
    )
