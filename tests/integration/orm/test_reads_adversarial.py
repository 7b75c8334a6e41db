"""Queries made to mislead the planner: each is answered as one plain database answers it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import NotSupportedError
from django.db.models import (
    BooleanField,
    Case,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce, Lower, RowNumber, Upper

from tests.fix_shop import Shop, cases, outcome, same
from tests.oracle import on_plain_database
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
    Product,
    Profile,
    Reading,
    Shipment,
    Tagged,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


def same_unless_impossible(make: Callable[[], Any]) -> None:
    """Demand the plain database's answer, where this vendor has one."""
    with on_plain_database():
        error = outcome(make).error
    if isinstance(error, NotSupportedError):
        pytest.skip(f"this vendor cannot do that at all: {error}")
    same(make)


def a(shop: Shop) -> Any:
    """Return a customer on one shard."""
    return shop.customer_on(1, 3)


def b(shop: Shop) -> Any:
    """Return a customer on another shard."""
    return shop.customer_on(3, 3)


# Aggregates that see more than their queryset's own conditions.


@cases(
    joining_what_is_elsewhere=lambda s: Order.objects.filter(customer=a(s)).aggregate(n=Count("shipments")),
    subquery_of_all_shards=lambda s: Order.objects.filter(customer=a(s)).aggregate(
        n=Max(Subquery(Shipment.objects.filter(order=OuterRef("pk")).order_by("pk").values("cost")[:1]))
    ),
    exists_of_all_shards=lambda s: Order.objects.filter(customer=a(s)).aggregate(
        n=Count("pk", filter=Exists(Shipment.objects.filter(order=OuterRef("pk"))))
    ),
    referrer_elsewhere=lambda s: Customer.objects.filter(pk=s.customers[7].pk).aggregate(n=Count("referrer__orders")),
    product_which_is_global=lambda s: Order.objects.filter(customer=a(s)).aggregate(n=Max("product__price")),
    raw_sql=lambda s: Order.objects.filter(customer=a(s)).aggregate(
        n=Max(RawSQL("(select count(*) from shop_shipment s)", []))
    ),
    joining_what_is_there=lambda s: Order.objects.filter(customer=a(s)).aggregate(n=Count("lines")),
    own_column=lambda s: Order.objects.filter(customer=a(s)).aggregate(n=Sum("total")),
    subquery_of_the_same_shard=lambda s: Order.objects.filter(customer=a(s)).aggregate(
        n=Max(Subquery(Line.objects.filter(order=OuterRef("pk")).order_by("-qty").values("qty")[:1]))
    ),
)
def test_an_aggregate_sees_all_that_its_expressions_read(shop: Shop, case: Case_) -> None:
    same_unless_impossible(lambda: case(shop))


# Conditions from which nothing follows.


