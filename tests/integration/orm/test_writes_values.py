"""Does a value that reads rows read those of the whole cluster, or none?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from shardkit.errors import CrossShardQuery
from tests.fix_shop import Shop
from tests.fix_writes import refused_write, same_write
from tests.shop.models import Customer, Gadget, Label, Order, Product

pytestmark = pytest.mark.django_db(databases="__all__")

Write = Callable[[Customer, Any], Any]


def gadgets() -> Any:
    """Count rows of all shards."""
    return Subquery(Gadget.objects.annotate(k=Value(1)).values("k").annotate(n=Count("pk")).values("n")[:1])


def _save(customer: Customer, value: Any) -> None:
    changed = Customer.objects.get(pk=customer.pk)
    changed.score = value
    changed.save()


def _bulk_update(customer: Customer, value: Any) -> None:
    changed = Customer.objects.get(pk=customer.pk)
    changed.score = value
    Customer.objects.bulk_update([changed], ["score"])


def _order(customer: Customer, number: Any) -> Order:
    return Order(customer=customer, number=number, total=1, status="", created=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


_PLAIN: QuerySet[Order] = QuerySet(Order)
UPDATES: Final[dict[str, Write]] = {"save": _save, "bulk_update": _bulk_update}
INSERTS: Final[dict[str, Write]] = {
    "create": lambda customer, value: _order(customer, value).save(),
    "bulk_create": lambda customer, value: Order.objects.bulk_create([_order(customer, value)]),
    "plain bulk_create": lambda customer, value: _PLAIN.bulk_create([_order(customer, value)]),
}
WRITES: Final = UPDATES | INSERTS


ELSEWHERE: Final[dict[str, Callable[[], Any]]] = {
    "subquery": gadgets,
    "inside": lambda: gadgets() + 1,
    "raw": lambda: RawSQL("(select count(*) from shop_gadget)", ()),
}


@pytest.mark.parametrize("write", INSERTS.values(), ids=INSERTS)
@pytest.mark.parametrize("value", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_other_shards_have_is_refused_to_new_rows(shop: Shop, write: Write, value: Callable[[], Any]) -> None:
    customer = shop.customer_on(2)

    refused_write(lambda: write(customer, value()), CrossShardQuery)


@pytest.mark.parametrize("write", UPDATES.values(), ids=UPDATES)
@pytest.mark.parametrize("value", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_other_shards_have_is_gathered_for_updates(shop: Shop, write: Write, value: Callable[[], Any]) -> None:
    customer = shop.customer_on(2)

    same_write(lambda: write(customer, value()) and None)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_every_shard_has_is_read(shop: Shop, write: Write) -> None:
    customer = shop.customer_on(2)

    same_write(lambda: write(customer, Subquery(Label.objects.order_by("name").values("pk")[:1])) and None)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_the_same_shard_has_is_read(shop: Shop, write: Write) -> None:
    customer = shop.customer_on(2, 3)

    same_write(
        lambda: (
            write(
                customer,
                Subquery(Order.objects.filter(customer=customer).order_by("-number").values("number")[:1]) + 50,
            )
            and None
        ),
    )


@pytest.mark.parametrize("write", UPDATES.values(), ids=UPDATES)
def test_what_belongs_to_the_row_is_read(shop: Shop, write: Write) -> None:
    customer = shop.customer_on(1, 2)
    last = Order.objects.filter(customer=OuterRef("pk")).order_by("-number").values("number")[:1]

    same_write(lambda: write(customer, F("id") * 0 + Subquery(last)) and None)


def _priced() -> Any:
    """Return the price of a global row, and what is no decimal: nobody but the written field says what that makes."""
    return Coalesce(Subquery(Product.objects.filter(pk=OuterRef("product")).values("price")), 0)


@pytest.mark.parametrize("value", [_priced, lambda: _priced() + F("number")], ids=["chosen", "added"])
def test_what_a_value_of_mixed_types_is_the_written_field_says(shop: Shop, value: Callable[[], Any]) -> None:
    def save() -> None:
        order = Order.objects.get(pk=shop.orders[8].pk)
        order.total = value()
        order.save(update_fields=["total"])

    same_write(lambda: Order.objects.update(total=value()))
    same_write(lambda: Order.objects.filter(number__gt=0).update(total=value(), note="written"))
    same_write(save)


@pytest.mark.usefixtures("shop")
def test_what_reads_no_row_is_not_written() -> None:
    nothing = Gadget.objects.none().values("price")

    same_write(lambda: Customer.objects.update(score=Subquery(nothing)))
    same_write(lambda: Customer.objects.update(score=Subquery(nothing) + 1))
    same_write(lambda: Customer.objects.update(score=Coalesce(Subquery(nothing), 7)))
    same_write(lambda: Customer.objects.update(score=gadgets(), country=Subquery(nothing)))
