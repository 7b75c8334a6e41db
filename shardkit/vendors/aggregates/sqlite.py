"""What does SQLite make of parts?

Django's STDDEV and VAR are functions of Python's here, whose sums are exact. So are the sums of these parts, and the
whole has all digits of theirs.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from statistics import StatisticsError
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Aggregate, Count, Field, Func, Max, Min, Sum
from django.db.models.expressions import Col

from shardkit.vendors.aggregates.base import Aggregates, Described, Split, over
from shardkit.vendors.aggregates.postgresql import may_be_text
from shardkit.vendors.sqlite_columns import collation_of, is_known, type_of

#: Bits of a float, and two more by which the last one is rounded.
_PRECISION: Final = 55


class MomentsOf(Aggregate):
    """The count, the sum and the sum of squares, as text and exact."""

    function = "SHARDKIT_MOMENTS"
    output_field = Field()


class TotalOf(Aggregate):
    """A sum of floats, which is too great for no number."""

    function = "TOTAL"
    output_field = Field()


class SQLiteAggregates(Aggregates):
    """What SQLite makes of parts."""

    count: ClassVar[str] = "COALESCE(SUM({0}), 0)"

    def depends_on_type(self, node: Any) -> bool:
        """Say yes of what compares, whatever Django takes it for: a value is text where it says so itself."""
        compares = not isinstance(node, Aggregate) or isinstance(node, (Max, Min))
        return compares or bool(getattr(node, "distinct", False))

    def describing(self, count: int) -> tuple[str, str] | None:
        """Ask nothing: no function tells a collation."""
        del count
        return None

    def described(self, expressions: Sequence[Any], cursor: Any) -> list[Described]:
        """Find the collations in the declarations; that of others' SQL matters where it may be text."""
        del cursor
        found = [collation_of(expression, self.connection) for expression in expressions]
        return [
            Described(collation=name or None, is_known=name is not None or not may_be_text(expression))
            for expression, name in zip(expressions, found, strict=True)
        ]

    def type_of(self, expression: Any) -> str | None:
        """Return the type whose affinity the values of *expression* have."""
        return type_of(expression, self.connection)

    def knows_type(self, expression: Any) -> bool:
        """Say no of SQL of others."""
        return is_known(expression)

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Register the functions, once: they cannot be replaced while a statement runs."""
        connection.ensure_connection()
        driver: Any = connection.connection
        if _PREPARED.get(connection) is driver:
            return
        driver.create_aggregate("SHARDKIT_MOMENTS", 1, _Moments)
        for name, finish in _FINISHES.items():
            driver.create_aggregate(f"SHARDKIT_{name}", 1, finish)
        _PREPARED[connection] = driver

    # A sum that is no number, of both infinities, comes as NULL: then the whole is none either.

    def _sum(self, node: Any, argument: Described) -> Split:
        del argument
        whole = "CASE WHEN MAX({0} IS NULL AND {1} > 0) THEN NULL ELSE SUM({0}) END"
        return Split((node, over(node, Count)), whole)

    def _average(self, node: Any, argument: Described) -> Split:
        del argument
        kind = _kind_of(node.source_expressions[0])
        if kind in _SMALL:
            return Split((over(node, Sum), over(node, Count)), "CAST(SUM({0}) AS REAL) / NULLIF(SUM({1}), 0)")
        if kind in _WIDE:
            parts = (over(node, Sum, _UpperHalf(node)), over(node, Sum, _LowerHalf(node)), over(node, Count))
            return Split(parts, "CAST(SUM({0}) * 4294967296 + SUM({1}) AS REAL) / NULLIF(SUM({2}), 0)")
        whole = "CASE WHEN MAX({0} IS NULL) THEN NULL ELSE SUM({0}) / NULLIF(SUM({1}), 0) END"
        return Split((over(node, TotalOf), over(node, Count)), whole)

    def _spread(self, node: Any, argument: Described) -> Split:
        del argument
        return Split((over(node, MomentsOf),), f"SHARDKIT_{node.function}({{0}})")


_SMALL: Final = frozenset({"IntegerField", "SmallIntegerField", "PositiveIntegerField", "PositiveSmallIntegerField"})
_WIDE: Final = frozenset({"BigIntegerField", "PositiveBigIntegerField", "AutoField", "BigAutoField"})


def _kind_of(expression: Any) -> str | None:
    """Return the kind of the column that *expression* is."""
    field = expression.target if isinstance(expression, Col) else None
    return None if field is None else str(getattr(field, "target_field", field).get_internal_type())


# A sum of integers is exact until it is too great, and then an error; the sums of their halves are never.


class _UpperHalf(Func):
    template = "(%(expressions)s >> 32)"
    output_field = Field()

    def __init__(self, node: Any) -> None:
        super().__init__(node.source_expressions[0])


class _LowerHalf(_UpperHalf):
    template = "(%(expressions)s & 4294967295)"


#: The driver's connection that has the functions, by Django's.
_PREPARED: WeakKeyDictionary[BaseDatabaseWrapper, Any] = WeakKeyDictionary()


class _Moments:
    """The moments of numbers, as text."""

    def __init__(self) -> None:
        self.count = 0
        #: Numerators by their denominator, and their squares by its root: few, which are powers of two.
        self.sums: defaultdict[int, int] = defaultdict(int)
        self.squares: defaultdict[int, int] = defaultdict(int)
        self.is_whole = True
        #: The sum of those that are infinite, None while there are none.
        self.infinite: float | None = None

    def step(self, value: Any) -> None:
        """Take in a *value*; what Python's statistics do not take, NULL too, is an error here as there."""
        self.count += 1
        self.is_whole = self.is_whole and isinstance(value, int)
        try:
            numerator, denominator = value.as_integer_ratio()
        except OverflowError:
            self.infinite = value + (self.infinite or 0)
            return
        self.sums[denominator] += numerator
        self.squares[denominator] += numerator * numerator

    def finalize(self) -> str:
        """Write the sums as text."""
        total = sum((Fraction(number, under) for under, number in self.sums.items()), Fraction())
        squares = sum((Fraction(number, under * under) for under, number in self.squares.items()), Fraction())
        return json.dumps([self.count, str(total), str(squares), self.is_whole, self.infinite])


