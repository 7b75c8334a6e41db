"""What no key narrows: the shards' answers put one after another, or a refusal that names model and key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, models
from django.db.models import (
    Avg,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    Variance,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Collate, Lower, RowNumber, TruncMonth

from tests.fix_shop import Shop, outcome, refused, same
from tests.shop.models import (
    Answer,
    Booth,
    Country,
    Customer,
    Gadget,
    Label,
    Line,
    Order,
    Parcel,
    Product,
    Reading,
    Room,
    Shipment,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


def cases(**found: Case_) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", list(found.values()), ids=list(found))


@cases(
    all=lambda _: Order.objects.all(),
    filtered=lambda _: Order.objects.filter(status="new"),
    excluded=lambda _: Order.objects.exclude(status="new", number__gt=0),
    by_a_joined_column=lambda _: Order.objects.filter(customer__name="Ada"),
    by_a_reference=lambda _: Order.objects.filter(customer__country__name="France"),
    by_a_natural_pk=lambda _: Gadget.objects.filter(code="g3"),
    only=lambda _: Order.objects.only("status"),
    defer=lambda _: Order.objects.defer("status", "customer"),
    values=lambda _: Order.objects.values("status", "customer__name"),
    values_list=lambda _: Order.objects.values_list("pk", "status"),
    flat=lambda _: Order.objects.values_list("status", flat=True),
    named=lambda _: Order.objects.values_list("pk", "status", named=True),
    annotated=lambda _: Order.objects.annotate(twice=F("number") * 2, name=Lower("customer__name"), one=Value(1)),
    truncated=lambda _: Order.objects.annotate(month=TruncMonth("created")),
    raw_sql_without_a_table=lambda _: Order.objects.annotate(x=RawSQL("number * 2", [])),
    raw_sql_of_its_own_column=lambda _: Order.objects.annotate(x=RawSQL("shop_order.number * 2", [])),
    extra=lambda _: Order.objects.extra(select={"x": "number + 1"}, where=["number >= %s"], params=[1]),
    exists_here=lambda _: Customer.objects.annotate(any=Exists(Order.objects.filter(customer=OuterRef("pk")))),
    subquery_here=lambda _: Customer.objects.annotate(
        n=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-number").values("number")[:1])
    ),
    reference_as_base=lambda _: Country.objects.filter(customer__score__gte=1),
    many_to_many=lambda _: Order.objects.filter(labels__name="urgent"),
    order_dropped=lambda _: Answer.objects.order_by(),
    plain_queryset=lambda _: models.QuerySet(Order).filter(status="new"),
    plain_manager=lambda _: Ticket.everything.all(),
    combined_by_and=lambda _: Order.objects.filter(number=0) & Order.objects.filter(status="new"),
    combined_by_or=lambda _: Order.objects.filter(number=0) | Order.objects.filter(status="new"),
    combined_by_xor=lambda _: Order.objects.filter(number=0) ^ Order.objects.filter(status="new"),
    combined_keys=lambda s: (
        Order.objects.filter(customer=s.customers[3]) | Order.objects.filter(customer=s.customers[7])
    ),
    for_update=lambda _: Order.objects.select_for_update(),
    reversed_without_an_order=lambda _: Reading.objects.reverse(),
    complex_filter=lambda _: Order.objects.complex_filter(Q(number=1)),
    nothing_found=lambda _: Order.objects.filter(number=-1),
    get_by_no_key=lambda s: Customer.objects.get(email=s.customers[6].email),
    get_by_pk_that_says_nothing=lambda _: Gadget.objects.get(pk="g7"),
    exists=lambda _: Order.objects.filter(status="paid").exists(),
    exists_not=lambda _: Order.objects.filter(status="lost").exists(),
    contains=lambda _: Gadget.objects.contains(Gadget(code="g7")),
    contains_not=lambda _: Gadget.objects.contains(Gadget(code="none")),
    in_bulk=lambda _: Gadget.objects.in_bulk(["g1", "g2", "g3", "none"]),
    in_bulk_by_a_unique_field=lambda s: Customer.objects.in_bulk(
        [c.email for c in s.customers[::3]], field_name="email"
    ),
    composite_primary_keys=lambda _: Room.objects.filter(pk__in=[(n, n % 3) for n in range(8)]),
    composite_primary_key_by_its_other_part=lambda _: Room.objects.filter(number=1),
    composite_primary_key_compared=lambda _: Room.objects.filter(pk__gt=(3, 1)),
    composite_primary_key_excluded=lambda _: Room.objects.exclude(pk=(3, 1)),
    in_bulk_of_all=lambda _: Gadget.objects.in_bulk(),
)
def test_unordered_rows_of_all_shards(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="merge")


@cases(
    in_of_two_shards=lambda s: (Order.objects.filter(customer_id__in=[s.customers[3].pk, s.customers[11].pk]), (0, 2)),
    or_of_two_shards=lambda s: (
        Order.objects.filter(Q(customer=s.customers[3]) | Q(customer=s.customers[7], status="new")),
        (0, 1),
    ),
    pks_of_two_shards=lambda s: (Order.objects.filter(pk__in=[s.orders[0].pk, s.orders[-1].pk]), (0, 3)),
    composite_in=lambda _: (Ticket.objects.filter(queue__in=["support", "sales"]), (0, 1)),
    range_of_two_shards=lambda _: (Parcel.objects.filter(zone__gte=150, zone__lt=250), (1, 2)),
    range_open_above=lambda _: (Parcel.objects.filter(zone__gt=225), (2, 3)),
    range_or_null=lambda _: (Parcel.objects.filter(Q(zone__gte=300) | Q(zone__isnull=True)), (0, 3)),
    joined_in=lambda s: (Line.objects.filter(order__customer__in=[s.customers[2], s.customers[15]]), (0, 3)),
    uuids=lambda s: (type(s.documents[0]).objects.filter(pk__in=[s.documents[0].pk, s.documents[-1].pk]), (0, 3)),
    through_in=lambda s: (
        Order.labels.through.objects.filter(order__in=[s.orders[0], s.orders[1], s.orders[-1]]),
        (0, 3),
    ),
)
def test_only_shards_that_can_match_are_asked(shop: Shop, case: Case_) -> None:
    _, numbers = case(shop)

    same(lambda: case(shop)[0], on={shop.shards[number]: 1 for number in numbers})


@pytest.mark.parametrize("alias", ["default", "oracle"])
def test_keys_of_a_directory(shop: Shop, alias: str) -> None:
    """What a directory says finds the row; what it does not say is no row."""
    assert shop.orders
    for number, fair in enumerate(("north", "south", "east")):
        Booth.objects.using(alias).create(fair=fair, number=number)
    booths = Booth.objects.using(alias)

    assert [1] == list(booths.filter(fair="south").values_list("number", flat=True))
    assert 0 == booths.filter(fair="west").count()
    assert {0, 2} == {booth.number for booth in booths.filter(fair__in=["north", "east", "west"])}
    assert 3 == len(booths.all())


def test_a_limit_without_an_order_takes_any_rows(shop: Shop) -> None:
    assert [7, 0, len(shop.orders)] == [len(Order.objects.all()[:n]) for n in (7, 0, 1000)]
    assert len({order.pk for order in Order.objects.all()[:7]}) == 7
    assert Order.objects.filter(status="new")[0].status == "new"


def test_get_without_a_key(shop: Shop) -> None:
    same(lambda: Order.objects.get(status="new"), error=Order.MultipleObjectsReturned)
    same(lambda: Order.objects.get(status="lost"), error=Order.DoesNotExist)
    same(lambda: Gadget.objects.get(pk="none"), error=Gadget.DoesNotExist)
    same(lambda: Order.objects.get(pk=12345), error=Order.DoesNotExist, plan="single")
    assert shop.orders


def test_one_found_on_each_of_two_shards_is_too_many(shop: Shop) -> None:
    assert shop.orders

    same(lambda: Ticket.objects.get(title__endswith="1"), error=Ticket.MultipleObjectsReturned)


# Refused, until shards' answers can be merged or their rows gathered.


@cases(
    ordered=lambda _: Order.objects.order_by("weight", "id"),
    ordered_descending=lambda _: Order.objects.order_by("-weight", "id"),
    nulls_last=lambda _: Order.objects.order_by(F("weight").asc(nulls_last=True), "id"),
    nulls_first=lambda _: Order.objects.order_by(F("weight").desc(nulls_first=True), "id"),
    by_parent=lambda _: Order.objects.order_by("customer__name", "id"),
    by_reference=lambda _: Order.objects.order_by("customer__country__name", "id"),
    offset=lambda _: Order.objects.order_by("id")[10:],
    slices=lambda _: Order.objects.order_by("id")[2:20][5:10],
    steps=lambda _: Order.objects.order_by("id")[0:30:7],
    reverse=lambda _: Order.objects.order_by("id").reverse()[:5],
    hidden_sort_column=lambda _: Order.objects.values_list("status", flat=True).order_by("-created")[:11],
    distinct=lambda _: Order.objects.values("status").distinct().order_by("status", "note"),
    iterated=lambda _: Order.objects.order_by("id").iterator(chunk_size=7),
    first=lambda _: Order.objects.first(),
    last=lambda _: Order.objects.last(),
    earliest=lambda _: Order.objects.earliest("created"),
    latest=lambda _: Order.objects.latest("created"),
    dates=lambda _: Order.objects.dates("created", "month"),
    datetimes=lambda _: Order.objects.datetimes("created", "day"),
    count=lambda _: Order.objects.count(),
    count_of_a_slice=lambda _: Order.objects.all()[5:50].count(),
    count_of_distinct=lambda _: Order.objects.values("status").distinct().count(),
    count_of_having=lambda _: Order.objects.annotate(n=Count("lines")).filter(n__gt=1).count(),
    aggregates=lambda _: Order.objects.aggregate(Sum("total"), Min("created"), Max("number"), Count("weight")),
    aggregates_of_nothing=lambda _: Order.objects.filter(number=-1).aggregate(Sum("total"), n=Count("id")),
    average=lambda _: Order.objects.aggregate(Avg("total")),
    deviation=lambda _: Order.objects.aggregate(StdDev("number"), Variance("total", sample=True)),
    distinct_aggregates=lambda _: Order.objects.aggregate(Count("status", distinct=True)),
    computed_aggregates=lambda _: Order.objects.aggregate(n=Sum(F("number") * 2) + Max("id")),
    aggregate_of_a_slice=lambda _: Order.objects.order_by("-total")[:10].aggregate(Sum("total")),
    groups=lambda _: Order.objects.values("status").annotate(n=Count("id"), t=Sum("total")).order_by("-n")[:2],
    having=lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=2),
    groups_by_the_key=lambda _: Order.objects.values("customer_id").annotate(n=Count("id")).filter(n__gt=1),
    window=lambda _: Order.objects.annotate(r=Window(RowNumber(), partition_by="customer_id", order_by="-total")),
    union=lambda _: Order.objects.filter(number=0).union(Order.objects.filter(status="new")).order_by("-id")[1:9],
    intersection=lambda _: Order.objects.filter(number=0).intersection(Order.objects.filter(status="new")),
    difference=lambda _: Order.objects.filter(number=0).difference(Order.objects.filter(status="new")),
    count_of_union=lambda _: Order.objects.filter(number=0).union(Order.objects.filter(status="new")).count(),
    without_shipments=lambda _: Order.objects.filter(shipments__isnull=True),
    with_shipments=lambda _: Order.objects.filter(Exists(Shipment.objects.filter(order=OuterRef("pk")))),
    raw_subquery=lambda _: Order.objects.annotate(
        x=RawSQL("(select count(*) from shop_shipment s where s.order_id = shop_order.id)", [])
    ),
    extra_tables=lambda _: Order.objects.extra(
        tables=["shop_shipment"], where=["shop_shipment.order_id = shop_order.id"]
    ),
    extra_where=lambda _: Order.objects.extra(where=["id in (select order_id from shop_shipment)"]),
    extra_order=lambda _: Order.objects.extra(select={"x": "number + 1"}, order_by=["x"]),
)
def test_refusals_name_the_order_and_its_customer(shop: Shop, case: Case_) -> None:
    refused(lambda: case(shop), "shop.Order", "'customer'")


@cases(
    collated=lambda _: (lambda: Customer.objects.order_by(Collate("name", _binary()), "id"), "'id'"),
    by_name=lambda _: (lambda: Customer.objects.order_by("name", "id")[7:14], "'id'"),
    least_and_greatest=lambda _: (lambda: Customer.objects.aggregate(Min("name"), Max("name")), "'id'"),
    counted_children=lambda _: (
        lambda: Customer.objects.annotate(a=Count("orders", distinct=True), b=Count("orders__lines")),
        "'id'",
    ),
    elsewhere=lambda _: (lambda: Shipment.objects.filter(order__status="paid"), "'region'"),
    default_order=lambda _: (Answer.objects.all, "'ticket'"),
    composite=lambda _: (lambda: Reading.objects.order_by("value"), "'station, year'"),
    sliced_subquery=lambda _: (
        lambda: Order.objects.filter(customer__in=Customer.objects.filter(score__gt=1).order_by("-score", "pk")[:3]),
        "'customer'",
    ),
    composite_primary_key_within=lambda _: (
        lambda: Room.objects.filter(pk__in=Room.objects.filter(name="room 1").values("pk")),
        "'tenant'",
    ),
    nulls_in_a_subquery=lambda _: (
        lambda: Customer.objects.exclude(id__in=Customer.objects.values("referrer_id")),
        "'id'",
    ),
)
def test_refusals_name_the_key_of_each_model(shop: Shop, case: Case_) -> None:
    rows, key = case(shop)

    refused(rows, key)


def _binary() -> str:
    return {"sqlite": "BINARY", "postgresql": "C", "mysql": "utf8mb4_bin"}[connection.vendor]


@cases(
    global_without=lambda _: (Product.objects.filter(orders__isnull=True), "shop.Product"),
    reference_without=lambda _: (Country.objects.filter(customer__isnull=True), "shop.Country"),
    reference_distinct=lambda _: (Country.objects.filter(customer__score__gte=0).distinct(), "shop.Country"),
    reference_counting=lambda _: (
        Label.objects.filter(order__status="paid").annotate(n=Count("order")),
        "shop.Label",
    ),
    reference_ordered=lambda _: (Label.objects.filter(order__status="paid").order_by("name"), "shop.Label"),
)
def test_refusals_of_models_that_are_not_sharded(shop: Shop, case: Case_) -> None:
    """The model of the queryset has no key to miss: the message asks for those of the models that it reads."""
    rows, label = case(shop)

    refused(rows.all, label, "Filter on the shard key of each sharded model")


def test_a_refusal_says_the_plan_that_it_would_need(shop: Shop) -> None:
    refused(lambda: Order.objects.order_by("pk"), "a merge over 4 shards")
    refused(
        lambda: Order.objects.filter(customer_id__in=[shop.customers[3].pk, shop.customers[7].pk]).count(),
        "a merge over 2 shards",
        "several shards",
    )
    refused(lambda: Shipment.objects.filter(order__status="paid"), "rows of 4 shards in one place", "shop.Order")


def test_a_refused_query_asks_no_database(shop: Shop) -> None:
    assert shop.orders
    assert {} == dict(outcome(lambda: Order.objects.order_by("pk")).seen)
    assert {} == dict(outcome(lambda: Order.objects.filter(shipments__isnull=True)).seen)


def test_decimals_and_times_come_back_as_they_are(shop: Shop) -> None:
    """Every column passes Django's converters of its vendor, also where answers are put together."""
    rows = list(Order.objects.values_list("total", "created"))

    assert {Decimal, type(shop.orders[0].created)} == {type(value) for row in rows for value in row}
    assert all(created.tzinfo is not None for _, created in rows)
