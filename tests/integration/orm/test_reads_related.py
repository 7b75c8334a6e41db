"""Rows that hang together: prefetches, cached relations, deferred columns, generic relations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.db import models
from django.db.models import Prefetch, prefetch_related_objects
from django.db.models.query import QuerySet

from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, cases, pks, same
from tests.shop.models import (
    Answer,
    Country,
    Customer,
    Document,
    Gadget,
    Invoice,
    Label,
    Line,
    Order,
    Product,
    Profile,
    Shipment,
    Tagged,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


def with_orders(shop: Shop) -> Any:
    return shop.customer_on(2, 3)


@cases(
    forward=lambda _: Order.objects.prefetch_related("customer"),
    forward_two_levels=lambda _: Line.objects.prefetch_related("order__customer"),
    forward_to_another_group=lambda _: Shipment.objects.prefetch_related("order"),
    forward_to_another_group_and_on=lambda _: Shipment.objects.prefetch_related("order__customer__country"),
    forward_to_itself=lambda _: Customer.objects.prefetch_related("referrer"),
    forward_to_global=lambda _: Order.objects.prefetch_related("product"),
    forward_to_reference=lambda _: Customer.objects.prefetch_related("country"),
    backward=lambda _: Customer.objects.prefetch_related("orders"),
    backward_two_levels=lambda _: Customer.objects.prefetch_related("orders__lines"),
    backward_from_another_group=lambda _: Order.objects.prefetch_related("shipments"),
    backward_from_itself=lambda _: Customer.objects.prefetch_related("referred"),
    backward_from_global=lambda _: Product.objects.prefetch_related("orders"),
    backward_from_reference=lambda _: Country.objects.prefetch_related("customer_set"),
    one_to_one=lambda _: Customer.objects.prefetch_related("profile"),
    one_to_one_back=lambda _: Profile.objects.prefetch_related("customer"),
    many_to_many=lambda _: Order.objects.prefetch_related("labels"),
    many_to_many_back=lambda _: Label.objects.prefetch_related("order_set"),
    several=lambda _: Customer.objects.prefetch_related("orders__labels", "documents", "profile", "country"),
    generic_relation=lambda _: Order.objects.prefetch_related("tags"),
    generic_foreign_key=lambda _: Tagged.objects.prefetch_related("target"),
    uuid_rows=lambda _: Customer.objects.prefetch_related("documents"),
    placed=lambda _: Invoice.objects.prefetch_related("lines"),
    filtered=lambda _: Customer.objects.prefetch_related(Prefetch("orders", Order.objects.filter(status="new"))),
    into_an_attribute=lambda _: Customer.objects.prefetch_related(
        Prefetch("orders", Order.objects.filter(number__gt=0).only("number"), to_attr="later_orders")
    ),
    by_list_or_id=lambda _: Answer.objects.order_by().prefetch_related("ticket"),
    of_one_shard=lambda s: Customer.objects.filter(pk=with_orders(s).pk).prefetch_related("orders__lines"),
    of_one_shard_ordered=lambda s: Customer.objects.filter(pk=with_orders(s).pk).prefetch_related(
        Prefetch("orders", Order.objects.order_by("-number"))
    ),
    of_one_shard_sliced=lambda s: Customer.objects.filter(pk=with_orders(s).pk).prefetch_related(
        Prefetch("orders", Order.objects.order_by("-number")[:2], to_attr="two")
    ),
    of_one_shard_by_default_order=lambda _: Ticket.objects.filter(queue="sales").prefetch_related("answers"),
    while_iterating=lambda _: Customer.objects.prefetch_related("orders").iterator(chunk_size=5),
)
def test_prefetched_rows_are_those_of_one_database(shop: Shop, case: Case_) -> None:
    unordered = isinstance(case(shop), QuerySet)

    same(lambda: case(shop), ordered=None if unordered else False)


@cases(
    two_levels=lambda s: Customer.objects.filter(pk=with_orders(s).pk).prefetch_related("orders__lines"),
    upwards=lambda s: Line.objects.filter(order__customer=with_orders(s)).prefetch_related("order__customer"),
    one_to_one=lambda s: Customer.objects.filter(pk=with_orders(s).pk).prefetch_related("profile", "documents"),
)
def test_a_prefetch_of_one_shards_rows_stays_on_it(shop: Shop, case: Case_) -> None:
    home = with_orders(shop).shard

    same(lambda: case(shop), on={home: 3})


def test_a_prefetch_over_all_shards_asks_each_once_a_level(shop: Shop) -> None:
    same(lambda: Customer.objects.prefetch_related("orders__lines"), on=dict.fromkeys(shop.shards, 3))


@cases(
    ordered=lambda _: Customer.objects.prefetch_related(Prefetch("orders", Order.objects.order_by("-number"))),
    sliced=lambda _: Customer.objects.prefetch_related(
        Prefetch("orders", Order.objects.order_by("-number")[:2], to_attr="two")
    ),
    ordered_by_default=lambda _: Ticket.objects.prefetch_related("answers"),
    joined_elsewhere=lambda s: Customer.objects.filter(pk=with_orders(s).pk).prefetch_related(
        Prefetch("orders", Order.objects.select_related("product"))
    ),
)
def test_a_prefetch_that_sees_several_shards_at_once(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


def test_prefetching_of_objects_at_hand(shop: Shop) -> None:
    def prefetched() -> Any:
        customers = [Customer.objects.get(pk=shop.customer_on(shard, 3).pk) for shard in range(4)]
        prefetch_related_objects(customers, "orders__lines", "profile", "referrer")
        return customers

    same(prefetched)


# select_related and reading attributes.


@cases(
    forward=lambda s: Order.objects.filter(customer=with_orders(s)).select_related("customer"),
    two_levels=lambda s: Line.objects.filter(order__customer=with_orders(s)).select_related("order__customer__country"),
    backward=lambda s: Customer.objects.filter(pk=with_orders(s).pk).select_related("profile"),
    none_again=lambda s: Profile.objects.filter(pk=with_orders(s).pk).select_related("customer").select_related(None),
    reference=lambda s: Customer.objects.filter(pk__in=[c.pk for c in s.customers[8:12]]).select_related("country"),
)
def test_select_related_of_one_shard(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="single")


@cases(
    forward=lambda _: Order.objects.select_related("customer"),
    reference=lambda _: Order.objects.select_related("customer__country"),
    backward=lambda _: Customer.objects.select_related("profile"),
)
def test_select_related_of_all_shards(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="merge")


@cases(
    to_global=lambda _: Order.objects.select_related("product"),
    to_another_group=lambda _: Shipment.objects.select_related("order__customer"),
    to_itself=lambda _: Customer.objects.select_related("referrer"),
)
def test_select_related_elsewhere(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


@cases(
    to_another_group=lambda s: s.shipments[5].order,
    to_itself=lambda s: s.customers[7].referrer,
    to_a_uuids_owner=lambda s: s.documents[2].customer,
    to_a_listed_row=lambda s: Answer.objects.filter(ticket=s.tickets[1])[0].ticket,
    of_one_to_one=lambda s: s.customer_on(3, 3).profile,
    generic=lambda s: s.tags[4].target,
    of_a_generic_relation=lambda s: s.orders[4].tags.all(),
    shipments_anywhere=lambda s: s.orders[5].shipments.all(),
    referred_anywhere=lambda s: s.customers[8].referred.all(),
    customers_of_a_country=lambda s: s.countries[0].customer_set.all(),
    orders_of_a_label=lambda s: s.labels[0].order_set.filter(status="new"),
    orders_of_a_product=lambda s: s.products[1].orders.all(),
    orders_of_a_product_and_a_customer=lambda s: s.products[0].orders.filter(customer=with_orders(s)).order_by("-pk"),
)
def test_reading_a_relation_finds_rows_anywhere(shop: Shop, case: Case_) -> None:
    def fresh() -> Any:
        for row in (*shop.shipments, *shop.customers, *shop.documents, *shop.tags, *shop.orders):
            row._state.fields_cache.clear()
        return case(shop)

    same(fresh)


def test_a_missing_one_to_one_row_does_not_exist(shop: Shop) -> None:
    same(
        lambda: Customer.objects.get(pk=shop.customers[1].pk).profile, error=Customer.profile.RelatedObjectDoesNotExist
    )


@cases(
    count=lambda s: s.orders[5].shipments.count(),
    ordered=lambda s: s.countries[0].customer_set.order_by("name"),
    first=lambda s: s.products[1].orders.first(),
)
def test_a_relation_of_all_shards(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


@cases(
    count=lambda s: s.products[0].orders.filter(customer=with_orders(s)).count(),
    aggregate=lambda s: s.labels[0].order_set.filter(customer=with_orders(s)).count(),
)
def test_a_relation_narrowed_to_one_shard(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


# One row again.


def test_refresh_asks_the_rows_own_shard_once(shop: Shop) -> None:
    def refreshed() -> Any:
        order.refresh_from_db()
        return order

    order = Order.objects.get(pk=shop.orders[8].pk)

    same(refreshed, on={str(order.shard): 1})


@pytest.mark.usefixtures("shop")
def test_refresh_of_a_row_whose_id_says_nothing_asks_its_shard_alone() -> None:
    gadget = Gadget.objects.get(maker=3, code="g5")
    with queries_by_database() as seen:
        gadget.refresh_from_db()

    assert dict(seen) == {gadget.shard: 1}


@cases(
    refreshed=lambda gadget: gadget.refresh_from_db(),
    deferred=lambda _: None,
)
@pytest.mark.usefixtures("shop")
def test_a_row_given_another_primary_key_stands_for_another_row(case: Case_) -> None:
    def prices() -> Any:
        gadget = Gadget.objects.only("code").get(code="g1")
        found = []
        for number in range(20):
            gadget.code = f"g{number}"
            gadget.__dict__.pop("price", None)
            case(gadget)
            found.append(gadget.price)
        return found

    same(prices)


def test_refresh_of_some_fields_and_from_a_queryset(shop: Shop) -> None:
    def refreshed() -> Any:
        order = Order.objects.get(pk=shop.orders[8].pk)
        order.status = order.note = "changed"
        order.refresh_from_db(fields=["status"])
        order.refresh_from_db(fields=["note"], from_queryset=Order.objects.filter(customer_id=order.customer_id))
        return order

    same(refreshed)


@cases(
    only=lambda s: [order.status for order in Order.objects.filter(customer=with_orders(s)).only("pk").order_by("pk")],
    only_over_shards=lambda _: sorted(order.status for order in Order.objects.only("pk")),
    defer=lambda s: Order.objects.defer("status").get(pk=s.orders[8].pk).status,
    deferred_key=lambda s: Order.objects.defer("customer").get(pk=s.orders[8].pk).customer_id,
    deferred_relation=lambda s: Order.objects.only("pk").get(pk=s.orders[8].pk).customer.name,
    deferred_natural_key=lambda _: sorted(gadget.price for gadget in Gadget.objects.only("code")),
)
def test_deferred_columns_come_from_the_rows_shard(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


def test_loading_a_deferred_column_asks_one_shard(shop: Shop) -> None:
    order = Order.objects.only("pk").get(pk=shop.orders[8].pk)
    with queries_by_database() as seen:
        assert order.status

    assert dict(seen) == {order.shard: 1}


@pytest.mark.skipif(django.VERSION < (6, 1), reason="fetch modes came with Django 6.1")
@pytest.mark.parametrize("mode", ["FETCH_ONE", "FETCH_PEERS"])
@cases(
    deferred=lambda q: sorted(order.status for order in q.only("pk")),
    forward=lambda q: sorted(order.customer.name for order in q.all()),
    forward_to_global=lambda q: sorted(order.product.name for order in q.filter(product__isnull=False)),
)
def test_fetch_modes(shop: Shop, case: Case_, mode: str) -> None:
    manager: Any = Order.objects
    assert shop.orders

    same(lambda: case(manager.fetch_mode(getattr(models, mode))))


def test_neighbours_by_date(shop: Shop) -> None:
    customer = with_orders(shop)
    order = shop.orders_of(customer)[0]

    same(lambda: Order.objects.get(pk=order.pk).get_next_by_created())
    same(lambda: Order.objects.get(pk=order.pk).get_next_by_created(status="sent"))
    same(lambda: Order.objects.get(pk=order.pk).get_next_by_created(customer=customer))
    same(lambda: Order.objects.get(pk=order.pk).get_previous_by_created(customer=customer), error=Order.DoesNotExist)


def test_every_row_is_an_instance_of_the_logical_database(shop: Shop) -> None:
    """Django asks `_state.db` for the database of related rows, and those may be anywhere."""
    rows = [*Order.objects.all(), *Order.objects.filter(customer=with_orders(shop)), shop.orders[8].customer]

    assert {"default"} == {row._state.db for row in rows}
    assert set(shop.shards) == {row.shard for row in rows}
    assert sorted(pks(shop.orders)) == sorted(pks(Order.objects.all()))


def test_documents_are_found_by_their_uuid(shop: Shop) -> None:
    document = shop.documents[1]

    same(lambda: Document.objects.in_bulk([document.pk]), plan="single")
