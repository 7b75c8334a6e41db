"""Of what parts is an aggregate made, and how do the parts make the aggregate of the whole?

Each shard computes the parts over its own rows. The database finishes over the rows of parts: the division in Avg, the
root in StdDev, the equality and order of text are its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Avg, Count, Expression, Max, Min, StdDev, Sum

#: In `Split.finish`, the mean over all parts of a group.
MEAN: Final = "{mean}"


@dataclass(frozen=True, slots=True)
class Described:
    """What the database says about the values of an expression; nothing where it need not be asked."""

    type: str | None = None
    #: The collation of text, None for the database's default.
    collation: str | None = None
    #: How many decimal places an exact number has, None for others.
    scale: int | None = None
    #: Whether the collation is known.
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Split:
    """An aggregate in parts."""

    parts: tuple[Expression, ...]
    #: The SQL of the whole: ``{0}``, ``{1}`` are the columns of the parts; with `MEAN` they are count and mean first.
    finish: str
    #: The collation of the first part, where it is text.
    collation: str | None = None


@dataclass(frozen=True)
class Aggregates(ABC):
    """What the database behind one connection makes of parts."""

    connection: BaseDatabaseWrapper

    count: ClassVar[str]
    """The SQL of a count: of the type of COUNT, and 0 where there is no row."""

    mean: ClassVar[str] = "SUM({0} * {1}) {over} / NULLIF(SUM({0}) {over}, 0)"
    """The SQL of the mean of the rows in the window ``{over}``, from (count, mean) of each part."""

    def split(self, node: Any, argument: Described) -> Split:
        """Return the parts of the aggregate *node*, whose argument is *described*."""
        match node:
            case Count():
                return Split((node,), self.count)
            case Sum():
                return self._sum(node, argument)
            case Min() | Max():
                return Split((node,), f"{node.function}({{0}})", argument.collation)
            case Avg():
                return self._average(node, argument)
            case _:
                return self._spread(node, argument)

    @abstractmethod
    def depends_on_type(self, node: Any) -> bool:
        """Say whether `split` of *node* has to know what its argument is."""

    @abstractmethod
    def describing(self, count: int) -> tuple[str, str] | None:
        """Return the SQL before and after a SELECT without rows of *count* columns, ``c0``… that describes them.

        None means that `described` knows from the expressions alone.
        """

    @abstractmethod
    def described(self, expressions: Sequence[Any], cursor: Any) -> list[Described]:
        """Describe *expressions* by what *cursor* says, which has executed `describing`."""

    def type_of(self, expression: Any) -> str | None:
        """Return the type that a column for the values of *expression* must have, None for what its values say."""
        del expression
        return None

    def knows_type(self, expression: Any) -> bool:
        """Say whether `type_of` knows *expression*."""
        del expression
        return True

    def rounds(self, sql: str) -> bool:
        """Say whether exact values of the expression *sql* may have more digits than are sent."""
        del sql
        return False

    def prepare(self, connection: BaseDatabaseWrapper) -> None:  # noqa: B027 - most need none
        """Let *connection* know the functions that parts need."""

    def _sum(self, node: Any, argument: Described) -> Split:
        del argument
        return Split((node,), "SUM({0})")

    def _average(self, node: Any, argument: Described) -> Split:
        del argument
        return Split((over(node, Sum), over(node, Count)), "SUM({0}) / NULLIF(SUM({1}), 0)")

    @abstractmethod
    def _spread(self, node: Any, argument: Described) -> Split:
        """Split a StdDev or a Variance."""


def over(node: Any, kind: type[Any], argument: Any = None) -> Any:
    """Return another *kind* of aggregate over the rows of *node*, of its argument or another."""
    made = kind(node.source_expressions[0] if argument is None else argument)
    made.filter = node.filter
    return made


def is_sample(node: Any) -> bool:
    """Say whether a StdDev or Variance divides by one less than the number of values."""
    return bool(node.function.endswith("_SAMP"))


#: The sum of squared distances from the mean of the whole, from (count, mean, distances) of each part: one pass over
#: sums of squares would lose all digits of values that are far from zero and close together.
_DISTANCES: Final = f"SUM({{2}} + {{0}} * ({{1}} - {MEAN}) * ({{1}} - {MEAN}))"


def from_moments(node: Any) -> str:
    """Return the SQL of a StdDev or Variance from the (count, mean, distances) of parts."""
    least = 1 if is_sample(node) else 0
    variance = f"{_DISTANCES} / (SUM({{0}}) - {least})"
    whole = f"SQRT({variance})" if isinstance(node, StdDev) else variance
    return f"CASE WHEN SUM({{0}}) > {least} THEN {whole} END"
