"""What names one shard is asked of that shard alone: one statement, and none on `default`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django.db.models import Avg, Case, Count, Exists, F, Max, Min, OuterRef, Q, Subquery, Sum, Value, When, Window
from django.db.models.functions import Lower, RowNumber
from django.db.models.query import QuerySet

from tests.fix_shop import Shop, cases, same
from tests.shop.models import (
    Answer,
    Country,
    Customer,
    Document,
    Gadget,
    Label,
    Line,
    Order,
    Parcel,
    Profile,
    Reading,
    Room,
    Shipment,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


def key(shop: Shop) -> Any:
    """Return the id of a customer who has orders, with lines and shipments."""
    return shop.customer_on(2, 3).pk


def other_on_the_same_shard(shop: Shop) -> Any:
    return shop.customer_on(2, 2).pk


@cases(
    by_key_and_number=lambda s: Order.objects.get(customer_id=key(s), number=1),
    by_key=lambda s: Order.objects.filter(customer_id=key(s)),
    by_related_instance=lambda s: Order.objects.filter(customer=s.customer_on(2, 3)),
    by_unsaved_instance=lambda s: Order.objects.filter(customer=Customer(id=key(s))),
    by_related_pk=lambda s: Order.objects.filter(customer__pk=key(s)),
    by_related_id=lambda s: Order.objects.filter(customer__id=key(s)),
    by_text=lambda s: Order.objects.filter(customer_id=str(key(s))),
    by_float=lambda s: Order.objects.filter(customer_id=float(key(s))),  # type: ignore[misc]
    by_decimal=lambda s: Order.objects.filter(customer_id=Decimal(key(s))),  # type: ignore[misc]
    by_in=lambda s: Order.objects.filter(customer_id__in=[key(s)]),
    by_in_with_null=lambda s: Order.objects.filter(customer_id__in=[key(s), None]),
    by_in_of_one_shard=lambda s: Order.objects.filter(customer_id__in=[key(s), other_on_the_same_shard(s)]),
    by_in_of_instances=lambda s: Order.objects.filter(customer__in=[s.customer_on(2, 3), s.customer_on(2, 2)]),
    by_key_in_twice=lambda s: Order.objects.filter(customer_id__in=[c.pk for c in s.customers]).filter(
        customer_id=key(s)
    ),
    by_pk=lambda s: Order.objects.get(pk=s.orders[7].pk),
    by_pk_as_text=lambda s: Order.objects.get(pk=str(s.orders[7].pk)),
    by_pks_of_one_shard=lambda s: Order.objects.filter(pk__in=[o.pk for o in s.orders_of(s.customer_on(2, 3))]),
    by_uuid=lambda s: Document.objects.get(pk=s.documents[3].pk),
    by_uuid_as_text=lambda s: Document.objects.get(pk=str(s.documents[3].pk)),
    by_uuid_that_nothing_carries=lambda _: Document.objects.filter(pk=uuid.UUID(int=7)),
    by_pk_that_is_the_key=lambda s: Profile.objects.get(pk=s.customer_on(2, 3).pk),
    by_pk_that_is_the_key_as_instance=lambda s: Profile.objects.get(customer=s.customer_on(2, 3)),
    by_key_of_text=lambda _: Shipment.objects.filter(region="South"),
    by_key_of_text_in_other_case=lambda _: Shipment.objects.filter(region="south"),
    by_key_of_text_with_blank=lambda _: Shipment.objects.filter(region="South "),
    by_key_of_empty_text=lambda _: Shipment.objects.filter(region=""),
    by_key_zero=lambda _: Gadget.objects.filter(maker=0),
    by_negative_key=lambda _: Gadget.objects.filter(maker=-2),
    by_boolean_for_an_integer=lambda _: Gadget.objects.filter(maker=True),
    by_composite_key=lambda _: Reading.objects.filter(station="oslo", year=2001),
    by_composite_key_in_two_steps=lambda _: Reading.objects.filter(year="2001").filter(station="rome"),
    by_composite_key_with_null=lambda _: Reading.objects.filter(station="oslo", year__isnull=True),
    by_composite_key_with_none=lambda _: Reading.objects.filter(station="oslo", year=None),
    by_list=lambda _: Ticket.objects.filter(queue="sales"),
    by_default_of_a_list=lambda _: Ticket.objects.filter(queue="Sales"),
    by_list_or_id=lambda s: Ticket.objects.get(pk=s.tickets[1].pk),
    by_list_and_its_id=lambda s: Ticket.objects.get(pk=s.tickets[1].pk, queue="sales"),
    by_composite_primary_key=lambda _: Room.objects.get(pk=(3, 1)),
    by_part_of_a_composite_primary_key=lambda _: Room.objects.filter(tenant=3).order_by("-pk"),
    by_composite_primary_keys=lambda _: Room.objects.filter(pk__in=[(3, 1), (3, 0), (3, 7)]),
    by_missing_composite_primary_key=lambda _: Room.objects.filter(pk=(99, 1)),
    by_range_equal=lambda _: Parcel.objects.filter(zone=125),
    by_range_null=lambda _: Parcel.objects.filter(zone__isnull=True),
    by_range_between=lambda _: Parcel.objects.filter(zone__range=(125, 175)),
    by_range_bounds=lambda _: Parcel.objects.filter(zone__gte=225, zone__lt=250),
    by_range_above=lambda _: Parcel.objects.filter(zone__gt=300),
    by_range_below=lambda _: Parcel.objects.filter(zone__lte=50),
    by_range_below_everything=lambda _: Parcel.objects.filter(zone__lt=0),
    by_range_beyond_the_end=lambda _: Parcel.objects.filter(zone__gte=1000),
    by_range_not_covered=lambda _: Parcel.objects.filter(zone=5000),
)
def test_a_key_names_its_shard(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="single")


@cases(
    or_of_one_shard=lambda s: Order.objects.filter(
        Q(customer_id=key(s)) | Q(customer_id=other_on_the_same_shard(s), status="new")
    ),
    or_within_and=lambda s: Order.objects.filter(
        Q(customer_id=key(s)), Q(status="new") | Q(total__gt=10) | ~Q(number=1)
    ),
    and_not=lambda s: Order.objects.filter(Q(customer_id=key(s)) & ~Q(status="new")),
    excluding_what_is_left=lambda s: Order.objects.filter(customer_id=key(s)).exclude(pk=s.orders[7].pk),
    xor_within_and=lambda s: Order.objects.filter(Q(customer_id=key(s)) & (Q(status="new") ^ Q(number=1))),
    nested_and=lambda s: Order.objects.filter(Q(Q(Q(customer_id=key(s)) & Q(number__gt=0)) & Q(total__gt=0))),
    or_of_pk_and_key=lambda s: Order.objects.filter(
        Q(pk=s.orders_of(s.customer_on(2, 3))[0].pk) | Q(customer_id=other_on_the_same_shard(s))
    ),
    composite_key_distributed=lambda _: Reading.objects.filter(
        Q(station="oslo") & (Q(year=2001, value__gt=0) | Q(year=2001, value__lt=0))
    ),
    or_with_an_impossible_branch=lambda s: Order.objects.filter(Q(customer_id=key(s)) | Q(customer_id__in=[])),
    combined_by_and=lambda s: Order.objects.filter(customer_id=key(s)) & Order.objects.filter(status="new"),
    combined_by_or=lambda s: (
        Order.objects.filter(customer_id=key(s), status="new") | Order.objects.filter(customer_id=key(s), number=1)
    ),
)
def test_a_tree_of_conditions_that_leaves_one_shard(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="single")


@cases(
    in_of_nothing=lambda _: Order.objects.filter(customer_id__in=[]),
    none=lambda _: Order.objects.none(),
    sliced_to_nothing=lambda s: Order.objects.filter(customer_id=key(s)).order_by("pk")[2:2],
    joined_with_nothing=lambda _: Order.objects.filter(shipments__cost=1, pk__in=[]),
    joined_with_global_and_nothing=lambda _: Order.objects.filter(product__name="x", pk__in=[]).order_by("pk"),
    ordered_nothing=lambda _: Order.objects.filter(pk__in=[]).order_by("pk"),
    null_in=lambda _: Order.objects.filter(customer_id__in=[None]),
    huge_id=lambda _: Order.objects.filter(pk=2**80),
    negative_huge_id=lambda _: Order.objects.filter(pk=-(2**70)),
    count_of_nothing=lambda _: Order.objects.none().count(),
    aggregate_of_nothing=lambda _: Order.objects.filter(customer_id__in=[]).aggregate(n=Count("pk"), s=Sum("total")),
)
def test_what_cannot_match_asks_nobody(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), on={})


@cases(
    two_customers_of_two_shards=lambda s: Order.objects.filter(customer_id=s.customers[0].pk).filter(
        customer_id=s.customers[15].pk
    ),
    count_of_two_customers=lambda s: (
        Order.objects.filter(customer_id=s.customers[0].pk)
        .filter(customer_id=s.customers[15].pk)
        .aggregate(n=Count("pk"), t=Sum("total"), zero=Sum("total", default=0))
    ),
    pk_of_another_shard=lambda s: Order.objects.filter(pk=s.orders[0].pk, customer_id=s.customers[15].pk),
    negative_id=lambda _: Order.objects.filter(pk=-7),
    an_id_beyond_all_buckets=lambda _: Order.objects.filter(pk=7 * 4096 + 4095),
    an_id_beyond_two_to_the_53=lambda _: Order.objects.filter(pk=2**60),
    zero=lambda _: Order.objects.filter(pk=0),
    null_key=lambda _: Order.objects.filter(customer_id=None),  # type: ignore[misc]
    ticket_of_another_queue=lambda s: Ticket.objects.filter(pk=s.tickets[0].pk, queue="sales"),
    exists=lambda _: Order.objects.filter(pk=-7).exists(),
)
def test_what_contradicts_itself_is_asked_of_any_shard(shop: Shop, case: Case_) -> None:
    """One shard says so, in the shape of a real answer: zero, NULL, no row."""
    same(lambda: case(shop), plan="single")


@cases(
    parent_key_from_child=lambda s: Line.objects.filter(order__customer_id=key(s)),
    parent_key_two_levels_up=lambda s: Line.objects.filter(order__customer__pk=key(s)),
    parent_row_two_levels_up=lambda s: Line.objects.filter(order__customer=s.customer_on(2, 3)),
    parent_pk=lambda s: Line.objects.filter(order=s.orders[8]),
    parent_pk_in=lambda s: Line.objects.filter(order__in=s.orders_of(s.customer_on(2, 3))),
    child_key_from_parent=lambda s: Customer.objects.filter(orders__customer_id=key(s)).distinct(),
    child_pk_from_grandparent=lambda s: Customer.objects.filter(orders__lines__order_id=s.orders[8].pk).distinct(),
    child_pk_from_parent=lambda s: Customer.objects.filter(orders=s.orders[8]),
    siblings=lambda s: Document.objects.filter(customer__orders__customer__documents__customer_id=key(s)).distinct(),
    one_to_one_forward=lambda s: Profile.objects.filter(customer__email=s.customer_on(2, 3).email, pk=key(s)),
    one_to_one_backward=lambda s: Customer.objects.filter(profile__pk=key(s), profile__bio__startswith="bio"),
    outer_join_that_the_key_demands=lambda s: Customer.objects.filter(
        Q(orders__customer_id=key(s)) & (Q(orders__status="new") | Q(profile__isnull=True))
    ).distinct(),
    nullable_outer_join=lambda s: Customer.objects.filter(pk=key(s), orders__isnull=False).distinct(),
    childless=lambda s: Customer.objects.filter(pk__in=[c.pk for c in s.customers[8:12]], orders__isnull=True),
    reference_join=lambda s: Customer.objects.filter(pk=key(s), country__name__startswith="F"),
    reference_join_in_values=lambda s: Order.objects.filter(customer_id=key(s)).values("customer__country__name"),
    reference_as_base=lambda s: Country.objects.filter(customer__pk=key(s)),
    reference_as_base_of_two_levels=lambda s: Country.objects.filter(customer__orders__pk=s.orders[8].pk),
    labels_of_an_order=lambda s: Label.objects.filter(order__pk=s.orders[8].pk),
    orders_of_a_label_and_a_key=lambda s: Order.objects.filter(labels=s.labels[0], customer_id=key(s)),
    through_table=lambda s: Order.labels.through.objects.filter(order_id=s.orders[8].pk),
    answers_by_the_queue=lambda _: Answer.objects.filter(ticket__queue="sales"),
    answers_by_the_ticket=lambda s: Answer.objects.filter(ticket=s.tickets[2]),
    tickets_by_an_answer=lambda s: Ticket.objects.filter(answers__ticket_id=s.tickets[2].pk).distinct(),
    ordered_by_a_parent=lambda s: Line.objects.filter(order__customer_id=key(s)).order_by(
        "order__customer__name", "-order__number", "pk"
    ),
)
def test_a_key_reaches_through_colocated_joins(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="single")


@cases(
    forward=lambda s: s.orders[8].customer,
    backward=lambda s: s.customer_on(2, 3).orders.all(),
    backward_filtered=lambda s: s.customer_on(2, 3).orders.filter(status="new").order_by("-number"),
    backward_of_backward=lambda s: s.orders[8].lines.all(),
    count=lambda s: s.customer_on(2, 3).orders.count(),
    exists=lambda s: s.customer_on(2, 0).orders.exists(),
    first=lambda s: s.customer_on(2, 3).orders.first(),
    get=lambda s: s.customer_on(2, 3).orders.get(number=1),
    labels=lambda s: s.orders[11].labels.all(),
    labels_ordered=lambda s: s.orders[11].labels.order_by("-name"),
    documents=lambda s: s.customer_on(2, 2).documents.all(),
    answers=lambda s: s.tickets[1].answers.all(),
)
def test_related_rows_are_asked_of_their_shard(shop: Shop, case: Case_) -> None:
    def fresh() -> Any:
        for row in (*shop.orders, *shop.customers):
            row._state.fields_cache.clear()
        return case(shop)

    same(fresh, plan="single")


@cases(
    count=lambda q: q.count(),
    exists=lambda q: q.exists(),
    first=lambda q: q.first(),
    last=lambda q: q.last(),
    earliest=lambda q: q.earliest("created"),
    latest=lambda q: q.latest("created", "pk"),
    ordered=lambda q: q.order_by("status", "-pk"),
    ordered_with_nulls=lambda q: q.order_by(F("weight").desc(nulls_last=True), "pk"),
    reversed=lambda q: q.order_by("pk").reverse(),
    sliced=lambda q: q.order_by("pk")[1:3],
    sliced_by_step=lambda q: q.order_by("pk")[0:3:2],
    indexed=lambda q: q.order_by("pk")[1],
    count_of_slice=lambda q: q.order_by("pk")[1:].count(),
    distinct=lambda q: q.values("status").distinct().order_by("status"),
    count_distinct=lambda q: q.values("status").distinct().count(),
    values=lambda q: q.values("number", "customer__name"),
    values_list=lambda q: q.values_list("number", "status"),
    values_list_flat=lambda q: q.order_by("pk").values_list("number", flat=True),
    values_list_named=lambda q: q.values_list("number", "status", named=True),
    dates=lambda q: q.dates("created", "month"),
    datetimes=lambda q: q.datetimes("created", "day", order="DESC"),
    in_bulk_of_all=lambda q: q.in_bulk(),
    contains=lambda q: q.contains(q.model(pk=1)),
    only=lambda q: q.only("number"),
    defer=lambda q: q.defer("note", "status"),
    select_related=lambda q: q.select_related("customer__country"),
    annotated=lambda q: q.annotate(twice=F("number") * 2, lower=Lower("status")),
    annotated_with_a_condition=lambda q: q.annotate(
        kind=Case(When(total__gt=10, then=Value("dear")), default=Value("cheap"))
    ),
    aliased=lambda q: q.alias(twice=F("number") * 2).filter(twice__gt=1),
    counting_children=lambda q: q.annotate(n=Count("lines")).filter(n__gte=1),
    grouped=lambda q: q.values("status").annotate(n=Count("pk"), t=Sum("total")).order_by("-n", "status"),
    having=lambda q: q.values("status").annotate(n=Count("pk")).filter(n__gte=1),
    aggregated=lambda q: q.aggregate(Sum("total"), Min("created"), Max("number"), Avg("total"), n=Count("weight")),
    aggregated_over_children=lambda q: q.aggregate(n=Count("lines"), q=Sum("lines__qty")),
    aggregated_slice=lambda q: q.order_by("-total")[:2].aggregate(Sum("total")),
    aggregated_with_a_filter=lambda q: q.aggregate(n=Count("pk", filter=Q(status="new"))),
    window=lambda q: q.annotate(r=Window(RowNumber(), partition_by="status", order_by="pk")),
    window_filtered=lambda q: q.annotate(r=Window(RowNumber(), order_by="-pk")).filter(r=1),
    exists_of_children=lambda q: q.filter(Exists(Line.objects.filter(order=OuterRef("pk")))),
    not_exists_of_children=lambda q: q.filter(~Exists(Line.objects.filter(order=OuterRef("pk")))),
    subquery=lambda q: q.annotate(
        sku=Subquery(Line.objects.filter(order=OuterRef("pk")).order_by("-sku").values("sku")[:1])
    ),
    subquery_of_the_logical_database=lambda q: q.filter(customer__in=Customer.objects.using("default")),
    subquery_of_parents=lambda q: q.filter(customer__in=Customer.objects.filter(score__gte=-9)),
    union=lambda q: q.filter(number=0).union(q.filter(number=2)),
    union_with_copied_rows=lambda q: q.values("status").union(Country.objects.values("name")),
    union_all_ordered=lambda q: q.filter(number=0).union(q.all(), all=True).order_by("-number")[:3],
    intersection=lambda q: q.filter(number__gt=0).intersection(q.filter(number__lt=2)),
    difference=lambda q: q.all().difference(q.filter(number=1)),
    extra_select=lambda q: q.extra(select={"twice": "number * 2"}),
    extra_where=lambda q: q.extra(where=["shop_order.number > %s"], params=[0]),
    extra_order=lambda q: q.extra(order_by=["-number"]),
    random_order=lambda q: q.order_by("?").values_list("pk", flat=True).count(),
    iterator=lambda q: q.order_by("pk").iterator(chunk_size=2),
    plain_queryset=lambda q: QuerySet(q.model, query=q.query),
    select_for_update_of_nothing_locked=lambda q: q.select_for_update().order_by("pk"),
    using_default=lambda q: q.using("default"),
)
def test_one_shard_can_do_whatever_a_database_can(shop: Shop, case: Callable[[Any], Any]) -> None:
    same(lambda: case(Order.objects.filter(customer_id=key(shop))), plan="single")


def test_two_keys_on_one_shard(shop: Shop) -> None:
    """Two groups that are not colocated may meet where both conditions leave the same shard."""
    shipment = shop.shipments[0]
    home = Shipment.objects.get(pk=shipment.pk, region=shipment.region).shard
    with_orders = [c for c in shop.customers if shop.orders_of(c) and c.shard == home]

    same(lambda: Order.objects.filter(customer=with_orders[0], shipments__region=shipment.region), plan="single")


def test_a_plain_manager_finds_the_same_shard(shop: Shop) -> None:
    same(lambda: Ticket.everything.filter(queue="sales"), plan="single")
    same(lambda: models.QuerySet(Order).filter(customer_id=key(shop)), plan="single")
    same(lambda: models.QuerySet(Order).get(pk=shop.orders[8].pk), plan="single")