@cases(
    or_over_two_columns=lambda s: Order.objects.filter(Q(customer=a(s)) | Q(status="new")),
    xor=lambda s: Order.objects.filter(Q(customer=a(s)) ^ Q(status="new")),
    xor_of_keys=lambda s: Order.objects.filter(Q(customer=a(s)) ^ Q(customer=b(s))),
    excluded_key=lambda s: Order.objects.exclude(customer=a(s)),
    double_negation=lambda s: Order.objects.filter(~~Q(customer=a(s))),
    excluded_in=lambda s: Order.objects.exclude(customer_id__in=[a(s).pk, b(s).pk]),
    excluded_and=lambda s: Order.objects.exclude(customer=a(s), status="new"),
    key_and_or_key=lambda s: Order.objects.filter(Q(customer=a(s)) | Q(customer=b(s))),
    key_equals_its_own_column=lambda _: Order.objects.filter(customer_id=F("customer_id")),
    key_equals_another_column=lambda _: Order.objects.filter(customer_id=F("product_id")),
    key_equals_an_expression=lambda s: Order.objects.filter(customer_id=F("number") - F("number") + a(s).pk),
    key_as_value=lambda s: Order.objects.filter(customer_id=Value(a(s).pk)),
    annotated_key=lambda s: Order.objects.annotate(k=F("customer_id")).filter(k=a(s).pk),
    computed_key=lambda s: Order.objects.annotate(k=F("customer_id") + 1).filter(k=a(s).pk + 1),
    cast_key=lambda _: Gadget.objects.annotate(k=Cast("maker", IntegerField())).filter(k=3),
    transformed_key=lambda _: Shipment.objects.annotate(k=Upper("region")).filter(k="SOUTH"),
    iexact_key=lambda _: Shipment.objects.filter(region__iexact="south"),
    contained_key=lambda _: Shipment.objects.filter(region__contains="out"),
    regex_key=lambda _: Shipment.objects.filter(region__regex="^.outh$"),
    text_range=lambda _: Shipment.objects.filter(region__gte="S", region__lt="T"),
    text_startswith=lambda _: Shipment.objects.filter(region__startswith="S"),
    key_not_null=lambda _: Order.objects.filter(customer__isnull=False),
    comparing_ids=lambda s: Order.objects.filter(pk__gte=s.orders[5].pk),
    part_of_a_composite_key=lambda _: Reading.objects.filter(station="oslo"),
    other_part_of_a_composite_key=lambda _: Reading.objects.filter(year=2001),
    null_part_of_a_composite_key=lambda _: Reading.objects.filter(year__isnull=True),
    composite_key_not_null=lambda _: Reading.objects.filter(station="oslo", year__isnull=False),
    composite_key_or_null=lambda _: Reading.objects.filter(Q(year=2001) | Q(year__isnull=True), station="oslo"),
    composite_key_excluding_null=lambda _: Reading.objects.filter(station="oslo").exclude(year=2001),
    range_of_ranges=lambda _: Parcel.objects.filter(zone__gte=50, zone__lt=250),
    range_excluding=lambda _: Parcel.objects.exclude(zone__range=(50, 350)),
    range_or_null=lambda _: Parcel.objects.filter(Q(zone__lt=50) | Q(zone__isnull=True)),
    range_not_null=lambda _: Parcel.objects.filter(zone__isnull=False),
    range_by_float=lambda _: Parcel.objects.filter(zone__gt=99.5, zone__lt=150.5),
    range_by_decimal=lambda _: Parcel.objects.filter(zone__gte=Decimal("99.5")),
    range_of_expression=lambda _: Parcel.objects.filter(zone__gte=F("weight") * 50),
    range_with_an_expression_inside=lambda _: Parcel.objects.filter(zone__range=(F("weight"), 200)),
    range_backwards=lambda _: Parcel.objects.filter(zone__range=(300, 100)),
    list_of_lists=lambda _: Ticket.objects.filter(queue__in=["support", "sales", "nobody"]),
    list_not=lambda _: Ticket.objects.exclude(queue="sales"),
    case_as_condition=lambda s: Order.objects.filter(
        Case(When(customer=a(s), then=Value(True)), default=Value(False), output_field=BooleanField())
    ),
    wrapped_condition=lambda s: Order.objects.filter(
        ExpressionWrapper(Q(customer=a(s)) | Q(status="paid"), output_field=BooleanField())
    ),
    key_or_function=lambda s: Order.objects.filter(Q(customer=a(s)) | Q(pk=Func(F("pk"), function="ABS"))),
    float_that_is_no_integer=lambda _: Gadget.objects.filter(maker=3.5),  # type: ignore[misc]
    decimal_key=lambda _: Gadget.objects.filter(maker=Decimal("3.0")),  # type: ignore[misc]
    in_of_mixed_types=lambda _: Gadget.objects.filter(maker__in=["1", 2.0, Decimal(3), True, None]),
    in_of_a_generator=lambda s: Order.objects.filter(customer_id__in=(c.pk for c in s.customers[:6])),
    in_of_a_set=lambda s: Order.objects.filter(customer_id__in={c.pk for c in s.customers[:6]}),
    in_of_a_long_list=lambda s: Order.objects.filter(customer_id__in=[*range(-500, 500), a(s).pk]),
)
def test_conditions_from_which_no_shard_follows(shop: Shop, case: Case_) -> None:
    same_unless_impossible(lambda: case(shop))


