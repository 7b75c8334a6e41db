"""Is the time one in an answer, and in what one statement writes?"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.db.models import (
    Count,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Now, Random

from tests.fix_shop import START, cases, same
from tests.shop.models import Customer, Order

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("shop")]

AGE = ExpressionWrapper(Now() - F("created"), output_field=DurationField())
LATER = ExpressionWrapper(Now() + dt.timedelta(days=1), output_field=DateTimeField())


def orders() -> Any:
    return Order.objects.order_by()


def moments(rows: Any) -> int:
    return len(set(rows))


@cases(
    selected=lambda: moments(Order.objects.annotate(t=Now()).values_list("t", flat=True)),
    inside_of_an_expression=lambda: moments(
        Order.objects.annotate(t=Coalesce(Now(), "created")).values_list("t", flat=True)
    ),
    selected_in_a_subquery=lambda: moments(
        Customer.objects.annotate(t=Subquery(Order.objects.filter(customer=OuterRef("pk"), number=0).values(t=Now())))
        .exclude(t=None)
        .values_list("t", flat=True)
    ),
    distinct=lambda: orders().values_list(Now()).distinct().count(),
    grouped=lambda: len(orders().values(t=Now()).annotate(n=Count("pk"))),
    grouped_by_text=lambda: len(orders().values(t=RawSQL("CURRENT_TIMESTAMP", ())).annotate(n=Count("pk"))),
    spread_of_ages=lambda: moments(
        age + created for age, created in Order.objects.annotate(age=AGE).values_list("age", "created")
    ),
)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="its clock has milliseconds, and some queries take less")
def test_a_clock_shows_one_time_in_an_answer(case: Any) -> None:
    assert 1 == same(case)


@cases(
    by_the_clock=lambda: Order.objects.annotate(t=Now()).order_by("-t", "-pk").values_list("pk", flat=True),
    by_the_age=lambda: Order.objects.order_by(AGE, "pk").values_list("pk", flat=True),
    first=lambda: Order.objects.order_by(Now(), "-pk").values_list("pk", flat=True)[:3],
    distinct=lambda: Order.objects.order_by(Now(), "number").values_list("number", flat=True).distinct(),
)
def test_an_order_by_a_clock_is_that_of_one_database(case: Any) -> None:
    same(lambda: list(case()))


@cases(
    filtered=lambda: Order.objects.filter(created__lt=Now()).order_by("pk"),
    excluded=lambda: Order.objects.exclude(created__gt=Now() - dt.timedelta(days=3)),
    condition_selected=lambda: Order.objects.annotate(old=Q(created__lt=Now())).order_by("pk"),
    counted=lambda: orders().aggregate(n=Count("pk", filter=Q(created__lt=Now()))),
    random_order=lambda: len(Order.objects.order_by("?")),
    random_value=lambda: len(Order.objects.annotate(r=Random()).order_by("pk")),
)
def test_a_condition_that_asks_the_clock_is_left_to_each_shard(case: Any) -> None:
    same(case, plan="merge")


def test_the_time_is_one_in_aggregates() -> None:
    same(lambda: orders().aggregate(found=Max(Now()) - Min(Now()))["found"])


@cases(
    update=lambda: Order.objects.update(created=Now()),
    inside_of_an_expression=lambda: Order.objects.filter(number__gte=0).update(created=LATER),
    of_rows_elsewhere=lambda: Order.objects.filter(shipments__cost__gt=3).update(created=Now()),
    bulk_update=lambda: Order.objects.bulk_update(
        [Order(pk=order.pk, created=Now(), customer_id=order.customer_id) for order in Order.objects.all()], ["created"]
    ),
)
def test_an_update_of_several_shards_writes_one_time(case: Any) -> None:
    def written() -> Any:
        return case(), moments(Order.objects.exclude(created__lt=START + dt.timedelta(days=90)).values_list("created"))

    count, found = same(written)[1]

    assert count > 1
    assert found == 1


def test_the_time_that_is_written_is_the_databases_own() -> None:
    def written() -> Any:
        Order.objects.update(created=Now())
        return [
            Order.objects.filter(created__lte=Now(), created__gt=Now() - dt.timedelta(minutes=5)).count(),
            Order.objects.filter(created=Value(START)).count(),
        ]

    same(written)
