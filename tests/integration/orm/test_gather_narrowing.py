"""Do all conditions hold rows back, whichever table they are about, and none that an answer needs?"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, Sum

from shardkit.errors import GatherLimitExceeded
from shardkit.orm.gathering import keys as gather_keys
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, same
from tests.shop.models import Customer, Line, Order, Product, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

Rows = Callable[[Shop], Any]


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no key be few enough to be asked for, so that only the shards can hold rows back."""
    monkeypatch.setattr(gather_keys, "MAX_KEYS", 0)


def asked(make: Callable[[], Any], table: str) -> list[tuple[str, str]]:
    """Return the statements by which rows of *table* come, by alias."""
    with queries_by_database() as seen:
        list(make())
    name = re.escape(connection.ops.quote_name(table))
    begin = re.compile(rf"(COPY \(|WITH .* AS \()?SELECT {name}\.")
    return [(alias, sql) for alias, sql in seen.texts if begin.match(sql) and "LIMIT" not in sql]


# What the shard looks for beside a row.

with_product = Order.objects.select_related("product")
BESIDE: dict[str, Rows] = {
    "a parent": lambda s: with_product.filter(customer__email=s.customers[3].email),
    "a grandparent": lambda s: Line.objects.filter(order__customer__email=s.customers[3].email).select_related(
        "order__product"
    ),
    "a copy": lambda _: with_product.filter(customer__country__name="France", customer__score=1),
    "a copy beyond a table without conditions": lambda _: Line.objects.filter(
        order__customer__country__name="nowhere"
    ).select_related("order__product"),
    "children": lambda _: with_product.filter(lines__sku="sku-1", lines__qty=3, customer__score__gt=2),
    "many to many": lambda _: with_product.filter(labels__name="fragile", customer__score__gt=2),
    "a sibling": lambda s: with_product.filter(customer__profile__bio=f"bio of {s.customers[7].email}"),
    "an exists": lambda _: with_product.filter(
        Exists(Line.objects.filter(order=OuterRef("pk"), qty=3, sku="sku-1")), number=2
    ),
    "among": lambda s: with_product.filter(customer__in=Customer.objects.filter(email=s.customers[3].email)),
    "a nested parent": lambda s: Product.objects.filter(
        Exists(Order.objects.filter(product=OuterRef("pk"), customer__email=s.customers[3].email))
    ),
    "from a global table": lambda s: Product.objects.filter(orders__customer__email=s.customers[3].email).distinct(),
    "an aggregate": lambda s: Product.objects.filter(orders__customer__email=s.customers[3].email).annotate(
        n=Count("orders"), t=Sum("orders__total")
    ),
    "a parent's key": lambda s: Line.objects.filter(order__customer=s.customers[3]).select_related("order__product"),
}


@pytest.mark.usefixtures("no_keys")
@pytest.mark.parametrize("name", BESIDE)
def test_a_shard_looks_beside_the_rows_that_it_gives_away(shop: Shop, settings: Any, name: str) -> None:
    """All orders would be more than forty rows, and no key is asked for."""
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 16}

    with queries_by_database() as seen:
        list(BESIDE[name](shop))

    assert not [sql for _, sql in seen.texts if "LIMIT 1 " in f"{sql} "], seen.texts
    same(lambda: BESIDE[name](shop))


def test_a_condition_beside_a_row_names_its_shard(shop: Shop) -> None:
    customer = shop.customer_on(2, 3)
    rows = Line.objects.filter(order__customer=customer).select_related("order__product")

    assert {customer.shard} == {alias for table in ("shop_line", "shop_order") for alias, _ in asked(rows.all, table)}
    same(rows.all)


def test_rows_that_are_named_are_fetched_as_they_are(shop: Shop) -> None:
    rows = with_product.filter(pk=shop.orders[3].pk, customer__score__gt=-9)
    ((_, sql),) = asked(rows.all, "shop_order")

    assert "shop_customer" not in sql
    same(rows.all)


