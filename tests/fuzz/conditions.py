"""Which conditions can a random question have?

Everything drawn has one right answer: what would depend on the order of ties, or on the order in which floats are
added, is left out or gets an order that has none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.db.models import Model

from tests.fuzz.code import Call, Chain, Not, Op, call
from tests.fuzz.rows import POOLS, Data
from tests.fuzz.shapes import Column, Relation, Shape, shape_of
from tests.nasty.models import BINARY, CASELESS, VENDOR

NUMBERS: Final = ("int", "float", "decimal")
#: Kinds that have an order everywhere, and MIN and MAX.
ORDERED: Final = ("int", "float", "decimal", "text", "date", "datetime", "time", "duration")
#: Kinds whose values equal, group and are listed without surprises of the drivers.
PLAIN: Final = (*ORDERED, "bool", "uuid")
COMPARISONS: Final = ("", "", "__in", "__gt", "__gte", "__lt", "__lte", "__range", "__isnull")
TEXT_LOOKUPS: Final = (
    *("__contains", "__icontains", "__startswith", "__istartswith", "__endswith", "__iendswith", "__iexact"),
    *("__regex", "__iregex"),
)
PARTS_OF_DATES: Final = ("year", "month", "day", "week_day", "quarter", "iso_year", "week")
COLLATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": ("binary", "nocase", "rtrim"),
    "postgresql": ("C", "en-US-x-icu", "sv-x-icu", "und-x-icu", "nasty_caseless"),
    "mysql": ("utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_swedish_ci"),
}
assert {CASELESS, BINARY} <= set(COLLATIONS[VENDOR])


@dataclass(frozen=True)
class Path:
    """The way to a column by relations, as lookups write it."""

    name: str
    column: Column
    #: A relation on the way may lead to several rows.
    many: bool


@dataclass
class Draw:
    """Draws parts of questions about one data set."""

    data: Data
    chance: random.Random
    #: Only columns that each row has one of: joins must not repeat rows.
    singly: bool = False
    #: How many subqueries may still be nested.
    depth: int = 2
    #: Names given to annotations so far.
    names: int = 0
    #: Kinds of annotations of the question, by their names.
    annotated: dict[str, str] = field(default_factory=dict)

    def maybe(self, probability: float) -> bool:
        return self.chance.random() < probability

    def one(self, choices: Sequence[Any]) -> Any:
        return self.chance.choice(choices)

    def name(self, prefix: str = "x") -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def shape(self, model: type[Model]) -> Shape:
        return shape_of(model, self.data.world.members)

    # Paths.

    def path(self, model: type[Model], kinds: Sequence[str] = PLAIN, *, own: float = 0.62) -> Path | None:
        """Draw a way from *model* to a column of one of *kinds*; mostly one of its own."""
        hops = 0 if self.maybe(own) else self.one((1, 1, 1, 2, 2, 3))
        for _ in range(4):
            found = self._walk(model, kinds, hops)
            if found is not None:
                return found
            hops = max(0, hops - 1)
        return None

    def _walk(self, model: type[Model], kinds: Sequence[str], hops: int) -> Path | None:
        names, many, here = [], False, model
        for _ in range(hops):
            relation = self.relation(here)
            if relation is None:
                return None
            names.append(relation.name)
            many = many or relation.many
            here = relation.model
        columns = self.shape(here).of_kind(*kinds)
        if not columns:
            return None
        column = self.one(columns)
        return Path("__".join((*names, column.name)), column, many)

    def relation(self, model: type[Model], *, singly: bool | None = None) -> Relation | None:
        """Draw a relation of *model*."""
        only = self.singly if singly is None else singly
        choices = [found for found in self.shape(model).relations if not (only and found.many)]
        return self.one(choices) if choices else None

    # Values.

    def value(self, column: Column) -> Any:
        """Draw a value to compare *column* with: mostly one that a row has."""
        known = [value for value in self.data.values_of(column) if value is not None]
        if known and self.maybe(0.8):
            return self.one(known)
        return self.one(POOLS[column.kind])

    # Conditions.

    def condition(self, model: type[Model], depth: int = 2) -> Any:
        """Draw a condition on rows of *model*."""
        roll = self.chance.random()
        if depth and roll < 0.22:
            return Op(self.one("&&||^"), self.condition(model, depth - 1), self.condition(model, depth - 1))
        if depth and roll < 0.3:
            return Not(self.condition(model, depth - 1))
        special = None
        if self.depth and roll < 0.42:
            special = self._nested(model)
        elif roll < 0.5:
            special = self._comparison_of_columns(model)
        elif roll < 0.53:
            special = self._by_hand(model)
        return self._leaf(model) if special is None else special

    def _leaf(self, model: type[Model]) -> Call:
        path = self.path(model, (*PLAIN, *("bytes", "json") * (self.chance.random() < 0.1)))
        if path is None:
            return call("Q", pk__isnull=False)
        lookup, value = self._lookup(path.column)
        return Call("Q", (), ((path.name + lookup, value),))

    def _lookup(self, column: Column) -> tuple[str, Any]:
        value = self.value(column)
        special = None if _takes_no_patterns(column) else _LOOKUPS.get(column.kind)
        if special is not None and column.refers_to is None and self.maybe(0.35):
            return special(self, value)
        if column.refers_to is not None or column.kind in {"bool", "json", "bytes", "uuid"}:
            found = self.one((("", value), ("__in", [value, self.value(column)]), ("__isnull", self.maybe(0.5))))
            return found[0], found[1]
        return self._compared(column, value)

    def _compared(self, column: Column, value: Any) -> tuple[str, Any]:
        lookup: str = self.one(COMPARISONS)
        match lookup:
            case "__in":
                return lookup, [value, *(self.value(column) for _ in range(self.one((0, 1, 3))))]
            case "__range":
                return lookup, tuple(sorted((value, self.value(column))))
            case "__isnull":
                return lookup, self.maybe(0.5)
        return lookup, value

    def _comparison_of_columns(self, model: type[Model]) -> Call | None:
        left = self.path(model, ORDERED)
        right = left and self.path(model, (left.column.kind,))
        if left is None or right is None or _collation_of(left.column) != _collation_of(right.column):
            return None
        return Call("Q", (), ((left.name + self.one(("", "__gt", "__lte")), call("F", right.name)),))

    def _by_hand(self, model: type[Model]) -> Any:
        """Draw a lookup that is made by hand, whose values Django sends as they are."""
        path = self.path(model, ("int",))
        if path is None or path.column.name == "huge":
            return None
        column, value = call("F", path.name), self.value(path.column)
        return self.one(
            (
                call("Exact", column, self.one((value, float(value), Decimal(value), str(value)))),
                call("In", column, [str(value), str(self.value(path.column))]),
                call("In", column, [float(value), self.value(path.column)]),
                call("GreaterThan", column, float(value)),
            )
        )

    # Subqueries.

    def _nested(self, model: type[Model]) -> Any:
        return self.one((self._exists, self._within))(model)

    def _deeper(self, *, singly: bool | None = None) -> Draw:
        return Draw(self.data, self.chance, self.singly if singly is None else singly, self.depth - 1, self.names + 10)

    def correlated(self, model: type[Model]) -> tuple[Chain, type[Model]] | None:
        """Draw rows of another table that belong to the row outside; mostly by a foreign key, sometimes by chance."""
        links = [
            (column.model, column.name, "pk")
            for other in self.data.world.models
            for column in self.shape(other).columns
            if column.refers_to is model and column.field.primary_key is False
        ]
        links += [
            (column.refers_to, "pk", column.name)
            for column in self.shape(model).columns
            if column.refers_to in self.data.world.members
        ]
        links += [(model, self.shape(model).pk, self.shape(model).pk)] if self.shape(model).of_kind("int") else []
        links = [link for link in links if not self._is_composite(link[0])]
        if not links or self._is_composite(model):
            return None
        other, inside, outside = self.one(links)
        chain = Chain(other.__name__).then("filter", Call("Q", (), ((inside, call("OuterRef", outside)),)))
        return chain, other

    def _is_composite(self, model: Any) -> bool:
        return len(model._meta.pk_fields) > 1

    def _exists(self, model: type[Model]) -> Any:
        found = self.correlated(model)
        if found is None:
            return None
        chain, other = found
        if self.maybe(0.6):
            chain = chain.then("filter", self._deeper().condition(other, 1))
        return self.one((call("Exists", chain), Not(call("Exists", chain))))

    def _within(self, model: type[Model]) -> Any:
        columns = [column for column in self.shape(model).columns if column.refers_to or column.field.primary_key]
        columns = [column for column in columns if not self._is_composite(column.refers_to or model)]
        if not columns:
            return None
        column = self.one(columns)
        target = column.refers_to or column.model
        inside = [
            found
            for other in self.data.world.models
            for found in self.shape(other).columns
            if (found.refers_to or (found.field.primary_key and found.model)) is target
        ]
        if not inside:
            return None
        found = self.one(inside)
        chain = self.rows(found.model).then("values", found.name)
        if VENDOR != "mysql" and self.maybe(0.2):
            chain = chain.then("order_by", self.one(("", "-")) + "pk").then("[]", 0, self.one((1, 3, 8)))
        condition = Call("Q", (), ((f"{column.name}__in", chain),))
        return self.one((condition, condition, Not(condition)))

    def rows(self, model: type[Model]) -> Chain:
        """Draw some rows of *model* for a subquery."""
        chain = Chain(model.__name__)
        for _ in range(self.one((0, 1, 1, 2))):
            chain = chain.then(self.one(("filter", "filter", "exclude")), self._deeper(singly=True).condition(model, 1))
        return chain


def _collation_of(column: Column) -> str | None:
    """Name the collation that *column* declares: of two, PostgreSQL complains when it comes to compare, not before."""
    return getattr(column.field, "db_collation", None)


def _takes_no_patterns(column: Column) -> bool:
    """Say whether LIKE is an error: before PostgreSQL 18 it is, where equal texts may be of different bytes."""
    return VENDOR == "postgresql" and getattr(column.field, "db_collation", None) == CASELESS


def _of_text(_draw: Draw, value: Any) -> tuple[str, Any]:
    lookup = _draw.one(TEXT_LOOKUPS)
    piece = value[: _draw.one((0, 1, 2, 5))]
    if "regex" in lookup:
        piece = _draw.one(("^a", "b$", "[aeé]", "^$", "A.*"))
    return lookup, piece


def _of_date(draw: Draw, value: Any) -> tuple[str, Any]:
    part = draw.one(PARTS_OF_DATES)
    year, week, weekday = value.isocalendar()
    known = {
        "year": value.year,
        "month": value.month,
        "day": value.day,
        "week_day": weekday % 7 + 1,
        "quarter": (value.month + 2) // 3,
        "iso_year": year,
        "week": week,
    }
    return f"__{part}{draw.one(('', '', '__gte', '__lt'))}", known[part]


def _of_moment(draw: Draw, value: Any) -> tuple[str, Any]:
    if draw.maybe(0.3):
        return f"__date{draw.one(('', '__gte'))}", value.date()
    return f"__hour{draw.one(('', '__gte'))}", value.hour if draw.maybe(0.5) else 0


def _of_json(draw: Draw, _value: Any) -> tuple[str, Any]:
    lookup, value = draw.one((("__a", 1), ("__a__isnull", draw.maybe(0.5)), ("__has_key", "a"), ("__b__0", 1)))
    return lookup, value


_LOOKUPS: Final[Mapping[str, Callable[[Draw, Any], tuple[str, Any]]]] = {
    "text": _of_text,
    "date": _of_date,
    "datetime": lambda draw, value: draw.one((_of_date, _of_moment))(draw, value),
    "json": _of_json,
}
