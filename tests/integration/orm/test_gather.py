"""Statements that have to see rows of several databases side by side: one plain database decides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import NotSupportedError
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Lag, Rank, RowNumber, TruncDate, Upper
from django.db.models.query import QuerySet

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
    OrderReport,
    Parcel,
    Product,
    Profile,
    Reading,
    Room,
    Shipment,
    Tagged,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


def answered(make: Callable[[], Any]) -> None:
    """Demand the same answer as from one plain database, or the same refusal by the vendor."""
    with on_plain_database():
        error = outcome(make).error
    same(make, error=type(error) if isinstance(error, NotSupportedError) else None)


@cases(
    by_key=lambda _: Shipment.objects.select_related("order").order_by("-pk")[:3],
    by_text=lambda _: Shipment.objects.select_related("order").order_by("region", "pk")[2:7],
    by_nulls=lambda _: Order.objects.select_related("product").order_by("-weight", "pk")[:5],
    by_nulls_last=lambda _: Order.objects.select_related("product").order_by(F("weight").asc(nulls_last=True), "pk")[
        :9
    ],
    by_an_expression=lambda _: Order.objects.select_related("product").order_by(F("total") * -1, Upper("status"), "pk")[
        :9
    ],
    by_a_selected_column=lambda _: Shipment.objects.values("cost", "order__status").order_by("cost", "pk")[:4],
    by_an_annotation=lambda _: (
        Shipment.objects.select_related("order").annotate(c=F("cost") % 3).order_by("c", "pk")[:4]
    ),
    by_another_table=lambda _: Shipment.objects.select_related("order").order_by("order__created", "pk")[:4],
    by_nothing=lambda _: Shipment.objects.select_related("order")[:2].count(),
    narrowed=lambda _: Customer.objects.select_related("referrer").filter(score__gt=0).order_by("name", "pk")[1:4],
    each_several_times=lambda _: (
        Order.objects.order_by("pk").values_list("pk", "shipments__cost").order_by("pk", "shipments__pk")[:7]
    ),
    each_several_times_by_one=lambda _: (
        Order.objects.filter(number=1).order_by("-pk").values_list("pk", "shipments__order")[1:6]
    ),
    joined_strictly=lambda _: Order.objects.filter(shipments__cost__gt=3).order_by("pk", "shipments__pk")[:3],
    distinct=lambda _: Shipment.objects.order_by("region").values("region", "order__status").distinct()[:3].count(),
    within=lambda _: list(
        Order.objects.filter(customer__in=list(Customer.objects.select_related("referrer").order_by("-name", "pk")[:5]))
        .order_by("pk")
        .values_list("pk")
    ),
    subquery=lambda _: Order.objects.annotate(
        n=Subquery(Customer.objects.select_related(None).order_by("-score", "pk").values("referrer__name")[:1])
    ).order_by("pk")[:3],
    aggregated=lambda _: (
        Shipment.objects.select_related("order").order_by("-cost", "pk")[:6].aggregate(s=Sum("cost"), n=Count("order"))
    ),
    counted=lambda _: Order.objects.annotate(n=Count("shipments")).order_by("-pk")[:3],
    numbered=lambda _: Order.objects.annotate(r=Window(RowNumber(), order_by="pk")).order_by("-pk")[:3],
    beyond=lambda _: Shipment.objects.select_related("order").order_by("pk")[1000:1010],
    none_at_all=lambda _: Shipment.objects.select_related("order").order_by("pk")[3:3],
)
def test_the_first_rows(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


shipped: Any = Shipment.objects.filter(order=OuterRef("pk"))


@cases(
    forward=lambda _: Shipment.objects.filter(order__status="paid").order_by("pk"),
    forward_two_levels=lambda _: Shipment.objects.filter(order__customer__name="Ada"),
    forward_and_a_reference=lambda _: Shipment.objects.filter(order__customer__country__name="Germany"),
    forward_or_own=lambda _: Shipment.objects.filter(Q(order__status="paid") | Q(cost=3)),
    forward_excluded=lambda _: Shipment.objects.exclude(order__status="paid"),
    to_itself=lambda _: Customer.objects.filter(referrer__score__gt=1).order_by("pk"),
    to_itself_twice=lambda _: Customer.objects.filter(referrer__referrer__score__gt=1),
    to_global=lambda _: Order.objects.filter(product__price="20.00").order_by("pk"),
    backward=lambda _: Order.objects.filter(shipments__cost__gt=5).order_by("pk", "shipments__pk"),
    backward_distinct=lambda _: Order.objects.filter(shipments__cost__gt=5).distinct(),
    backward_missing=lambda _: Order.objects.filter(shipments__isnull=True),
    backward_present=lambda _: Order.objects.filter(shipments__isnull=False).distinct(),
    backward_excluded=lambda _: Order.objects.exclude(shipments__cost=3),
    backward_twice=lambda _: Order.objects.filter(shipments__cost=3).filter(shipments__cost=4),
    backward_of_itself=lambda _: Customer.objects.filter(referred__name="Bob"),
    from_global=lambda _: Product.objects.filter(orders__status="new").order_by("pk"),
    from_global_missing=lambda _: Product.objects.filter(orders__isnull=True),
    from_global_far=lambda _: Product.objects.filter(orders__shipments__cost__gt=5).distinct(),
    from_reference=lambda _: Country.objects.filter(customer__score__gte=0),
    from_reference_missing=lambda _: Country.objects.filter(customer__isnull=True),
    from_reference_counted=lambda _: Country.objects.filter(customer__score__gte=0).distinct().count(),
    many_to_many=lambda _: Label.objects.filter(order__status="paid").distinct(),
    many_to_many_far=lambda _: Shipment.objects.filter(order__labels__name="gift"),
    many_to_many_missing=lambda _: Label.objects.filter(order__isnull=True),
    generic=lambda _: Order.objects.filter(tags__tag="tag-1"),
    generic_missing=lambda _: Order.objects.filter(tags__isnull=True),
    one_to_one=lambda _: Customer.objects.filter(referrer__profile__isnull=True),
    unmanaged=lambda _: OrderReport.objects.filter(pk__in=Shipment.objects.filter(cost__gt=4).values("order")),
    plain_queryset=lambda _: QuerySet(Shipment).filter(order__status="paid"),
    ordered_by_another=lambda _: Shipment.objects.order_by("-order__created", "pk"),
    pinned_on_one_side=lambda s: Shipment.objects.filter(order__customer=s.customer_on(2, 3)),
    pinned_on_the_other=lambda _: Shipment.objects.filter(region="north", order__status="paid"),
    slice_of_a_join=lambda _: Shipment.objects.filter(order__number=0).order_by("-pk")[2:5],
    reversed_=lambda _: Shipment.objects.filter(order__status="paid").order_by("pk").reverse()[:3],
)
def test_joins(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


@cases(
    to_global=lambda _: Order.objects.select_related("product").order_by("pk"),
    to_another_group=lambda _: Shipment.objects.select_related("order__customer__country").order_by("pk"),
    to_itself=lambda _: Customer.objects.select_related("referrer").order_by("pk"),
    to_itself_and_back=lambda _: Customer.objects.select_related("referrer__profile").order_by("pk"),
    some_columns=lambda _: Shipment.objects.select_related("order").only("cost", "order__status").order_by("pk"),
    deferred=lambda _: Shipment.objects.select_related("order").defer("order__note").order_by("pk"),
    got=lambda s: Shipment.objects.select_related("order").get(pk=s.shipments[7].pk),
    filtered=lambda _: Shipment.objects.select_related("order").filter(order__status="new").order_by("pk")[:4],
)
def test_related_rows_come_along(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


@cases(
    exists=lambda _: Order.objects.filter(Exists(shipped)),
    not_exists=lambda _: Order.objects.filter(~Exists(shipped.filter(cost__gt=3))),
    exists_of_exists=lambda _: Customer.objects.filter(
        Exists(Order.objects.filter(Exists(shipped), customer=OuterRef("pk")))
    ),
    outer_of_outer=lambda _: Customer.objects.filter(
        Exists(Order.objects.filter(Exists(Shipment.objects.filter(order__customer=OuterRef(OuterRef("pk")), cost=4))))
    ),
    scalar=lambda _: Order.objects.annotate(cost=Subquery(shipped.order_by("-cost").values("cost")[:1])).order_by("pk"),
    scalar_aggregate=lambda _: Order.objects.annotate(
        cost=Subquery(shipped.values("order").annotate(n=Sum("cost")).values("n"))
    ).order_by("cost", "pk"),
    filtered_by_a_scalar=lambda _: Order.objects.annotate(
        cost=Subquery(shipped.order_by("-cost").values("cost")[:1])
    ).filter(cost__gt=F("number")),
    among=lambda _: Order.objects.filter(pk__in=Shipment.objects.filter(cost__gt=4).values("order")),
    among_first=lambda _: Order.objects.filter(customer__in=Customer.objects.order_by("-score", "pk").values("pk")[:3]),
    not_among=lambda _: Customer.objects.exclude(id__in=Customer.objects.values("referrer_id")),
    not_among_present=lambda _: Customer.objects.exclude(
        id__in=Customer.objects.filter(referrer__isnull=False).values("referrer_id")
    ),
    among_groups=lambda _: Order.objects.filter(
        number__in=Shipment.objects.values("cost").annotate(n=Count("pk")).filter(n__gt=1).values("cost")
    ),
    among_of_global=lambda _: Product.objects.filter(pk__in=Order.objects.filter(status="new").values("product")),
    among_in_a_case=lambda _: Order.objects.annotate(
        sent=Case(When(Exists(shipped), then=Value("yes")), default=Value("no"))
    ).order_by("sent", "pk"),
    compared=lambda _: (
        Order.objects.filter(
            total__gt=Subquery(
                Order.objects.order_by().values("customer__country").annotate(a=Avg("total")).values("a")[:1]
            )
        ).count()
        >= 0
    ),
    of_reference=lambda _: Country.objects.filter(~Exists(Customer.objects.filter(country=OuterRef("pk")))),
    counted=lambda _: Order.objects.filter(Exists(shipped)).count(),
    any_=lambda _: Order.objects.filter(Exists(shipped)).exists(),
    none_at_all=lambda _: Order.objects.filter(Exists(shipped.filter(cost=-1))),
)
def test_subqueries(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


@cases(
    numbered=lambda _: Order.objects.annotate(r=Window(RowNumber(), order_by=["-total", "pk"])).order_by("pk"),
    ranked=lambda _: Order.objects.annotate(
        r=Window(Rank(), partition_by="status", order_by="-total"), upper=Upper("status")
    ).order_by("pk"),
    filtered=lambda _: Order.objects.annotate(
        r=Window(RowNumber(), partition_by="status", order_by=["-total", "pk"])
    ).filter(r=1),
    filtered_and_narrowed=lambda _: Order.objects.annotate(
        r=Window(RowNumber(), partition_by="status", order_by=["-total", "pk"])
    ).filter(r__lte=2, number__gt=0),
    filtered_either_way=lambda _: Order.objects.annotate(
        r=Window(RowNumber(), partition_by="status", order_by=["-total", "pk"])
    ).filter(Q(r=1) | Q(number=2)),
    before=lambda _: Order.objects.annotate(
        before=Window(Lag("number"), order_by=["created", "pk"]), share=Window(Sum("total"), partition_by="product")
    ).order_by("pk"),
    over_groups=lambda _: (
        Order.objects.values("status")
        .annotate(n=Count("pk"))
        .annotate(r=Window(Rank(), order_by=F("n").desc()))
        .order_by("status")
    ),
    joined=lambda _: Shipment.objects.annotate(
        r=Window(RowNumber(), partition_by="order__status", order_by=["cost", "pk"])
    ).filter(r__lt=3),
    counted=lambda _: Order.objects.annotate(r=Window(RowNumber(), order_by="pk")).filter(r__gt=4).count(),
    sliced_prefetch=lambda _: Product.objects.prefetch_related(
        Prefetch("orders", Order.objects.order_by("-number", "pk")[:2], to_attr="two")
    ),
)
def test_windows(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


new: Any = Order.objects.filter(status="new")
later: Any = Order.objects.filter(number__gt=0)


@cases(
    union=lambda _: new.union(later),
    union_of_all=lambda _: new.union(later, all=True),
    union_of_all_counted=lambda _: new.union(later, all=True).count(),
    union_ordered=lambda _: new.union(later).order_by("-id")[3:9],
    union_counted=lambda _: new.union(later).count(),
    union_of_values=lambda _: new.values_list("number").union(later.values_list("pk")),
    union_then_values=lambda _: new.union(later).values_list("status", "number"),
    union_then_foreign_values=lambda _: (
        new.union(later).values("customer_id", "number").order_by("customer_id", "number")
    ),
    union_of_models=lambda _: new.values_list("number").union(Shipment.objects.values_list("cost")).order_by("number"),
    union_with_global=lambda _: new.values_list("number").union(Product.objects.values_list("pk")),
    union_of_three=lambda _: new.union(later, Order.objects.filter(total__lt=3)).order_by("pk"),
    union_within=lambda _: Order.objects.filter(pk__in=new.union(later).values("pk")),
    union_of_joined=lambda _: Shipment.objects.filter(order__status="new").union(Shipment.objects.filter(cost=3)),
    any_of_a_union=lambda _: new.union(later).exists(),
    first_of_a_union=lambda _: new.union(later).order_by("pk").first(),
    intersection=lambda _: new.intersection(later),
    intersection_counted=lambda _: new.intersection(later).count(),
    difference=lambda _: new.difference(later),
    difference_ordered=lambda _: new.difference(later).order_by("-pk")[:3],
    difference_counted=lambda _: new.difference(later).count(),
    nothing=lambda _: new.intersection(Order.objects.filter(status="paid")),
    with_none=lambda _: new.union(Order.objects.none()).order_by("pk"),
)
def test_combinations(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


@cases(
    per_joined=lambda _: Order.objects.annotate(n=Count("shipments")).order_by("pk"),
    per_joined_filtered=lambda _: Order.objects.annotate(n=Count("shipments")).filter(n__gt=1).order_by("-n", "pk")[:3],
    two_branches=lambda _: Order.objects.annotate(
        lines_=Count("lines", distinct=True), shipped=Count("shipments", distinct=True)
    ).order_by("pk"),
    grouped_by_joined=lambda _: (
        Shipment.objects.values("order__status").annotate(n=Count("pk"), most=Max("cost")).order_by("order__status")
    ),
    grouped_by_text=lambda _: Shipment.objects.values("order__customer__name").annotate(n=Count("pk")).count(),
    of_global=lambda _: Product.objects.annotate(n=Count("orders"), t=Sum("orders__total")).order_by("pk"),
    of_reference=lambda _: Country.objects.annotate(n=Count("customer"), a=Avg("customer__score")).order_by("pk"),
    of_labels=lambda _: Label.objects.filter(order__status="paid").annotate(n=Count("order__shipments")).order_by("pk"),
    with_condition=lambda _: Product.objects.annotate(
        n=Count("orders", filter=Q(orders__status="new")), s=Coalesce(Sum("orders__number"), 0)
    ).order_by("pk"),
    of_the_first=lambda _: Order.objects.order_by("-total", "pk")[:10].aggregate(Sum("total"), Count("weight")),
    of_groups=lambda _: Shipment.objects.values("order__status").annotate(n=Sum("cost")).aggregate(Max("n"), Avg("n")),
    of_distinct=lambda _: Shipment.objects.values("order__status").distinct().aggregate(n=Count("order__status")),
    of_joined=lambda _: Shipment.objects.aggregate(a=Min("order__created"), b=Max("order__customer__score")),
    of_joined_deviation=lambda _: Shipment.objects.filter(order__number=0).aggregate(StdDev("cost")),
    of_nothing=lambda _: Shipment.objects.filter(order__status="?").aggregate(Sum("cost"), n=Count("pk")),
    counted=lambda _: Shipment.objects.filter(order__status="paid").count(),
    counted_slice=lambda _: Shipment.objects.filter(order__status="paid").order_by("pk")[1:3].count(),
    days=lambda _: Shipment.objects.dates("order__created", "month"),
    days_grouped=lambda _: (
        Shipment.objects.annotate(day=TruncDate("order__created")).values("day").annotate(n=Count("pk")).order_by("day")
    ),
    filtered_relation=lambda _: (
        Order.objects.annotate(dear=FilteredRelation("shipments", condition=Q(shipments__cost__gt=4)))
        .annotate(n=Count("dear"))
        .order_by("pk")
    ),
    filtered_relation_missing=lambda _: Order.objects.annotate(
        dear=FilteredRelation("shipments", condition=Q(shipments__cost__gt=4))
    ).filter(dear__isnull=True),
    filtered_relation_by_both=lambda _: Order.objects.annotate(
        dear=FilteredRelation("shipments", condition=Q(shipments__cost__gt=F("number")))
    ).filter(dear__cost__lt=9),
)
def test_groups_and_aggregates(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


@cases(
    first_of_each=lambda _: Order.objects.order_by("status", "-total", "id").distinct("status"),
    first_of_each_joined=lambda _: Shipment.objects.order_by("order__status", "-cost", "id").distinct("order__status"),
    first_of_each_counted=lambda _: Order.objects.distinct("status").count(),
)
def test_distinct_on(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


RAW = "(SELECT COUNT(*) FROM shop_shipment s WHERE s.order_id = shop_order.id)"


@cases(
    subquery=lambda _: Order.objects.annotate(n=RawSQL(RAW, ())).order_by("pk"),  # noqa: S611
    filtered=lambda _: Order.objects.annotate(n=RawSQL(RAW, ())).filter(n__gt=1, status="new"),  # noqa: S611
    where=lambda _: Order.objects.extra(
        where=["id IN (SELECT order_id FROM shop_shipment WHERE cost > %s)"], params=[4]
    ),
    tables=lambda _: Order.objects.extra(
        tables=["shop_shipment"], where=["shop_shipment.order_id = shop_order.id"]
    ).order_by("pk", "number"),
    select=lambda _: Order.objects.extra(select={"n": RAW}).order_by("pk"),  # noqa: S610
    of_global=lambda _: Product.objects.extra(where=["id IN (SELECT product_id FROM shop_order WHERE number = 1)"]),
)
def test_raw_sql(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))


@cases(
    composite_key_grouped=lambda _: (
        Room.objects.filter(Exists(Gadget.objects.filter(price=OuterRef("number"))))
        .values("pk", "name")
        .annotate(n=Count("number"))
        .order_by("name", "pk")
    ),
    composite_key=lambda _: Room.objects.filter(pk__in=Room.objects.filter(name="room 1").values("pk")),
    composite_key_exists=lambda _: Room.objects.filter(
        Exists(Room.objects.filter(name=OuterRef("name"), number__gt=OuterRef("number")))
    ),
    composite_key_window=lambda _: Room.objects.annotate(r=Window(RowNumber(), order_by=["name", "tenant", "number"])),
    natural_key=lambda _: Gadget.objects.filter(
        Exists(Gadget.objects.filter(price=OuterRef("price")).exclude(pk=OuterRef("pk")))
    ),
    null_in_key=lambda _: Reading.objects.filter(
        ~Exists(Reading.objects.filter(year=OuterRef("year"), value__gt=OuterRef("value")))
    ),
    uuid=lambda _: Document.objects.filter(customer__referrer__isnull=False).order_by("pk"),
    uuid_window=lambda _: Document.objects.annotate(r=Window(RowNumber(), order_by="title")).order_by("title"),
    ranges=lambda _: Parcel.objects.filter(weight__in=Parcel.objects.filter(zone__gt=200).values("weight")),
    lists=lambda _: Answer.objects.filter(text__in=Ticket.objects.values("queue")),
    lists_counted=lambda _: Answer.objects.filter(ticket__in=Ticket.objects.order_by("title")[:2]),
    generic_rows=lambda _: Tagged.objects.filter(
        content_type=ContentType.objects.get_for_model(Order), object_id__in=Order.objects.filter(number=1).values("pk")
    ),
    one_to_one=lambda _: Profile.objects.filter(customer__referrer__name="Bob").select_related("customer__referrer"),
    doubles=lambda _: Line.objects.filter(qty__in=Line.objects.values("qty").annotate(n=Count("pk")).values("n")),
    dates=lambda _: Order.objects.filter(
        created__gt=Subquery(Shipment.objects.values("order__created").order_by("order__created", "pk")[:1]),
        created__lt=dt.datetime(2024, 3, 5, tzinfo=dt.UTC),
    ),
)
def test_keys_of_every_kind(shop: Shop, case: Case_) -> None:
    answered(lambda: case(shop))