#: What looks like a condition of a row beside, and is none of every row.
NOT_DEMANDED: dict[str, Rows] = {
    "either": lambda s: with_product.filter(Q(customer__email=s.customers[3].email) | Q(number=1)),
    "either of two tables": lambda _: Line.objects.filter(
        Q(order__customer__name="Ada") | Q(order__number=1)
    ).select_related("order__product"),
    "not": lambda s: with_product.exclude(customer__email=s.customers[3].email),
    "not among many": lambda _: with_product.exclude(lines__qty=2),
    "not exists": lambda _: with_product.filter(~Exists(Line.objects.filter(order=OuterRef("pk"), qty=2))),
    "perhaps exists": lambda _: with_product.filter(
        Q(Exists(Line.objects.filter(order=OuterRef("pk"), qty=2))) | Q(number=0)
    ),
    "perhaps nobody": lambda _: Customer.objects.filter(Q(orders__status="new") | Q(score=1)).select_related(
        "referrer"
    ),
    "nobody": lambda _: Customer.objects.filter(orders__isnull=True).select_related("referrer"),
    "the other side of an outer join": lambda _: Customer.objects.annotate(
        n=Count("orders", filter=Q(orders__status="new"))
    ).filter(referrer__score__gte=0),
    "one of two readings": lambda s: with_product.filter(customer__email=s.customers[3].email).union(
        with_product.filter(number=1)
    ),
    "a row for itself": lambda _: Customer.objects.filter(referrer__orders__status="new", orders__number=1),
    "children twice": lambda _: with_product.filter(lines__qty=1).filter(lines__qty=2),
    "a copy read twice": lambda _: Customer.objects.filter(country__name="France", referrer__country__name="Japan"),
    "values that are compared": lambda _: with_product.filter(number=F("customer__score"), product__price__gt=3),
    "users": lambda _: User.objects.filter(pk__in=Order.objects.filter(customer__score=1).values("number")),
}


@pytest.mark.parametrize("most", [0, 1, 3, 1000])
@pytest.mark.parametrize("name", NOT_DEMANDED)
def test_a_condition_holds_back_nothing_that_it_does_not_demand(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(gather_keys, "MAX_KEYS", most)

    same(lambda: NOT_DEMANDED[name](shop))


# Which keys are asked for, and in which order.


def test_few_rows_of_one_table_narrow_another_one_whatever_its_own_conditions_leave(
    shop: Shop, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather_keys, "MAX_KEYS", 4)
    wanted = shop.shipments[0].order
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 4}
    rows = Shipment.objects.filter(cost__gte=0, order__created=wanted.created)
    too_many = Shipment.objects.filter(cost__gte=0, order__total__gte=0)

    same(rows.all)
    with pytest.raises(GatherLimitExceeded):
        list(too_many)


def test_what_the_keys_of_one_table_leave_too_many_of_those_of_another_one_narrow(
    shop: Shop, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products are few, and their orders many; what is shipped to the north is in the middle."""
    monkeypatch.setattr(gather_keys, "MAX_KEYS", 3)
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 12}
    cost = max(one.cost for one in shop.shipments)

    same(lambda: Order.objects.filter(product__price__gte=20, shipments__cost=cost).values_list("pk", "product__name"))
    same(lambda: Shipment.objects.filter(cost=cost, order__product__price__gte=20).values_list("pk", "order__note"))
    with pytest.raises(GatherLimitExceeded):
        list(Order.objects.filter(product__price__gte=1))


#: A page of rows that are judged by what is beside them.
PAGES: dict[str, Any] = {
    "of all": lambda: with_product.filter(customer__score__gte=-9).order_by("-total", "pk")[1:3],
    "of some": lambda: (
        Line.objects.filter(order__customer__score=1).select_related("order__product").order_by("pk")[:2]
    ),
    "of a copy": lambda: with_product.filter(customer__country__name="France").order_by("created", "pk")[:3],
    "of children": lambda: with_product.filter(lines__qty__gte=1).order_by("-pk")[:3],
    "of labels": lambda: with_product.filter(labels__name="gift").order_by("-pk")[:3],
    "by a column beside": lambda: with_product.filter(customer__score__gte=0).order_by("customer__email", "pk")[:2],
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_judged_by_what_is_beside_its_rows(shop: Shop, name: str) -> None:
    assert shop.orders

    same(PAGES[name])


@pytest.mark.parametrize("name", ["of all", "of some", "of a copy"])
def test_of_a_page_no_other_rows_travel_when_their_shards_can_judge_them(shop: Shop, settings: Any, name: str) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 3 * 3 * len(shop.shards)}

    same(PAGES[name])