# Joins.


@cases(
    childless_elsewhere=lambda _: Order.objects.filter(shipments__isnull=True),
    childless_elsewhere_of_one_key=lambda s: Order.objects.filter(customer=a(s), shipments__isnull=True),
    inner_join_elsewhere=lambda _: Shipment.objects.filter(order__status="paid"),
    key_of_one_side_only=lambda s: Shipment.objects.filter(order__customer=a(s)),
    key_of_the_other_side_only=lambda _: Shipment.objects.filter(region="South", order__status="paid"),
    or_over_two_components=lambda s: Order.objects.filter(Q(customer=a(s)) | Q(shipments__region="South")),
    and_of_two_shards=lambda s: Shipment.objects.filter(region__in=["South", "north", "east"], order__customer=a(s)),
    self_join_elsewhere=lambda s: Customer.objects.filter(pk=a(s).pk, referrer__name="Ada"),
    self_join_back=lambda s: Customer.objects.filter(pk=a(s).pk, referred__isnull=True),
    filtered_relation_elsewhere=lambda s: Order.objects.filter(customer=a(s)).annotate(
        south=FilteredRelation("shipments", condition=Q(shipments__region="South")), n=Count("south")
    ),
    filtered_relation_with_the_key_inside=lambda s: Customer.objects.annotate(
        mine=FilteredRelation("referred", condition=Q(referred__id=a(s).pk))
    ).values("pk", "mine__name"),
    select_related_elsewhere=lambda s: Customer.objects.filter(pk=a(s).pk).select_related("referrer"),
    select_related_global=lambda s: Order.objects.filter(customer=a(s)).select_related("product"),
    values_elsewhere=lambda s: Order.objects.filter(customer=a(s)).values("product__name"),
    order_elsewhere=lambda s: Order.objects.filter(customer=a(s)).order_by("shipments__cost"),
    order_by_global=lambda s: Order.objects.filter(customer=a(s)).order_by("product__price", "pk"),
    order_by_expression_elsewhere=lambda s: Order.objects.filter(customer=a(s)).order_by(
        F("product__price").desc(nulls_last=True), "pk"
    ),
    annotation_elsewhere=lambda s: Order.objects.filter(customer=a(s)).annotate(price=F("product__price")),
    condition_in_an_annotation=lambda s: Order.objects.filter(customer=a(s)).annotate(
        c=Case(When(shipments__cost__gt=1, then=Value(1)), default=Value(0))
    ),
    reference_in_between=lambda s: Customer.objects.filter(pk=a(s).pk, country__customer__score__gt=0),
    reference_base_with_nobody=lambda _: Country.objects.filter(customer__isnull=True),
    reference_base_outer_with_key=lambda s: Country.objects.filter(Q(customer=a(s)) | Q(name="Japan")),
    reference_base_counting=lambda _: Country.objects.annotate(n=Count("customer")),
    reference_base_counting_one_key=lambda s: Country.objects.annotate(n=Count("customer", filter=Q(customer=a(s)))),
    reference_base_filtered_relation=lambda s: Country.objects.annotate(
        chosen=FilteredRelation("customer", condition=Q(customer__id=a(s).pk))
    ).values("code", "chosen__email"),
    global_base=lambda _: Product.objects.filter(orders__isnull=True),
    global_base_with_a_key=lambda s: Product.objects.filter(orders__customer=a(s)),
    generic_relation=lambda _: Order.objects.filter(tags__tag="tag-1"),
    generic_relation_of_one_key=lambda s: Order.objects.filter(customer=a(s), tags__tag="tag-1"),
    cross_product_of_two_keys=lambda s: Customer.objects.filter(referrer=b(s), pk=a(s).pk, referrer__name="Zoe"),
    column_of_a_foreign_key_elsewhere=lambda s: Customer.objects.filter(
        pk__in=[c.pk for c in s.customers], referrer=b(s)
    ),
    null_of_a_foreign_key_elsewhere=lambda _: Customer.objects.filter(referrer__isnull=True),
    global_id_needs_no_join=lambda s: Order.objects.filter(customer=a(s), product=s.products[1]),
    childless_here=lambda _: Customer.objects.filter(orders__isnull=True),
    childless_two_levels_down=lambda _: Customer.objects.filter(orders__lines__isnull=True),
    or_over_an_outer_join=lambda s: Customer.objects.filter(Q(orders__customer=a(s)) | Q(orders__isnull=True)),
    or_over_an_outer_join_by_pk=lambda s: Customer.objects.filter(Q(orders__pk=s.orders[3].pk) | Q(score=1)),
    null_key_of_an_outer_join=lambda _: Customer.objects.filter(orders__customer__isnull=True),
    null_primary_key_of_an_outer_join=lambda _: Customer.objects.filter(profile__pk=None),
    many_orders_of_a_customer=lambda s: Order.objects.filter(customer__orders__customer=a(s)),
    filtered_relation_here=lambda s: Customer.objects.filter(pk=a(s).pk).annotate(
        fresh=FilteredRelation("orders", condition=Q(orders__status="new")), n=Count("fresh")
    ),
    filtered_relation_by_another_key=lambda s: Customer.objects.annotate(
        mine=FilteredRelation("orders", condition=Q(orders__customer=a(s)))
    ).values("pk", "mine__number"),
    excluded_child=lambda _: Customer.objects.exclude(orders__status="new"),
    excluded_child_by_key=lambda s: Customer.objects.exclude(orders__customer=a(s)),
    excluded_grandchild=lambda _: Customer.objects.exclude(orders__lines__sku="sku-1"),
    reference_base=lambda _: Country.objects.filter(customer__score__gte=0),
    reference_base_by_several_keys=lambda s: Country.objects.filter(customer__in=[a(s), b(s)]),
    labels_of_all_orders=lambda _: Label.objects.filter(order__status="paid"),
    orders_of_a_label=lambda _: Order.objects.filter(labels__name="gift"),
    orders_without_a_label=lambda _: Order.objects.filter(labels__isnull=True),
    orders_excluding_a_label=lambda _: Order.objects.exclude(labels__name="gift"),
)
def test_joins_that_mislead(shop: Shop, case: Case_) -> None:
    same_unless_impossible(lambda: case(shop))


