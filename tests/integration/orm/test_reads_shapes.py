"""Does a statement go to the shard of its own key when one of the same text went elsewhere before?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.sql.compiler import SQLCompiler

from shardkit.routing import shapes
from tests.fix_shop import Shop, same
from tests.shop.models import Customer, Document, Line, Order, Reading

pytestmark = pytest.mark.django_db(databases="__all__")

#: Querysets of one customer, whose texts differ in nothing but the customer.
QUESTIONS: dict[str, Callable[[Customer], QuerySet[Any, Any]]] = {
    "joined": lambda c: Line.objects.filter(order__customer=c.pk),
    "joined, with its parent": lambda c: Line.objects.select_related("order__customer").filter(order__customer=c),
    "annotated": lambda c: Order.objects.filter(customer=c).annotate(next=F("number") + 1),
    "grouped": lambda c: Order.objects.filter(customer=c).values("status").annotate(n=F("number")).distinct(),
    "beside a subquery": lambda c: Order.objects.filter(Exists(Line.objects.filter(order=OuterRef("pk"))), customer=c),
    "outer joined": lambda c: Customer.objects.filter(pk=c.pk, orders__isnull=True),
    "sliced": lambda c: Order.objects.select_related("customer").filter(customer=c).order_by("number", "pk")[1:3],
    "negated beside it": lambda c: Order.objects.filter(customer=c).exclude(customer__name=c.name),
    "a number that is also the key": lambda c: Order.objects.filter(customer=c, customer__pk__gte=c.pk),
}


@pytest.fixture(autouse=True)
def no_shapes() -> Iterator[None]:
    shapes._rules.clear()
    yield
    shapes._rules.clear()


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_key_is_asked_of_its_own_shard(shop: Shop, name: str) -> None:
    for customer in [*shop.customers, *shop.customers]:
        same(partial(QUESTIONS[name], customer), plan="single")


def test_the_second_statement_is_not_analysed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shop.customers[0], shop.customers[-1]
    list(Line.objects.filter(order__customer=first))
    monkeypatch.setattr("shardkit.orm.planning.analyse", None)

    assert {line.order.customer for line in Line.objects.filter(order__customer=second)} <= {second}
    with pytest.raises(TypeError):
        list(Line.objects.filter(order__customer=second, qty=1))


def test_no_statement_of_one_shard_is_compiled_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    as_sql = SQLCompiler.as_sql

    def noting(self: SQLCompiler, *args: Any, **options: Any) -> Any:
        sql, params = as_sql(self, *args, **options)
        compiled.append(sql)
        return sql, params

    connections["default"].ensure_connection()
    monkeypatch.setattr(SQLCompiler, "as_sql", noting)
    for customer in (shop.customers[0], shop.customers[-1]):
        list(Line.objects.filter(order__customer=customer).values_list("qty"))

    assert len(compiled) == 2, compiled


def test_a_key_that_no_row_can_have_is_found_nowhere(shop: Shop) -> None:
    list(Line.objects.filter(order__customer=shop.customers[0]))

    same(lambda: Line.objects.filter(order__customer=4095))
    same(lambda: Line.objects.filter(order__customer=-7))


@pytest.mark.parametrize("name", ["two shards", "any", "text"])
def test_other_conditions_of_the_same_key_are_planned_anew(shop: Shop, name: str) -> None:
    one, other = shop.customers[0], shop.customers[1]
    list(Order.objects.annotate(x=F("number")).filter(customer=one))

    match name:
        case "two shards":
            same(lambda: Order.objects.annotate(x=F("number")).filter(customer__in=[one, other]))
        case "any":
            same(lambda: Order.objects.annotate(x=F("number")).exclude(customer=one))
        case _:
            same(lambda: Reading.objects.annotate(x=F("value")).filter(station="oslo", year=2001))
            same(lambda: Document.objects.annotate(x=F("title")).filter(customer=one))


def test_what_is_remembered_is_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MAX_SHAPES", 2)

    for question in QUESTIONS.values():
        list(question(shop.customers[0]))

    assert len(shapes._rules) <= 2
