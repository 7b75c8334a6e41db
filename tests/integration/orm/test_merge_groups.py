"""Groups, aggregates and distinct rows that span shards: what one plain database answers, from rows of parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import NotSupportedError, transaction
from django.db.models import (
    Avg,
    Case,
    Count,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    StdDev,
    Sum,
    Value,
    Variance,
    When,
)
from django.db.models.functions import Coalesce, Concat, ExtractWeekDay, Length, Lower, TruncDay, TruncMonth, Upper
from django.test import override_settings
from django.utils import timezone

from shardkit.errors import CrossShardQuery, GatherLimitExceeded
from tests.fix_shop import Shop, cases, outcome, same
from tests.nasty.models import VENDOR
from tests.shop.models import Country, Customer, Gadget, Label, Line, Order, Parcel, Reading, Room

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[[Shop], Any]


def finished_over_parts(make: Callable[[], Any]) -> Any:
    """Demand the plain database's answer, from one statement on each shard and at most one on `default`.

    A shard may be asked once more, and only once, what its values are.
    """
    answer = same(make)
    seen = outcome(make).seen
    shards = {alias: count for alias, count in seen.items() if alias != "default"}
    assert set(shards.values()) <= {1}, seen.texts
    assert seen["default"] <= 1, seen.texts
    return answer


@cases(
    one_of_each=lambda _: Order.objects.aggregate(Sum("total"), Min("created"), Max("number"), Count("weight")),
    division_that_does_not_end=lambda s: Order.objects.filter(pk__in=[o.pk for o in s.orders[::3][:7]]).aggregate(
        Avg("total")
    ),
    averages=lambda _: Order.objects.aggregate(Avg("number"), Avg("total"), Avg("weight"), Avg("customer__score")),
    spreads=lambda _: Order.objects.aggregate(
        StdDev("number"), Variance("total", sample=True), a=StdDev("total", sample=True), b=Variance("number")
    ),
    of_nothing=lambda _: Order.objects.filter(number=-1).aggregate(Sum("total"), Count("id"), Avg("weight")),
    of_nothing_with_a_default=lambda _: Order.objects.filter(number=-1).aggregate(n=Sum("number", default=0)),
    of_none=lambda _: Order.objects.none().aggregate(Sum("total"), n=Count("id"), d=Sum("number", default=7)),
    of_no_key=lambda _: Customer.objects.filter(pk__in=[]).aggregate(Sum("score"), n=Coalesce(Max("score"), -1)),
    text=lambda _: Customer.objects.aggregate(Min("name"), Max("name"), Min("email")),
    expression_of_aggregates=lambda _: Order.objects.aggregate(n=Sum(F("number") * 2) + Max("id")),
    integer_division=lambda _: Order.objects.aggregate(n=Sum("number") / 2, m=Count("id") / 2, a=Avg("number") / 2),
    distinct=lambda _: Order.objects.aggregate(
        Count("status", distinct=True),
        s=Sum("product_id", distinct=True),
        a=Avg("number", distinct=True),
        n=Count("id"),
    ),
    distinct_text=lambda _: Customer.objects.aggregate(n=Count("name", distinct=True)),
    distinct_and_filtered=lambda _: Order.objects.aggregate(
        n=Count("number", distinct=True, filter=Q(status="new")), m=Sum("number", distinct=True, filter=Q(total__gt=9))
    ),
    filtered=lambda _: Order.objects.aggregate(
        n=Count("id", filter=Q(status="new")), t=Sum("total", filter=Q(status="paid", number__gt=0)), a=Avg("number")
    ),
    filtered_to_nothing=lambda _: Order.objects.aggregate(
        n=Count("id", filter=Q(pk__in=[])), t=Sum("total", filter=Q(pk__in=[])), d=Sum("number", default=3)
    ),
    filtered_to_all=lambda _: Order.objects.aggregate(n=Sum("number", filter=~Q(pk__in=[])), m=Avg("total")),
    all_filtered_to_nothing=lambda _: Order.objects.aggregate(n=Avg("number", filter=Q(pk__in=[]), default=3)),
    joined=lambda _: Line.objects.aggregate(n=Count("order__customer", distinct=True), t=Sum("order__total")),
    many_valued=lambda _: Customer.objects.aggregate(Count("orders__lines"), Sum("orders__total")),
    case_when=lambda _: Order.objects.aggregate(n=Sum(Case(When(status="new", then=F("number")), default=Value(1)))),
    durations=lambda _: Order.objects.aggregate(n=Max(F("created")) - Min(F("created"))),
    of_some_shards=lambda s: Order.objects.filter(customer__in=[s.customers[3], s.customers[11]]).aggregate(
        Avg("total"), Max("note")
    ),
    of_annotations=lambda _: Order.objects.annotate(twice=F("number") * 2).aggregate(Sum("twice"), n=Avg("twice")),
    of_dates=lambda _: Order.objects.aggregate(n=Count(TruncMonth("created"), distinct=True), m=Max("created__date")),
)
def test_aggregates(shop: Shop, case: Case_) -> None:
    finished_over_parts(lambda: case(shop))


@cases(
    count=lambda _: Order.objects.count(),
    filtered=lambda _: Order.objects.filter(status="new").count(),
    joined=lambda _: Order.objects.filter(labels__name="urgent").count(),
    of_rows_of_a_subquery=lambda _: Customer.objects.annotate(n=Count("orders")).filter(n__gt=1).count(),
    distinct_rows=lambda _: Customer.objects.filter(orders__number__gte=0).distinct().count(),
    sums_of_integers=lambda _: Order.objects.aggregate(Sum("number"), Count("id"), n=Count("id", filter=Q(number=1))),
    least_and_greatest=lambda _: Order.objects.aggregate(Min("number"), Max("number"), Min("created"), Max("created")),
    of_nothing=lambda _: Order.objects.filter(number=-1).aggregate(Sum("number"), Max("created"), n=Count("id")),
    filtered_to_nothing=lambda _: Order.objects.filter(number=-1).aggregate(
        n=Count("id", filter=Q(pk__in=[])), m=Max("created", filter=Q(pk__in=[]))
    ),
    constants=lambda _: Order.objects.aggregate(n=Count("id", filter=Q(pk__in=[]))),
)
def test_what_adds_up_asks_the_shards_alone(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="merge")


@cases(
    ordered_by_an_aggregate=lambda _: (
        Order.objects.values("status").annotate(n=Count("id"), t=Sum("total")).order_by("-n", "status")[:2]
    ),
    having=lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=7).order_by("status"),
    having_another_aggregate=lambda _: (
        Order.objects.values("status").alias(t=Avg("total")).filter(t__gt=10).annotate(n=Count("id")).order_by("n")
    ),
    having_a_decimal=lambda _: (
        Order.objects.values("number").annotate(t=Sum("total")).filter(t__gte="30.50").order_by("number")
    ),
    compared_with_each_other=lambda _: (
        Order.objects.values("status").annotate(a=Count("id"), b=Sum("number")).filter(a__gt=F("b")).order_by("status")
    ),
    offset=lambda _: Order.objects.values("number").annotate(n=Count("id")).order_by("-number")[1:3],
    nulls=lambda _: Order.objects.values("note").annotate(n=Count("id"), m=Count("note")).order_by("n", "m"),
    nulls_last=lambda _: (
        Order.objects.values("product_id").annotate(n=Count("id")).order_by(F("product_id").desc(nulls_last=True))
    ),
    by_two=lambda _: (
        Order.objects.values("status", "number")
        .annotate(n=Count("id"), a=Avg("total"), d=Count("product_id", distinct=True))
        .order_by("status", "number")
    ),
    by_a_joined_column=lambda _: (
        Order.objects.values("customer__country__name").annotate(n=Count("id"), t=Sum("total")).order_by("t", "n")
    ),
    by_an_expression=lambda _: (
        Order.objects.annotate(odd=F("number") % 2)
        .values("odd")
        .annotate(n=Count("id"), s=StdDev("total"))
        .order_by("n")
    ),
    by_an_expression_of_a_group=lambda _: (
        Order.objects.annotate(low=Lower("status"))
        .values("low")
        .annotate(n=Count("id"), up=Upper("low"))
        .order_by("up")
    ),
    by_months=lambda _: (
        Order.objects.annotate(month=TruncMonth("created")).values("month").annotate(n=Count("id")).order_by("month")
    ),
    by_days_of_the_week=lambda _: (
        Order.objects.values(day=ExtractWeekDay("created"))
        .annotate(n=Count("id"), v=Variance("number"))
        .order_by("day")
    ),
    by_a_case=lambda _: (
        Order.objects.values(big=Case(When(total__gt=10, then=Value("big")), default=Value("little")))
        .annotate(n=Count("id"))
        .order_by("big")
    ),
    by_a_number_and_a_text=lambda _: (
        Order.objects.values(name=Concat("status", Value("-"), "customer__country__code"))
        .annotate(n=Count("id"), longest=Max(Length("note")))
        .order_by("-n", "name")
    ),
    by_a_constant=lambda _: Order.objects.values(one=Value(1)).annotate(n=Count("id")).order_by("one"),
    of_reference_rows=lambda _: (
        Label.objects.filter(order__status="paid").annotate(n=Count("order"), t=Sum("order__total")).order_by("name")
    ),
    of_reference_rows_by_default=lambda _: (
        Country.objects.filter(customer__score__gte=0).annotate(n=Count("customer")).order_by("code")
    ),
    of_many=lambda _: (
        Customer.objects.values("score")
        .annotate(n=Count("id", distinct=True), m=Count("orders__lines"))
        .order_by("score")
    ),
    expressions_of_aggregates=lambda _: (
        Order.objects.values("status")
        .annotate(x=Coalesce(Sum("weight"), 0.0) + Count("id"), y=Sum("number") / 2, z=Max("total") - Min("total"))
        .order_by("status")
    ),
    a_choice_by_an_aggregate=lambda _: (
        Order.objects.values("status")
        .annotate(n=Count("id"), size=Case(When(n__gt=8, then=Value("many")), default=Value("few")))
        .order_by("size", "status")
    ),
    ordered_by_a_hidden_aggregate=lambda _: (
        Order.objects.values("status")
        .alias(t=Sum("total"))
        .annotate(n=Count("id"))
        .order_by("-t")
        .values_list("status")
    ),
    values_after=lambda _: (
        Order.objects.values("status", "number").annotate(n=Count("id")).order_by("status", "number").values("n")
    ),
    all_aggregates_hidden=lambda _: (
        Order.objects.values("status").annotate(n=Count("id")).order_by("n", "status").values_list("status", flat=True)
    ),
    no_group=lambda _: Order.objects.filter(number=-1).values("status").annotate(n=Count("id")).order_by("status"),
    shards_without_rows=lambda s: (
        Order.objects.filter(customer__in=s.customers[:3]).values("status").annotate(n=Count("id")).order_by("status")
    ),
    range_of_shards=lambda _: (
        Parcel.objects.filter(zone__gte=150).values("weight").annotate(n=Count("id")).order_by("weight")
    ),
    composite_key_in_part=lambda _: Room.objects.values("number").annotate(n=Count("name")).order_by("number"),
    composite_key_beside_another=lambda _: (
        Room.objects.values("pk", "name").annotate(n=Count("number")).order_by("name", "pk")
    ),
    composite_shard_key_in_part=lambda _: (
        Reading.objects.values("year").annotate(a=Avg("value"), n=Count("station")).order_by("year")
    ),
)
def test_groups(shop: Shop, case: Case_) -> None:
    finished_over_parts(lambda: case(shop))


@cases(
    text=lambda _: (
        Order.objects.values("status").annotate(n=Count("id")).filter(Q(n__gt=8) | Q(status="new")).order_by("status")
    ),
    decimal=lambda _: (
        Order.objects.values("total")
        .annotate(n=Count("id"))
        .filter(Q(n__gt=8) | Q(total__gte="10.25"))
        .order_by("total")
    ),
    in_a_choice=lambda _: (
        Order.objects.values("total")
        .annotate(n=Case(When(total__lt="10.25", then=Count("id")), default=Sum("number")))
        .order_by("total")
    ),
    in_an_order=lambda _: Order.objects.values("total").annotate(n=Count("id")).order_by(F("n") * F("total"), "total"),
)
def test_what_groups_is_compared_as_the_column_is(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


@cases(
    ordered_by_what_is_not_selected=lambda _: Order.objects.values("status").distinct().order_by("status", "note"),
    one_column=lambda _: Order.objects.values_list("status", flat=True).distinct().order_by("-status"),
    unordered=lambda _: Order.objects.values("status", "number").distinct(),
    sliced=lambda _: Order.objects.values_list("number", flat=True).distinct().order_by("number")[1:3],
    by_a_joined_column=lambda _: (
        Order.objects.values("status").distinct().order_by("customer__country__name", "status")
    ),
    of_reference_rows=lambda _: Country.objects.filter(customer__score__gte=0).distinct().order_by("name"),
    expressions=lambda _: (
        Order.objects.values(low=Lower("status"), odd=F("number") % 2).distinct().order_by("low", "odd")
    ),
    constants=lambda _: Order.objects.values("status", one=Value("x")).distinct().order_by("status"),
    nulls=lambda _: Order.objects.values_list("note", flat=True).distinct(),
    groups=lambda _: Order.objects.values("status").annotate(n=Count("id")).values("n").distinct(),
    nothing=lambda _: Order.objects.filter(number=-1).values("status").distinct(),
    dates=lambda _: Order.objects.dates("created", "month"),
    days_backwards=lambda _: Order.objects.dates("created", "day", order="DESC"),
    datetimes=lambda _: Order.objects.datetimes("created", "hour"),
    datetimes_elsewhere=lambda _: Order.objects.datetimes("created", "day", tzinfo=ZoneInfo("Asia/Tokyo")),
)
def test_distinct_rows(shop: Shop, case: Case_) -> None:
    finished_over_parts(lambda: case(shop))


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "UTC"])
def test_groups_by_time_are_of_the_time_zone(shop: Shop, zone: str) -> None:
    assert shop.orders
    with timezone.override(ZoneInfo(zone)):
        same(lambda: Order.objects.datetimes("created", "day"))
        same(
            lambda: (
                Order.objects.annotate(day=TruncDay("created")).values("day").annotate(n=Count("id")).order_by("-day")
            )
        )


@cases(
    count_of_groups=lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=7).count(),
    count_of_distinct_rows=lambda _: Order.objects.values("status", "number").distinct().count(),
    count_of_reference_rows=lambda _: Country.objects.filter(customer__score__gte=0).distinct().count(),
    count_of_some=lambda _: Order.objects.values("status").annotate(n=Count("id")).order_by("n")[1:5].count(),
    greatest_group=lambda _: Order.objects.values("status").annotate(n=Count("id")).aggregate(Max("n"), a=Avg("n")),
    sum_of_averages=lambda _: (
        Order.objects.values("number")
        .annotate(a=Avg("total"), d=Count("status", distinct=True))
        .aggregate(Sum("a"), Sum("d"), Count("number"))
    ),
    over_rows=lambda _: Customer.objects.annotate(n=Count("orders")).aggregate(Avg("n"), StdDev("n"), Max("name")),
    over_distinct_rows=lambda _: Customer.objects.filter(orders__number__gte=0).distinct().aggregate(Avg("score")),
    exists=lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=7).exists(),
    exists_not=lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=700).exists(),
    first=lambda _: Order.objects.values("status").annotate(n=Count("id")).order_by("-n", "status").first(),
)
def test_aggregates_over_subqueries(shop: Shop, case: Case_) -> None:
    finished_over_parts(lambda: case(shop))


def test_groups_come_as_instances_and_have_no_shard(shop: Shop) -> None:
    """A copied row stands for all its copies."""
    assert shop.labels

    labels = list(Label.objects.filter(order__number__gte=0).annotate(n=Count("order")).order_by("pk"))

    assert [label.pk for label in labels] == sorted({label.pk for label in labels})
    assert {label._state.db for label in labels} == {"default"}


def test_rows_of_parts_are_counted_and_bounded(shop: Shop) -> None:
    assert shop.orders
    groups = Order.objects.values("created").annotate(n=Count("id"))

    with override_settings(SHARDKIT={**settings.SHARDKIT, "GATHER_ROWS": 5}):
        error = outcome(lambda: groups).error

    assert isinstance(error, GatherLimitExceeded)


@pytest.mark.usefixtures("shop")
def test_groups_by_raw_sql() -> None:
    """SQLite gathers them: it does not say how the text of raw SQL compares."""
    twice: Any = {"twice": "number * 2"}

    same(
        lambda: Order.objects.extra(select=twice).values("twice").annotate(n=Count("id")).order_by("twice")  # type: ignore[misc] # noqa: S610
    )


@cases(
    in_a_subquery=lambda _: Gadget.objects.filter(
        price__in=Gadget.objects.values("price").annotate(n=Count("pk")).filter(n__gt=2).values("price")
    ),
    of_its_own_making=lambda _: (
        Order.objects.values("status").annotate(n=Sum("number", function="MAX")).order_by("status")
    ),
    constants_of_no_row=lambda _: Order.objects.order_by().filter(number=-1).values_list(Value(1)).distinct(),
    constants_of_rows=lambda _: Order.objects.order_by().values_list(Value(1), Value("a")).distinct(),
    constants_that_are_counted=lambda _: Order.objects.filter(number=-1).values_list(Value(1)).distinct().count(),
)
def test_what_is_not_made_of_parts_is_gathered(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


@pytest.mark.skipif(VENDOR == "sqlite", reason="its quotients are floats, whose sums are as exact as their order")
@pytest.mark.parametrize("divisor", [3, 7, 100_000])
@cases(
    sums=lambda quotient: Order.objects.aggregate(a=Sum(quotient), b=Avg(quotient), c=Sum(F("number") / F("id"))),
    means=lambda quotient: Order.objects.values("status").annotate(n=Sum(quotient), m=StdDev(quotient)),
    extremes=lambda quotient: Order.objects.aggregate(a=Max(quotient) * 1000, b=Min(quotient) * 1000),
    groups=lambda quotient: Order.objects.annotate(x=quotient).order_by().values("x").annotate(n=Count("pk")),
    distinct=lambda quotient: Order.objects.annotate(x=quotient).order_by().values("x").distinct(),
    counted=lambda quotient: Order.objects.aggregate(n=Count(quotient, distinct=True)),
)
@pytest.mark.usefixtures("shop")
def test_quotients_have_all_their_digits(case: Callable[[Any], Any], divisor: int) -> None:
    quotient = ExpressionWrapper(F("total") / Value(divisor), DecimalField(max_digits=30, decimal_places=10))
    same(lambda: case(quotient))


@cases(
    distinct=lambda: Room.objects.order_by().values_list("pk").distinct(),
    in_order_beside_another=lambda: Room.objects.order_by("name", "tenant", "number").values_list("pk", "name"),
    distinct_with_another=lambda: Room.objects.order_by().values_list("name", "pk", "tenant").distinct(),
    distinct_dicts=lambda: Room.objects.order_by().values("name", "pk").distinct(),
    counted=lambda: Room.objects.order_by().values("pk").distinct().count(),
    grouped=lambda: Room.objects.order_by().values("pk").annotate(n=Count("name")),
    grouped_and_filtered=lambda: Room.objects.values("pk").annotate(n=Count("name")).filter(n=1).order_by("pk"),
    annotated=lambda: Room.objects.annotate(n=Count("name")).order_by("pk"),
    grouped_distinct=lambda: Room.objects.order_by().values("tenant", "pk").annotate(n=Count("*")).distinct(),
    both_columns=lambda: Room.objects.values("tenant", "number").annotate(n=Max("name")).order_by("pk"),
    one_column=lambda: Room.objects.values("number").annotate(n=Count("tenant"), m=Max(F("tenant") + 1)),
)
@pytest.mark.usefixtures("shop")
def test_groups_of_composite_keys_are_made_where_their_rows_are(case: Callable[[], Any]) -> None:
    finished_over_parts(case)


@cases(
    distinct=lambda rows: rows.values("status").distinct(),
    grouped=lambda rows: rows.values("status").annotate(n=Count("pk")),
    grouped_with_a_locked_subquery=lambda _: (
        Order.objects.order_by()
        .filter(Exists(Order.objects.select_for_update().filter(customer=OuterRef("customer"), number=0)))
        .values("status")
        .annotate(n=Count("pk"))
    ),
)
def test_rows_that_are_only_parts_of_groups_cannot_be_locked(shop: Shop, case: Any) -> None:
    assert shop.orders
    with pytest.raises(CrossShardQuery, match="lock rows that are only parts of groups"), transaction.atomic():
        list(case(Order.objects.select_for_update().order_by()))


def test_groups_of_one_shard_are_locked_as_there(shop: Shop) -> None:
    rows = Order.objects.select_for_update().filter(customer=shop.customer_on(1, 3)).order_by()

    def locked() -> list[Any]:
        with transaction.atomic():
            return list(rows.values("status").distinct())

    same(locked, error=NotSupportedError if VENDOR == "postgresql" else None)
