"""Which conditions, expressions and orders can a random question have?

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
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York")
TRUNCATIONS: Final = ("TruncYear", "TruncMonth", "TruncWeek", "TruncDay", "TruncQuarter")
COLLATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": ("binary", "nocase", "rtrim"),
    "postgresql": ("C", "en-US-x-icu", "sv-x-icu", "und-x-icu", "nasty_caseless"),
    "mysql": ("utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_swedish_ci"),
}
assert CASELESS in COLLATIONS[VENDOR] and BINARY in COLLATIONS[VENDOR]


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
        if self.depth and roll < 0.42:
            nested = self._nested(model)
            if nested is not None:
                return nested
        if roll < 0.5:
            return self._comparison_of_columns(model) or self._leaf(model)
        return self._leaf(model)

    def _leaf(self, model: type[Model]) -> Call:
        path = self.path(model, (*PLAIN, *("bytes", "json") * (self.chance.random() < 0.1)))
        if path is None:
            return call("Q", pk__isnull=False)
        lookup, value = self._lookup(path.column)
        return Call("Q", (), ((path.name + lookup, value),))

    def _lookup(self, column: Column) -> tuple[str, Any]:
        value = self.value(column)
        if column.refers_to is not None:
            return self.one((("", value), ("__in", [value, self.value(column)]), ("__isnull", self.maybe(0.5))))
        special = _LOOKUPS.get(column.kind)
        if special is not None and self.maybe(0.35):
            return special(self, value)
        if column.kind in {"bool", "json", "bytes", "uuid"}:
            return self.one((("", value), ("__isnull", self.maybe(0.5)), ("__in", [value])))
        lookup = self.one(COMPARISONS)
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
        if left is None or right is None:
            return None
        return Call("Q", (), ((left.name + self.one(("", "__gt", "__lte")), call("F", right.name)),))

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

    # Expressions.

    def expression(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw something that each row of *model* has, and say of which kind it is."""
        return self.one(_EXPRESSIONS)(self, model)

    def number(self, model: type[Model]) -> tuple[Any, str] | None:
        path = self.path(model, NUMBERS)
        if path is None:
            return None
        column, kind = call("F", path.name), path.column.kind
        if path.column.name == "huge":
            return column, kind
        if kind == "decimal":
            return self.one((column, call("Coalesce", column, call("Value", Decimal("0.5"))), Op("+", column, column))), kind
        other = self.path(model, (kind,))
        assert other is not None
        if other.column.name == "huge" or other.column.refers_to or path.column.refers_to:
            return column, kind
        return self.one(
            (
                column,
                Op("+", column, call("F", other.name)),
                Op("*", column, 2),
                Op("-", call("F", other.name), 1),
                call("Abs", path.name),
                call("Coalesce", path.name, other.name),
                call("Greatest", path.name, other.name),
                call("NullIf", path.name, other.name),
                self._case(model, column, call("Value", 0 if kind == "int" else 0.5)),
            )
        ), kind

    def _case(self, model: type[Model], then: Any, default: Any) -> Call:
        condition = Draw(self.data, self.chance, self.singly, 0).condition(model, 1)
        return call("Case", call("When", condition, then=then), default=default)

    def text(self, model: type[Model]) -> tuple[Any, str] | None:
        path = self.path(model, ("text",))
        if path is None:
            return None
        name = path.name
        return self.one(
            (
                call("Lower", name),
                call("Upper", name),
                call("Trim", name),
                call("Substr", name, 1, 1),
                call("Coalesce", name, call("Value", "none")),
                call("Concat", name, call("Value", "-"), name),
                call("F", name),
                self._case(model, call("F", name), call("Value", "else")),
            )
        ), "text"

    def length(self, model: type[Model]) -> tuple[Any, str] | None:
        path = self.path(model, ("text",))
        return None if path is None else (call("Length", path.name), "int")

    def moment(self, model: type[Model]) -> tuple[Any, str] | None:
        path = self.path(model, ("datetime", "date"))
        if path is None:
            return None
        with_zone = path.column.kind == "datetime"
        zone = {"tzinfo": call("ZoneInfo", self.one(ZONES))} if with_zone and self.maybe(0.7) else {}
        if self.maybe(0.5):
            return call(self.one(TRUNCATIONS), path.name, **zone), path.column.kind
        return call(self.one(("ExtractYear", "ExtractMonth", "ExtractWeekDay", "ExtractDay")), path.name, **zone), "int"

    def truth(self, model: type[Model]) -> tuple[Any, str] | None:
        found = self._exists(model) if self.depth else None
        if found is None:
            found = call("ExpressionWrapper", self._leaf(model), output_field=call("BooleanField"))
        return found, "bool"

    def scalar(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw one value of the rows that belong to each row."""
        found = self.correlated(model) if self.depth else None
        if found is None:
            return None
        chain, other = found
        if self.maybe(0.4):
            chain = chain.then("filter", self._deeper(singly=True).condition(other, 1))
        deeper = self._deeper(singly=True)
        path = deeper.path(other, ("int", "text", "decimal", "datetime"))
        if path is None:
            return None
        if self.maybe(0.4):
            column = chain.steps[0].args[0].kwargs[0][0]
            chain = chain.then("order_by").then("values", column).then("annotate", n=call("Count", "pk")).then("values", "n")
            return call("Subquery", chain), "int"
        ordered = chain.then("order_by", self.one(("pk", "-pk"))).then("values", path.name).then("[]", 0, 1)
        return call("Subquery", ordered), path.column.kind

    def window(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw a window function over an order without ties."""
        path = self.path(model, PLAIN, own=0.8)
        number = self.path(model, ("int", "decimal"), own=1)
        if path is None or not self.singly or self._is_composite(model):
            return None
        total = [self.one(("pk", "-pk"))]
        leading = self.path(model, ORDERED, own=0.9)
        if leading is not None and self.maybe(0.6):
            total.insert(0, self.one(("", "-")) + leading.name)
        over: dict[str, Any] = {"order_by": total}
        if self.maybe(0.7):
            over["partition_by"] = [call("F", path.name)]
        function: Any = call(self.one(("RowNumber", "RowNumber", "Rank", "DenseRank", "PercentRank", "CumeDist")))
        kind = "float" if function.name in {"PercentRank", "CumeDist"} else "int"
        if number is not None and number.column.name != "huge" and self.maybe(0.45):
            inner = self.one(("Sum", "Count", "Max", "Lag", "FirstValue", "LastValue", "Lead"))
            function, kind = call(inner, number.name), "int" if inner == "Count" else number.column.kind
        return call("Window", function, **over), kind

    # Aggregates.

    def aggregate(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw an aggregate over rows of *model*, and say of which kind it is; ``inexact`` may differ in rounding."""
        roll = self.chance.random()
        options = self._options(model)
        if roll < 0.3:
            path = self.path(model, (*PLAIN, "int"), own=0.5)
            name = "pk" if self.maybe(0.3) or path is None else path.name
            if name == "pk" and self._is_composite(model):
                name = "*"
            if name == "*":
                options.pop("distinct", None)
            return call("Count", name, **options), "int"
        if roll < 0.6:
            path = self.path(model, ORDERED, own=0.6)
            if path is not None:
                options.pop("distinct", None)
                return call(self.one(("Min", "Max")), path.name, **options), path.column.kind
        return self._arithmetic(model, options)

    def _options(self, model: type[Model]) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.maybe(0.25):
            options["distinct"] = True
        if self.maybe(0.25):
            options["filter"] = Draw(self.data, self.chance, self.singly, 0).condition(model, 1)
        return options

    def _arithmetic(self, model: type[Model], options: dict[str, Any]) -> tuple[Any, str] | None:
        path = self.path(model, NUMBERS, own=0.6)
        if path is None or path.column.name == "huge" or path.column.refers_to or path.column.field.primary_key:
            return call("Count", "*"), "int"
        kind, of = path.column.kind, path.name
        function = self.one(("Sum", "Sum", "Avg", "Avg", "StdDev", "Variance"))
        if function in {"StdDev", "Variance"}:
            options.pop("distinct", None)
            options["sample"] = self.maybe(0.5)
            return call(function, of, **options), "inexact"
        if function == "Sum":
            if self.maybe(0.2):
                options["default"] = 0
            inner: Any = Op("*", call("F", of), 2) if kind == "int" and self.maybe(0.3) else of
            return call("Sum", inner, **options), kind
        return call("Avg", of, **options), "decimal" if kind == "decimal" else "inexact"

    def over_aggregates(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw an expression over one or two aggregates."""
        one, kind = self.aggregate(model) or (call("Count", "*"), "int")
        two, other = self.aggregate(model) or (call("Count", "*"), "int")
        if kind == other == "int":
            return Op(self.one("+-"), one, Op("*", two, 2)), kind
        if kind == "int":
            return call("Coalesce", one, 0), kind
        return one, kind

    # Orders.

    def order(self, model: type[Model]) -> list[Any]:
        """Draw what to order rows of *model* by, which may leave ties."""
        return [term for _ in range(self.one((1, 1, 2, 3))) if (term := self.term(model)) is not None]

    def term(self, model: type[Model]) -> Any:
        roll = self.chance.random()
        named = [name for name, kind in self.annotated.items() if kind in PLAIN]
        if named and roll < 0.35:
            return self.one(("", "-")) + self.one(named)
        path = self.path(model, (*PLAIN, "bool"), own=0.7)
        if path is None:
            return None
        if roll < 0.7:
            return self.one(("", "-")) + path.name
        if path.column.kind == "text" and roll < 0.85:
            key = self.one((call("Lower", path.name), call("Collate", call("F", path.name), self.one(COLLATIONS[VENDOR]))))
            return call("OrderBy", key, descending=self.maybe(0.5))
        nulls = self.one(({"nulls_first": True}, {"nulls_last": True}, {}))
        return call("OrderBy", call("F", path.name), descending=self.maybe(0.5), **nulls)


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
    return draw.one((("__a", 1), ("__a__isnull", draw.maybe(0.5)), ("__has_key", "a"), ("__b__0", 1)))


_LOOKUPS: Final[Mapping[str, Callable[[Draw, Any], tuple[str, Any]]]] = {
    "text": _of_text,
    "date": _of_date,
    "datetime": lambda draw, value: draw.one((_of_date, _of_moment))(draw, value),
    "json": _of_json,
}
_EXPRESSIONS: Final = (
    *(Draw.number, Draw.number, Draw.text, Draw.text, Draw.length, Draw.moment, Draw.truth, Draw.scalar, Draw.window),
)