class _Finish:
    """A variance or its root, from the moments of parts."""

    is_sample: ClassVar[bool]
    is_root: ClassVar[bool]

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, Fraction(), Fraction()
        self.is_whole = True
        self.infinite: float | None = None

    def step(self, text: str | None) -> None:
        """Add the moments of one part, which is NULL where it has no rows."""
        if text is None:
            return
        count, total, squares, is_whole, infinite = json.loads(text)
        self.count += count
        self.sum += Fraction(total)
        self.squares += Fraction(squares)
        self.is_whole = self.is_whole and is_whole
        if infinite is not None:
            self.infinite = infinite + (self.infinite or 0)

    def finalize(self) -> float | None:
        """Divide as Python's statistics do, and raise an error where they do."""
        if not self.count:
            return None
        if self.is_sample and self.count == 1:
            raise StatisticsError("a sample variance requires at least two data points")
        if self.infinite is not None and self.is_root:
            raise StatisticsError("what is infinite has no root")
        if self.infinite is not None:
            return self.infinite
        distances = (self.count * self.squares - self.sum * self.sum) / self.count
        variance = distances / (self.count - self.is_sample)
        if self.is_root:
            return _root(variance)
        return int(variance) if self.is_whole and variance.denominator == 1 else float(variance)


_FINISHES: Final = {
    f"{name}_{kind}": type(name, (_Finish,), {"is_root": name == "STDDEV", "is_sample": kind == "SAMP"})
    for name in ("STDDEV", "VAR")
    for kind in ("POP", "SAMP")
}


def _root(square: Fraction) -> float:
    """Return the square root, rounded correctly."""
    numerator, denominator = square.numerator, square.denominator
    shift = max(0, 2 * _PRECISION - numerator.bit_length() + denominator.bit_length())
    shift += shift % 2
    whole = math.isqrt((numerator << shift) // denominator)
    if whole * whole * denominator != numerator << shift:
        whole |= 1  # what is left, so that a tie is none
    return float(Fraction(whole, 1 << shift // 2))