# Subqueries.


@cases(
    exists_elsewhere=lambda _: Order.objects.filter(Exists(Shipment.objects.filter(order=OuterRef("pk")))),
    exists_elsewhere_of_one_key=lambda s: Order.objects.filter(
        Exists(Shipment.objects.filter(order=OuterRef("pk"))), customer=a(s)
    ),
    uncorrelated_exists=lambda s: Order.objects.filter(Exists(Order.objects.filter(status="nothing")), customer=a(s)),
    uncorrelated_exists_of_another_key=lambda s: Order.objects.filter(Exists(Order.objects.filter(customer=b(s)))),
    uncorrelated_exists_of_another_shard=lambda s: Order.objects.filter(
        Exists(Order.objects.filter(customer=b(s))), customer=a(s)
    ),
    in_of_another_shard=lambda s: Order.objects.filter(
        product__in=Order.objects.filter(customer=b(s)).values("product"), customer=a(s)
    ),
    scalar_of_all_shards=lambda s: Order.objects.filter(customer=a(s)).annotate(
        n=Subquery(Order.objects.order_by("status").values("status").annotate(n=Count("pk")).values("n")[:1])
    ),
    scalar_compared=lambda s: Order.objects.filter(
        total__gt=Subquery(Order.objects.order_by("-total").values("total")[1:2]), customer=a(s)
    ),
    sliced=lambda _: Order.objects.filter(
        customer__in=Customer.objects.filter(score__gt=0).order_by("-score", "pk")[:3]
    ),
    window_inside=lambda _: Customer.objects.filter(
        pk__in=Order.objects.annotate(r=Window(RowNumber(), order_by=["-total", "pk"]))
        .filter(r__lte=3)
        .values("customer")
    ),
    grouped_by_more_than_the_key=lambda _: Customer.objects.filter(
        pk__in=Order.objects.values("status").annotate(m=Max("customer_id")).values("m")
    ),
    excluded_in_with_nulls=lambda _: Customer.objects.exclude(pk__in=Customer.objects.values("referrer_id")),
    not_in_with_nulls=lambda _: Customer.objects.filter(~Q(pk__in=Customer.objects.values("referrer_id"))),
    in_of_a_column_that_is_no_key=lambda _: Customer.objects.filter(pk__in=Customer.objects.values("referrer_id")),
    nested_two_levels_elsewhere=lambda _: Customer.objects.filter(
        Exists(
            Order.objects.filter(
                Exists(Shipment.objects.filter(order=OuterRef("pk"))), customer=OuterRef("pk"), status="paid"
            )
        )
    ),
    correlated_by_or=lambda _: Customer.objects.filter(
        Exists(Order.objects.filter(Q(customer=OuterRef("pk")) | Q(status="sent", number=2)))
    ),
    correlated_by_negation=lambda _: Customer.objects.filter(Exists(Order.objects.exclude(customer=OuterRef("pk")))),
    correlated_by_another_column=lambda _: Customer.objects.filter(
        Exists(Customer.objects.filter(referrer=OuterRef("pk")))
    ),
    correlated_by_comparison=lambda _: Customer.objects.filter(
        Exists(Order.objects.filter(customer__lte=OuterRef("pk"), number=2))
    ),
    reference_base=lambda _: Country.objects.filter(Exists(Customer.objects.filter(country=OuterRef("pk")))),
    reference_base_not=lambda _: Country.objects.filter(~Exists(Customer.objects.filter(country=OuterRef("pk")))),
    reference_in_between=lambda _: Order.objects.filter(
        customer__country__in=Country.objects.filter(customer__isnull=True)
    ),
    in_an_order=lambda s: Order.objects.filter(customer=a(s)).order_by(
        Exists(Shipment.objects.filter(order=OuterRef("pk"))), "pk"
    ),
    in_a_case=lambda s: Order.objects.filter(customer=a(s)).annotate(
        c=Case(When(Exists(Shipment.objects.filter(order=OuterRef("pk"))), then=Value(1)), default=Value(0))
    ),
    in_a_window=lambda s: Order.objects.filter(customer=a(s)).annotate(
        r=Window(
            RowNumber(),
            partition_by=Subquery(Shipment.objects.filter(order=OuterRef("pk")).order_by("pk").values("cost")[:1]),
        )
    ),
    in_an_aggregate=lambda s: (
        Order.objects.filter(customer=a(s))
        .values("status")
        .annotate(n=Count("pk", filter=Exists(Shipment.objects.filter(order=OuterRef("pk")))))
    ),
    in_having=lambda s: (
        Order.objects.filter(customer=a(s))
        .values("status")
        .annotate(n=Count("pk"))
        .filter(n__gt=Subquery(Shipment.objects.values("cost")[:1]) * 0)
    ),
    in_of_an_outer_joined_key=lambda _: Customer.objects.filter(
        ~Q(pk__in=Customer.objects.filter(Q(score=1) | Q(orders__status="new")).values("orders__customer"))
    ),
    in_a_function=lambda s: Order.objects.filter(customer=a(s)).annotate(
        c=Coalesce(Subquery(Shipment.objects.filter(order=OuterRef("pk")).order_by("pk").values("cost")[:1]), Value(-1))
    ),
    global_inside=lambda s: Order.objects.filter(customer=a(s), product__in=Product.objects.filter(price__gt=2)),
    union_inside=lambda s: Order.objects.filter(
        pk__in=Order.objects.filter(customer=a(s)).values("pk").union(Order.objects.filter(customer=b(s)).values("pk"))
    ),
    exists_here=lambda _: Customer.objects.filter(Exists(Order.objects.filter(customer=OuterRef("pk"), total__gt=5))),
    not_exists_here=lambda _: Customer.objects.filter(~Exists(Order.objects.filter(customer=OuterRef("pk")))),
    nested_two_levels=lambda _: Customer.objects.filter(
        Exists(Order.objects.filter(Exists(Line.objects.filter(order=OuterRef("pk"))), customer=OuterRef("pk")))
    ),
    outer_of_outer=lambda _: Customer.objects.filter(
        Exists(
            Order.objects.filter(
                Exists(Document.objects.filter(customer=OuterRef(OuterRef("pk")))), customer=OuterRef("pk")
            )
        )
    ),
    in_of_a_colocated_key=lambda _: Order.objects.filter(customer__in=Customer.objects.filter(score__gt=0)),
    not_in_of_a_colocated_key=lambda _: Order.objects.exclude(customer__in=Customer.objects.filter(score__gt=0)),
    or_in_of_a_colocated_key=lambda _: Order.objects.filter(
        Q(customer__in=Customer.objects.filter(score__gt=0)) | Q(status="new")
    ),
    in_of_a_child_key=lambda _: Customer.objects.filter(pk__in=Order.objects.filter(status="new").values("customer")),
    not_in_of_a_child_key=lambda _: Customer.objects.exclude(pk__in=Order.objects.values("customer_id")),
    in_of_a_joined_child_key=lambda _: Customer.objects.filter(
        pk__in=Line.objects.filter(qty__gt=1).values("order__customer")
    ),
    in_of_a_pinned_key=lambda s: Order.objects.filter(customer__in=Customer.objects.filter(pk__in=[a(s).pk, b(s).pk])),
    in_of_one_pinned_key=lambda s: Order.objects.filter(customer__in=Customer.objects.filter(pk=a(s).pk)),
    correlated_with_another_pin=lambda s: Order.objects.filter(
        Exists(Line.objects.filter(order=OuterRef("pk"), order__customer=b(s))), customer=a(s)
    ),
    correlated_with_the_same_pin=lambda s: Order.objects.filter(
        Exists(Line.objects.filter(order=OuterRef("pk"), order__customer=a(s))), customer=a(s)
    ).order_by("-pk"),
    not_correlated_with_another_pin=lambda s: Order.objects.filter(
        ~Exists(Line.objects.filter(order=OuterRef("pk"), order__customer=b(s))), customer=a(s)
    ),
    pin_of_two_shards_under_a_contradiction=lambda s: Order.objects.filter(
        Exists(Line.objects.filter(order=OuterRef("pk"), order__customer__in=[a(s), b(s)])),
        customer=a(s),
        pk=s.orders_of(b(s))[0].pk,
    ),
    joined_contradiction=lambda s: Ticket.objects.filter(
        answers__text="a", answers__ticket=s.tickets[0], queue="sales"
    ).exclude(answers__ticket=s.tickets[1]),
    two_subqueries_of_one_shard=lambda s: Order.objects.filter(
        Exists(Order.objects.filter(customer=a(s), number=1)), customer=a(s)
    ).order_by("pk"),
    subquery_that_cannot_match=lambda s: Order.objects.filter(~Exists(Order.objects.filter(pk=-1)), customer=a(s)),
    nothing_within_something=lambda _: Order.objects.filter(Q(customer__in=Customer.objects.none()) | Q(status="new")),
    scalar_here=lambda _: Customer.objects.annotate(
        last=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-number").values("total")[:1])
    ),
    scalar_of_aggregates_here=lambda _: Customer.objects.annotate(
        n=Subquery(Order.objects.filter(customer=OuterRef("pk")).values("customer").annotate(n=Count("pk")).values("n"))
    ),
    reference_inside=lambda _: Customer.objects.filter(country__in=Country.objects.filter(name__startswith="F")),
    reference_base_of_one_key=lambda s: Country.objects.filter(
        Exists(Customer.objects.filter(country=OuterRef("pk"), pk=a(s).pk))
    ),
    exists_of_tickets_by_id=lambda _: Ticket.objects.filter(
        Exists(Answer.objects.filter(ticket=OuterRef("pk"), text="a"))
    ),
    lower_within_exists=lambda _: Customer.objects.filter(
        Exists(Profile.objects.annotate(low=Lower("bio")).filter(customer=OuterRef("pk"), low__contains="bio"))
    ),
)
def test_subqueries_that_mislead(shop: Shop, case: Case_) -> None:
    same_unless_impossible(lambda: case(shop))


