"""How does a statement of Django's run over partial rows in place of its tables?

Django compiles it as always. Only what it groups by and its aggregates are written by other means: as the columns of
the partial rows, and as what makes the whole of parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import FieldError
from django.db.models import Aggregate, Expression, Func
from django.db.models.expressions import Col, ColPairs, OrderBy, RawSQL, Ref, Value
from django.db.models.functions.mixins import FixDurationInputMixin
from django.db.models.sql.query import Query

from shardkit.orm.distinct_groups import are_mistaken
from shardkit.orm.merging.grouping import NotInParts, Text, compiler_class, is_over_subquery, text_of, untouched
from shardkit.orm.merging.partials import RELATION, Partials, Piece
from shardkit.orm.planning import plan_of
from shardkit.routing.plan import Merge, Recipe
from shardkit.vendors.aggregates.base import MEAN, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardkit.shadows import Shadow
    from shardkit.topology.names import Alias


_MEAN_OF: Final = "mean_of_"


class ColumnOfParts(Expression):
    """A column of the partial rows."""

    def __init__(self, piece: Piece, output_field: Any) -> None:
        super().__init__(output_field)
        self.sql = column_of(piece)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        """Write its name."""
        del compiler, connection
        return self.sql, ()


class Whole(FixDurationInputMixin, Func):
    """What makes the whole of parts, in the casts that Django writes around an aggregate."""

    template = "%(whole)s"
    arity = 0


def column_of(piece: Piece) -> str:
    """Write the column of *piece*."""
    return f"{RELATION}.{piece.name}"


@dataclass(frozen=True, slots=True)
class Finished:
    """A statement over partial rows, and those."""

    compiler: Any
    sql: str
    params: tuple[Any, ...]
    shadow: Shadow


def finished(compiler: Any, aliases: Sequence[Alias]) -> Finished:
    """Write the statement of *compiler* over the partial rows of *aliases*, or raise `NotInParts`."""
    if is_around_groups(compiler):
        return _finished_around(compiler, aliases)
    partials = Partials(compiler, aliases)
    finishing = _finishing(compiler, partials)
    sql, params = finishing.as_sql()
    return Finished(finishing, sql, params, partials.shadow())


def _finishing(compiler: Any, partials: Partials) -> Any:
    kind = compiler_class(Finishing, untouched(compiler))
    made = kind(compiler.query.clone(), compiler.connection, compiler.using, compiler.elide_empty)
    made.partials = partials
    return made


def is_around_groups(compiler: Any) -> bool:
    """Say whether the query aggregates over a subquery whose rows are made of rows of several shards."""
    if not is_over_subquery(compiler.query):
        return False
    inside = compiler.query.inner_query
    plan = plan_of(inside.get_compiler(connection=compiler.connection, elide_empty=compiler.elide_empty))
    return isinstance(plan, Merge) and plan.recipe is Recipe.GROUPS


def _finished_around(compiler: Any, aliases: Sequence[Alias]) -> Finished:
    """Write an aggregate over a subquery of which only the subquery is made of parts."""
    query = compiler.query.clone()
    inside = query.inner_query.get_compiler(connection=compiler.connection, elide_empty=compiler.elide_empty)
    partials = Partials(inside, aliases)
    query.inner_query = _Inside(_finishing(inside, partials))
    outside = untouched(compiler)(query, compiler.connection, compiler.using, compiler.elide_empty)
    sql, params = outside.as_sql()
    return Finished(outside, sql, params, partials.shadow())


@dataclass(frozen=True, slots=True)
class _Inside:
    """What stands for a query whose statement is written by *compiler*."""

    compiler: Any

    def get_compiler(self, *_: Any, **__: Any) -> Any:
        """Return the compiler."""
        return self.compiler


class Finishing:
    """Write a statement over partial rows (a mixin over a vendor's compiler)."""

    if TYPE_CHECKING:
        query: Any
        where: Any
        col_count: int

    partials: Partials
    #: Whether expressions are written as the original has them, to find them by that.
    is_original = False
    #: In how many expressions the one stands that is being written, not counting that it orders.
    depth = 0

    def as_sql(self, *args: Any, **options: Any) -> tuple[str, tuple[Any, ...]]:
        """Write the statement."""
        if not is_over_subquery(self.query):
            return super().as_sql(*args, **options)  # type: ignore[misc, no-any-return]
        columns: list[str] = []
        params: list[Any] = []
        for annotation in self.query.annotation_select.values():
            sql, more = annotation.select_format(self, *self.compile(annotation))
            columns.append(sql)
            params += more
        self.col_count = len(columns)
        return f"SELECT {', '.join(columns)} FROM {_relation(self.partials)}", tuple(params)  # noqa: S608

    def compile(self, node: Any) -> Any:
        """Write *node*, in terms of the partial rows; that it is empty or full is found out as in the original."""
        if isinstance(node, ColPairs):  # which would write its columns without asking
            return self._columns_of(node)
        if self.is_original or isinstance(node, (Ref, Value, ColumnOfParts, Whole)):
            return super().compile(node)  # type: ignore[misc]
        text = self._original(node)
        if text in self.partials.finishes:
            node = _whole(node, *self.partials.finishes[text])
        elif text in self.partials.columns:
            piece = self.partials.columns[text]
            piece.is_inside = piece.is_inside or self.depth > 0
            node = ColumnOfParts(piece, None)
        elif isinstance(node, (Aggregate, Col, RawSQL, Query)):
            raise NotInParts(f"{text[0]} is neither grouped by nor aggregated")
        if isinstance(node, (ColumnOfParts, OrderBy)):
            return super().compile(node)  # type: ignore[misc]
        self.depth += 1
        try:
            return super().compile(node)  # type: ignore[misc]
        finally:
            self.depth -= 1

    def _columns_of(self, pairs: ColPairs) -> tuple[str, list[Any]]:
        found = [self.compile(column) for column in pairs.get_cols()]
        return ", ".join(sql for sql, _ in found), [param for _, params in found for param in params]

    def pre_sql_setup(self, with_col_aliases: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Prepare the statement; its conditions were met by the rows that the partial rows stand for."""
        if self.query.group_by is not None and are_mistaken(self):
            raise NotInParts("the database may give distinct rows of groups twice")
        found = super().pre_sql_setup(with_col_aliases)  # type: ignore[misc]
        self.where = None
        return found

    def collapse_group_by(self, expressions: list[Any], having: Any) -> list[Any]:
        """Keep all expressions: a column of partial rows decides no other."""
        del having
        return expressions

    def get_from_clause(self) -> tuple[list[str], list[Any]]:
        """Read the partial rows."""
        return [_relation(self.partials)], []

    def _original(self, node: Any) -> Text:
        self.is_original = True
        try:
            return text_of(*super().compile(node))  # type: ignore[misc]
        finally:
            self.is_original = False


def _whole(node: Any, pieces: list[Piece], split: Split | None) -> Any:
    """Return the expression of an aggregate over partial rows."""
    if split is None:
        whole = node.copy()
        whole.filter = None
        whole.source_expressions = [ColumnOfParts(pieces[0], _field_of(node.source_expressions[0]))]
        return whole
    columns = [column_of(piece) for piece in pieces]
    sql = split.finish.format(*columns, mean=_mean(pieces) if MEAN in split.finish else "")
    return Whole(whole=sql, output_field=node.output_field)


def _field_of(expression: Any) -> Any:
    """Return the field of *expression*, None where its types are mixed and Django need not know it."""
    try:
        return expression.output_field
    except FieldError:
        return None


def _mean(pieces: list[Piece]) -> str:
    """Write the column of the mean over all parts, of which *pieces* has each one's second."""
    return f"{RELATION}.{_MEAN_OF}{pieces[min(1, len(pieces) - 1)].name}"


def _relation(partials: Partials) -> str:
    """Write the relation of the partial rows, with the means of their groups where they are needed."""
    over = ", ".join(column_of(piece) for piece in partials.pieces.keys)
    window = f"OVER ({f'PARTITION BY {over}' if over else ''})"
    means: dict[str, str] = {}
    for pieces, split in partials.finishes.values():
        if split is not None and MEAN in split.finish:
            count, mean = (column_of(piece) for piece in pieces[:2])
            means[f"{_MEAN_OF}{pieces[1].name}"] = partials.aggregates.mean.format(count, mean, over=window)
    if not means:
        return RELATION
    columns = ", ".join(f"{sql} AS {name}" for name, sql in means.items())
    return f"(SELECT {RELATION}.*, {columns} FROM {RELATION}) {RELATION}"  # noqa: S608 - names of ours
