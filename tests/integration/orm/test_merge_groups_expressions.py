"""Groups and aggregates of expressions: what a column means inside of one, and what a parameter makes of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from django.db.models import (
    Case,
    CharField,
    Count,
    DecimalField,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    TextField,
    Value,
    Variance,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce, Collate, Concat

from tests.fix_shop import same
from tests.fix_things import close, columns
from tests.nasty.models import BINARY, CASELESS, VENDOR, Thing

pytestmark = pytest.mark.django_db(databases="__all__")

DIGITS: Final = DecimalField(max_digits=30, decimal_places=10)


def test_a_parameter_decides_what_a_sum_is(things: Callable[..., None]) -> None:
    """The statement is the same text each time, and the type of what it sums is not."""
    things(columns(small=[1, 2, 4, None, 7]))

    def summed(factor: Any) -> Any:
        return Thing.objects.aggregate(n=Sum(F("small") * factor, output_field=DIGITS))["n"]

    def chosen(yes: Any, no: Any) -> Any:
        return Thing.objects.aggregate(n=Sum(Case(When(small=4, then=Value(yes)), default=Value(no))))["n"]

    same(lambda: [summed(2), summed(Decimal("2.55")), summed(3), summed(Decimal("2.555"))])
    same(lambda: [chosen(1, 0), chosen(1.5, 0.25), chosen(1, 2), chosen(Decimal("1.5"), Decimal(0))])


@pytest.mark.skipif(VENDOR == "sqlite", reason="its functions for variances are Python's, and take no decimals")
def test_a_parameter_decides_how_many_digits_a_variance_has(things: Callable[..., None]) -> None:
    things(columns(money=[Decimal(n * n) / 4 for n in range(9)]))

    def spread(factor: Any) -> Any:
        return Thing.objects.aggregate(n=Variance(F("money") * factor, output_field=FloatField()))["n"]

    for factor in (3, Decimal("3.12345678"), Decimal("3.0"), Decimal("3.000000")):
        close(lambda: {"n": spread(factor)}, within=1e-15)  # noqa: B023 - called here and now


def test_expressions_are_not_one_because_their_parameters_are_equal(things: Callable[..., None]) -> None:
    """1 equals 1.0 and True, 0.0 equals -0.0, and 1.0 equals 1.00: to Python."""
    things(columns(small=[1, 2, 4, None, 7], real=[1.5, -2.5, 0.0, -0.0, 7.0]))

    def halves(one: Any, other: Any) -> dict[str, Any]:
        return {"a": Sum(F("small") * Value(one) / Value(2)), "b": Sum(F("small") * Value(other) / Value(2))}

    same(lambda: Thing.objects.aggregate(**halves(1, 1.0)))
    same(lambda: Thing.objects.aggregate(**halves(1.0, 1)))
    same(lambda: Thing.objects.values("flag").annotate(**halves(1, 1.0)))
    same(
        lambda: [
            str(value)
            for value in Thing.objects.aggregate(
                a=Max(Value(Decimal("1.0"))), b=Max(Value(Decimal("1.00"))), c=Max(Value(0.0)), d=Max(Value(-0.0))
            ).values()
        ]
    )
    same(
        lambda: sorted(
            map(
                str,
                Thing.objects.order_by()
                .values_list(Coalesce("real", Value(0.0)) * Value(0.0), Coalesce("real", Value(0.0)) * Value(-0.0))
                .distinct(),
            )
        )
    )


@pytest.mark.skipif(VENDOR == "postgresql", reason="it does not select what is not grouped by")
def test_groups_are_not_one_because_their_parameters_are_equal(things: Callable[..., None]) -> None:
    things(columns(small=[1, 2, 4, None, 7]))

    same(
        lambda: (
            Thing.objects.order_by().values(x=F("small") / Value(2), y=F("small") / Value(2.0)).annotate(n=Count("pk"))
        ),
        ordered=False,
    )


CASELESS_TEXT: Final = F("caseless")
#: Text that ignores case, in what keeps that and in what does not; which is which, the database says.
TEXTS_WITHIN: Final[dict[str, Any]] = {
    "wrapped": ExpressionWrapper(CASELESS_TEXT, output_field=CharField()),
    "wrapped_twice": ExpressionWrapper(
        ExpressionWrapper(CASELESS_TEXT, output_field=TextField()), output_field=CharField()
    ),
    "cast": Cast(CASELESS_TEXT, TextField()),
    "cast_of_wrapped": Cast(ExpressionWrapper(CASELESS_TEXT, output_field=TextField()), CharField(max_length=30)),
    "collated": Collate("text", CASELESS),
    "collated_and_wrapped": ExpressionWrapper(Collate("text", CASELESS), output_field=TextField()),
    "bytes": Collate("caseless", BINARY),
    "coalesced": Coalesce("caseless", Value("")),
    "collated_inside": Coalesce(Collate("text", CASELESS), Value("", TextField()), output_field=TextField()),
    "chosen": Case(When(small__gte=0, then=CASELESS_TEXT), default=Value("")),
    "concatenated": Concat("caseless", Value("x"), output_field=TextField()),
    "in_parentheses": Func(CASELESS_TEXT, template="(%(expressions)s)", output_field=CharField()),
    "raw": RawSQL("nasty_thing.caseless", (), CharField()),
    "in_a_subquery": Subquery(Thing.objects.filter(pk=OuterRef("pk")).order_by().values("caseless")),
}
within = pytest.mark.parametrize("expression", list(TEXTS_WITHIN.values()), ids=list(TEXTS_WITHIN))


@pytest.fixture
def cases_of_letters(things: Callable[..., None]) -> None:
    """Make things whose texts differ in case alone, where equal ones are never on one shard only."""
    letters = [letter for n in range(6) for letter in ("a", "B", "b", "A")[: 4 - n % 2]]
    things(columns(text=letters, caseless=letters, small=range(len(letters))))


@within
@pytest.mark.usefixtures("cases_of_letters")
def test_text_inside_of_an_expression_is_equal_where_the_database_says_so(expression: Any) -> None:
    things = Thing.objects.order_by()

    same(lambda: things.annotate(x=expression).values("x").distinct().count())
    same(lambda: len(things.annotate(x=expression).values("x").distinct()))
    same(lambda: len(things.annotate(x=expression).values("x").annotate(n=Count("pk"))))
    same(lambda: things.aggregate(n=Count(expression, distinct=True)))
    same(lambda: things.annotate(x=expression).distinct().aggregate(n=Count("x", distinct=True)))


@within
@pytest.mark.usefixtures("cases_of_letters")
def test_text_inside_of_an_expression_is_ordered_as_the_database_says(expression: Any) -> None:
    """Of equal texts any may be the least, so case counts where the database says that it does."""

    def folded(found: dict[str, Any]) -> list[str]:
        return [text.lower() for text in found.values()]

    things = Thing.objects.annotate(x=expression).order_by()
    pairs = [Q(small__in=(n, n + 1)) for n in range(16)]

    same(lambda: list(Thing.objects.order_by(expression, "small").values_list("small", flat=True)))
    same(lambda: list(Thing.objects.order_by(expression.desc(), "small").values_list("small", flat=True)[3:9]))
    same(lambda: [folded(things.filter(pair).aggregate(a=Max("x"), b=Min("x"))) for pair in pairs])
    same(lambda: [folded(things.filter(pair).distinct().aggregate(a=Max("x"), b=Min("x"))) for pair in pairs])


@pytest.mark.usefixtures("cases_of_letters")
def test_text_that_somebody_takes_for_numbers_is_text() -> None:
    told = ExpressionWrapper(CASELESS_TEXT, output_field=IntegerField())
    things = Thing.objects.order_by().annotate(x=told)

    same(lambda: things.values("x").distinct().count())
    same(lambda: things.aggregate(n=Count("x", distinct=True)))
    same(lambda: things.values("x").annotate(n=Count("pk")).count())
    same(lambda: list(things.order_by("x", "small").values_list("small", flat=True)))


@pytest.mark.skipif(VENDOR == "mysql", reason="there HAVING knows no expressions of columns")
def test_groups_of_decimals_are_compared_as_decimals(things: Callable[..., None]) -> None:
    """On SQLite the parameter is text, which a decimal makes a number by being one."""
    things(columns(money=[Decimal(n % 5) * Decimal("10.25") for n in range(23)], small=range(23)))
    decimals = {
        "product": F("money") * 2,
        "coalesced": Coalesce("money", Value(Decimal(0))),
        "chosen": Case(When(small__gte=3, then=F("money")), default=Value(Decimal("41.00"))),
        "cast": Cast("small", DecimalField(max_digits=9, decimal_places=2)),
        "in_a_subquery": Subquery(Thing.objects.filter(pk=OuterRef("pk")).order_by().values("money")),
        "wrapped": ExpressionWrapper(F("money"), output_field=DIGITS),
        "of_somebodys": Func(F("money"), template="(%(expressions)s)", output_field=DIGITS),
        "raw": RawSQL("(nasty_thing.money)", (), DIGITS),
    }

    for expression in decimals.values():
        groups = Thing.objects.order_by().values(x=expression).annotate(n=Count("pk"))
        same(lambda: groups.filter(Q(x__gt=Decimal("40.5")) | Q(n__gt=99)), ordered=False)  # noqa: B023 - now
        same(lambda: groups.filter(Q(x=Decimal("20.5")) | Q(n__gt=99)), ordered=False)  # noqa: B023 - now
