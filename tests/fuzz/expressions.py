"""Which expressions, aggregates and orders can a random question have?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.db.models import Model

from tests.fuzz.code import Call, Op, call
from tests.fuzz.conditions import COLLATIONS, NUMBERS, ORDERED, PLAIN, Draw
from tests.nasty.models import VENDOR

ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York")
TRUNCATIONS: Final = ("TruncYear", "TruncMonth", "TruncWeek", "TruncDay", "TruncQuarter")


class Drawing(Draw):
    """Draws expressions too."""

    # Expressions.

    def expression(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw something that each row of *model* has, and say of which kind it is."""
        found: tuple[Any, str] | None = self.one(_EXPRESSIONS)(self, model)
        return found

    def number(self, model: type[Model]) -> tuple[Any, str] | None:
        path = self.path(model, NUMBERS)
        if path is None:
            return None
        column, kind = call("F", path.name), path.column.kind
        if kind == "decimal" and path.column.name != "huge":
            return self._decimal(column), kind
        if kind == "int" and self.maybe(0.15):
            return self._times(column)
        other = self.path(model, (kind,)) or path
        if "huge" in {path.column.name, other.column.name} or other.column.refers_to or path.column.refers_to:
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

    def _decimal(self, column: Any) -> Any:
        forms = [column, call("Coalesce", column, call("Value", Decimal("0.5"))), Op("+", column, column)]
        if VENDOR == "postgresql":  # SQLite's are floats, and MariaDB rounds them where its plan keeps groups
            digits = call("DecimalField", max_digits=40, decimal_places=12)
            quotient = Op("/", column, call("Value", self.one((3, 7, 1000))))
            forms.append(call("ExpressionWrapper", quotient, output_field=digits))
        return self.one(forms)

    def _times(self, column: Any) -> tuple[Any, str]:
        """Multiply by what Python calls equal, and a database does not."""
        factor, kind = self.one(((1, "int"), (1.0, "float"), (Decimal("1.0"), "decimal"), (Decimal("1.50"), "decimal")))
        return Op("*", column, call("Value", factor)), kind

    def told(self, model: type[Model]) -> tuple[Any, str] | None:
        """Draw what is written by somebody else than Django, or is taken for what somebody says."""
        path = self.path(model, PLAIN)
        if path is None:
            return None
        column, kind = call("F", path.name), path.column.kind
        if path.column.refers_to or path.column.name == "huge":
            return call("RawSQL", "(2 + 3)", (), call("IntegerField")), "int"
        if kind in {"int", "decimal", "float"} and self.maybe(0.5):
            return call("Func", column, function="ABS"), kind
        if kind == "text" and self.maybe(0.4):
            return call("ExpressionWrapper", column, output_field=call("CharField")), kind
        return call("Func", column, template="(%(expressions)s)"), kind

    def constant(self, model: type[Model]) -> tuple[Any, str]:
        del model
        value, kind = self.one(((1, "int"), (2.0, "float"), ("a", "text"), (Decimal("1.50"), "decimal")))
        return call("Value", value), kind

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
            chain = (
                chain.then("order_by")
                .then("values", column)
                .then("annotate", n=call("Count", "pk"))
                .then("values", "n")
            )
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
            options.pop("distinct", None)
            if self.maybe(0.2) and (found := self.one((Drawing.number, Drawing.text, Drawing.told))(self, model)):
                return call(self.one(("Min", "Max")), found[0], **options), found[1]
            if path is not None:
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
            # Of a group with one row SQLite's sample deviation is an error.
            options["sample"] = VENDOR != "sqlite" and self.maybe(0.5)
            return call(function, of, **options), "inexact"
        if function == "Sum":
            if self.maybe(0.2):
                options["default"] = 0
            inner: Any = Op("*", call("F", of), 2) if kind == "int" and self.maybe(0.3) else of
            if kind == "decimal" and self.maybe(0.3):
                inner = self._decimal(call("F", of))
            if kind == "int" and self.maybe(0.2):
                inner, kind = self._times(call("F", of))
            return call("Sum", inner, **options), kind
        if kind == "decimal" and self.maybe(0.3):
            return call("Avg", self._decimal(call("F", of)), **options), kind
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
            key = self.one(
                (call("Lower", path.name), call("Collate", call("F", path.name), self.one(COLLATIONS[VENDOR])))
            )
            return call("OrderBy", key, descending=self.maybe(0.5))
        nulls = self.one(({"nulls_first": True}, {"nulls_last": True}, {}))
        return call("OrderBy", call("F", path.name), descending=self.maybe(0.5), **nulls)


_EXPRESSIONS: Final = (
    *(
        Drawing.number,
        Drawing.number,
        Drawing.text,
        Drawing.text,
        Drawing.length,
        Drawing.moment,
        Drawing.truth,
        Drawing.scalar,
        Drawing.window,
        Drawing.told,
        Drawing.constant,
    ),
)
