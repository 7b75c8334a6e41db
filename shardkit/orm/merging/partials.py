"""Which partial rows does each shard send, for a statement whose groups span shards?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import Case, Count, When
from django.db.models.aggregates import Aggregate
from django.db.models.expressions import ColPairs, Value

from shardkit.consistency.reading import connection_of
from shardkit.orm.merging.grouping import (
    Narrowed,
    NotInParts,
    Reading,
    Text,
    Writing,
    compiler_class,
    text_of,
    untouched,
)
from shardkit.orm.reaching import reach
from shardkit.orm.remembering import Remembered
from shardkit.shadows import Column, Shadow, Source
from shardkit.vendors.aggregates.base import Described, Split
from shardkit.vendors.aggregates.registry import aggregates_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shardkit.topology.names import Alias

#: What the relation of the partial rows is called.
RELATION: Final = "shardkit_parts"


@dataclass(slots=True)
class Piece:
    """A column of the partial rows."""

    name: str
    expression: Any
    collation: str | None = None
    #: Whether it stands inside of an expression, whose outcome may depend on the declaration of the column.
    is_inside: bool = False


@dataclass(slots=True)
class Pieces:
    """The columns that the finished statement needs."""

    #: By these the original groups, or these it selects distinctly.
    keys: list[Piece] = field(default_factory=list)
    #: Arguments of distinct aggregates: the partial rows are grouped by them too.
    values: list[Piece] = field(default_factory=list)
    #: Aggregates over the rows of a shard.
    parts: list[Piece] = field(default_factory=list)

    def all(self) -> list[Piece]:
        """List them in the order of their columns."""
        return [*self.keys, *self.values, *self.parts]


class Partials:
    """The partial rows of one statement."""

    def __init__(self, compiler: Any, aliases: Sequence[Alias]) -> None:
        self.compiler, self.aliases = compiler, aliases
        self.aggregates = aggregates_of(compiler.connection)
        self.pieces = Pieces()
        #: The columns of what the original groups by, by its text there.
        self.columns: dict[Text, Piece] = {}
        #: What makes the whole of each aggregate, by its text in the original: its columns and how.
        self.finishes: dict[Text, tuple[list[Piece], Split | None]] = {}
        self.query = compiler.query.clone()
        self.reader = compiler_class(Reading, untouched(compiler))(
            self.query, compiler.connection, None, compiler.elide_empty
        )
        self.reader.read()
        self._decide(self._keys(), dict(self.reader.aggregates))

    def shadow(self) -> Shadow:
        """Return the partial rows of all shards as a relation."""
        sources = []
        for alias in self.aliases:
            try:
                sources.append(self._source(alias, elide_empty=True))
            except EmptyResultSet:
                continue
        if not sources:
            if self.compiler.elide_empty:
                raise EmptyResultSet
            sources.append(self._source(self.aliases[0], elide_empty=False))
        self.aggregates.prepare(self.compiler.connection)
        columns = tuple(map(self._column, self.pieces.all()))
        return Shadow(RELATION, columns, tuple(sources))

    def _column(self, piece: Piece) -> Column:
        if piece.is_inside and not self.aggregates.knows_type(piece.expression):
            raise NotInParts("SQLite does not say as which type raw SQL and functions of others compare")
        type_ = self.aggregates.type_of(piece.expression) if piece.is_inside else None
        return Column(piece.name, type_, piece.collation)

    def _source(self, alias: Alias, *, elide_empty: bool) -> Source:
        """Return the statement of the shard *alias*."""
        self.aggregates.prepare(reach(alias))
        writer = self._writer(alias, self._narrowed.on(alias), elide_empty=elide_empty)
        pieces = self.pieces
        expressions = [(piece.name, piece.expression) for piece in pieces.all()]
        sql, params = writer.rows_of(expressions, len(pieces.keys) + len(pieces.values))
        return Source(alias, sql, tuple(params))

    def _writer(self, alias: Alias, query: Any, *, elide_empty: bool) -> Any:
        connection = connection_of(alias)
        base: Any = connection.ops.compiler(query.compiler)
        return compiler_class(Writing, base)(query, connection, connection.alias, elide_empty)

    @cached_property
    def _narrowed(self) -> Narrowed:
        return Narrowed(self.query)

    def _keys(self) -> dict[Text, Any]:
        """Return what tells the groups, or the distinct rows, by its text in the original."""
        expressions = self.reader.grouping
        if self.query.group_by is None and self.query.distinct:
            selected = [expression for expression, _, _ in self.reader.select]
            ordered = [getattr(found, "expression", found) for found in self.reader.extra_select]
            expressions = [*selected, *ordered]
        found: dict[Text, Any] = {}
        for expression in _without_constants(expressions):
            try:
                found.setdefault(text_of(*self.reader.compile(expression)), expression)
            except (EmptyResultSet, FullResultSet):
                continue
        return found

    def _decide(self, keys: dict[Text, Any], nodes: dict[Text, Any]) -> None:
        """Decide the columns for *keys* and for the aggregates *nodes*."""
        for node in nodes.values():
            if node.extra:
                raise NotInParts(f"{type(node).__name__} is written in its own way, and has to see all rows")
        told = self._describe([*keys.values(), *nodes.values()])
        for (text, expression), described in zip(keys.items(), told, strict=False):
            piece = self._piece("k", self.pieces.keys, expression, described)
            self.columns[text] = piece
        for (text, node), described in zip(nodes.items(), told[len(keys) :], strict=True):
            if getattr(node, "distinct", False):
                self.finishes[text] = ([self._value(node, described)], None)
            else:
                self._split(text, node, described)
        if not self.pieces.all():
            self._count_rows()

    def _count_rows(self) -> None:
        """Select anything, where all aggregates are of nothing: each is a constant."""
        if self.query.group_by is not None or self.query.distinct:
            raise NotInParts("it selects constants of each row, and of none where there is no row")
        self._piece("p", self.pieces.parts, Count("*"), Described())

    def _piece(self, prefix: str, among: list[Piece], expression: Any, told: Described) -> Piece:
        """Add a column of the values of *expression*."""
        piece = Piece(f"{prefix}{len(among)}", expression, told.collation)
        among.append(piece)
        return piece

    def _value(self, node: Any, told: Described) -> Piece:
        """Return the column of the argument of a distinct aggregate."""
        expression = node.source_expressions[0]
        if node.filter is not None:
            condition = getattr(node.filter, "condition", node.filter)
            expression = Case(When(condition, then=expression), output_field=expression.output_field)
        text = text_of(*self.reader.compile(expression))
        if text not in self._values:
            self._values[text] = self._piece("d", self.pieces.values, expression, told)
        return self._values[text]

    @cached_property
    def _values(self) -> dict[Text, Piece]:
        return {}

    def _split(self, text: Text, node: Any, told: Described) -> None:
        split = self.aggregates.split(node, told)
        made = [self._part(part) for part in split.parts]
        made[0].collation = split.collation or made[0].collation
        self.finishes[text] = (made, split)

    def _part(self, part: Any) -> Piece:
        """Return the column of the aggregate *part* of the rows of a shard, which others may need too."""
        text = text_of(*self.reader.compile(part))
        if text not in self._parts:
            self._parts[text] = self._piece("p", self.pieces.parts, part, Described())
        return self._parts[text]

    @cached_property
    def _parts(self) -> dict[Text, Piece]:
        return {}

    def _describe(self, nodes: Sequence[Any]) -> list[Described]:
        """Describe the values of keys and the arguments of aggregates, as far as parts depend on it."""
        rounded = {nth for nth, node in enumerate(nodes) if self._may_be_rounded(_argument(node))}
        asked = [nth for nth, node in enumerate(nodes) if nth in rounded or self.aggregates.depends_on_type(node)]
        expressions = [_argument(nodes[nth]) for nth in asked]
        told = [Described() for _ in nodes]
        for nth, described in zip(asked, self._described(expressions), strict=True):
            told[nth] = described
        if not all(described.is_known for described in told):
            raise NotInParts("SQLite does not say by which collation raw SQL and functions of others compare")
        if any(told[nth].scale is not None for nth in rounded):
            raise NotInParts("MariaDB rounds quotients of exact numbers when it sends them, and not before")
        return told

    def _may_be_rounded(self, expression: Any) -> bool:
        try:
            return self.aggregates.rounds(self.reader.compile(expression)[0])
        except (EmptyResultSet, FullResultSet):
            return False

    def _described(self, expressions: list[Any]) -> list[Described]:
        around = self.aggregates.describing(len(expressions))
        if not expressions:
            return []
        if around is None:
            return self.aggregates.described(expressions, None)
        reach(self.aliases[0])
        writer = self._writer(self.aliases[0], self.query, elide_empty=False)
        sql, params = writer.no_rows_of([(f"c{nth}", expression) for nth, expression in enumerate(expressions)])
        statement = f"{around[0]}{sql}{around[1]}"

        def ask() -> list[Described]:
            with connection_of(self.aliases[0]).cursor() as cursor:
                cursor.execute(statement, params)
                return self.aggregates.described(expressions, cursor)

        return _described.answer(text_of(statement, params), ask)


#: What a database said about the values of expressions, by the statement that asked for it and its parameters: whether
#: one is 2 or Decimal("2.5") decides the type of a product.
_described: Final[Remembered[list[Described]]] = Remembered()


def _argument(node: Any) -> Any:
    return node.source_expressions[0] if isinstance(node, Aggregate) else node


def _without_constants(expressions: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for expression in expressions:
        if isinstance(expression, ColPairs):
            found += expression.get_cols()
        elif not isinstance(expression, Value):
            found.append(expression)
    return found