# What has to see all rows at once.


@cases(
    ordered=lambda _: Order.objects.order_by("pk"),
    ordered_by_meta=lambda _: Answer.objects.all(),
    ordered_randomly=lambda _: sorted(Order.objects.order_by("?").values_list("status", flat=True)),
    ordered_by_extra=lambda _: Order.objects.extra(order_by=["number", "id"]),
    reversed_=lambda _: Order.objects.order_by("pk").reverse(),
    counted=lambda _: Order.objects.count(),
    aggregated=lambda _: Order.objects.aggregate(n=Sum("total")),
    aggregated_over_nothing=lambda _: Order.objects.filter(number=-1).aggregate(n=Count("pk")),
    grouped=lambda _: Order.objects.values("status").annotate(n=Count("pk")),
    grouped_by_the_key=lambda _: Order.objects.values("customer").annotate(n=Count("pk")),
    having=lambda _: Order.objects.values("status").alias(n=Count("pk")).filter(n__gt=3),
    having_only=lambda _: Customer.objects.alias(n=Count("orders")).filter(n__gt=1),
    annotated_by_a_count=lambda _: Customer.objects.annotate(n=Count("orders")),
    distinct=lambda _: Order.objects.values("status").distinct(),
    distinct_rows=lambda _: Customer.objects.filter(orders__number__gte=0).distinct(),
    windowed=lambda _: Order.objects.annotate(r=Window(RowNumber(), partition_by="customer", order_by="pk")),
    windowed_over_all=lambda _: Order.objects.annotate(r=Window(Count("pk"))),
    windowed_filter=lambda _: Order.objects.alias(r=Window(RowNumber(), order_by="pk")).filter(r=1),
    windowed_order=lambda _: Order.objects.order_by(Window(RowNumber(), order_by="pk")),
    offset=lambda _: Order.objects.values("status")[30:],
    union=lambda _: Order.objects.filter(number=0).union(Order.objects.filter(number=1)),
    union_all=lambda _: Order.objects.filter(number=0).union(Order.objects.filter(number=1), all=True),
    union_of_two_keys=lambda s: Order.objects.filter(customer=a(s)).union(Order.objects.filter(customer=b(s))),
    intersection=lambda s: Order.objects.filter(customer=a(s)).intersection(Order.objects.filter(customer=b(s))),
    difference=lambda s: Order.objects.filter(number=0).difference(Order.objects.filter(customer=b(s))),
    union_with_global=lambda s: Order.objects.filter(customer=a(s)).values("pk").union(Product.objects.values("pk")),
    combined_by_or=lambda s: (Order.objects.filter(customer=a(s)) | Order.objects.filter(customer=b(s))).order_by("pk"),
    tagged=lambda _: Tagged.objects.order_by("pk"),
)
def test_what_has_to_see_all_rows_sees_them(shop: Shop, case: Case_) -> None:
    same_unless_impossible(lambda: case(shop))
