"""What no key narrows: the shards' answers are put together, and nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, models
from django.db.models import (
    Avg,
    BooleanField,
    Case,
    Count,
    Exists,
    ExpressionWrapper,
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
    When,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Collate, Lower, Random, RowNumber, TruncMonth

from tests.fix_shop import Shop, cases, same
from tests.shop.models import (
    Answer,
    Booth,
    Country,
    Customer,
    Document,
    Gadget,
    Label,
    Line,
    Order,
    Parcel,
    Product,
    Reading,
    Regular,
    Room,
    Shipment,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Case_ = Callable[..., Any]


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


# In order: each shard is asked once, and no other database.


@cases(
    ordered=lambda _: Order.objects.order_by("weight", "id"),
    ordered_descending=lambda _: Order.objects.order_by("-weight", "id"),
    nulls_last=lambda _: Order.objects.order_by(F("weight").asc(nulls_last=True), "id"),
    nulls_first=lambda _: Order.objects.order_by(F("weight").desc(nulls_first=True), "id"),
    mixed_directions=lambda _: Order.objects.order_by("number", "-weight", "product", "-id"),
    offset=lambda _: Order.objects.order_by("id")[10:],
    slices=lambda _: Order.objects.order_by("id")[2:20][5:10],
    nothing_of_a_slice=lambda _: Order.objects.order_by("id")[5:5],
    beyond_the_end=lambda _: Order.objects.order_by("id")[1000:1010],
    steps=lambda _: Order.objects.order_by("id")[0:30:7],
    one_row=lambda _: Order.objects.order_by("-weight", "id")[7],
    reverse=lambda _: Order.objects.order_by("id").reverse()[:5],
    hidden_sort_column=lambda _: Order.objects.values_list("status", flat=True).order_by("-created")[:11],
    hidden_sort_columns_of_values=lambda _: Order.objects.values("status").order_by("-total", "customer__score", "id"),
    selected_sort_column=lambda _: Order.objects.values_list("weight", "id").order_by("-weight", "-id"),
    named=lambda _: Order.objects.values_list("id", "status", named=True).order_by("-id"),
    only=lambda _: Order.objects.only("status").order_by("created"),
    defer=lambda _: Order.objects.defer("status", "created").order_by("created"),
    iterated=lambda _: Order.objects.order_by("id").iterator(chunk_size=7),
    iterated_values=lambda _: Order.objects.values("id").order_by("-weight", "id").iterator(chunk_size=3),
    first=lambda _: Order.objects.first(),
    last=lambda _: Order.objects.last(),
    earliest=lambda _: Order.objects.earliest("created"),
    latest=lambda _: Order.objects.latest("created"),
    latest_by_two=lambda _: Order.objects.latest("-number", "created"),
    extra_order=lambda _: Order.objects.extra(select={"x": "number + 1"}, order_by=["x", "-id"]),
    extra_order_by_a_column=lambda _: Order.objects.extra(order_by=["-shop_order.number", "id"]),
    raw_order=lambda _: Order.objects.order_by(RawSQL("number * %s", [-1]), "id"),
    annotation=lambda _: Order.objects.annotate(twice=F("number") * 2).order_by("-twice", "id"),
    hidden_annotation=lambda _: Order.objects.alias(twice=F("number") * 2).order_by("-twice", "id"),
    same_expression_with_other_values=lambda _: Order.objects.order_by(F("number") % 2, F("number") % 3, "id"),
    conditional=lambda _: Order.objects.order_by(Case(When(status="new", then=0), default=F("number") + 1), "id"),
    boolean=lambda _: Order.objects.order_by(ExpressionWrapper(Q(number__gt=1), BooleanField()), "-id"),
    constant=lambda _: Order.objects.order_by(Value(7), "id"),
    subquery=lambda _: Customer.objects.alias(
        n=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-number").values("number")[:1])
    ).order_by("-n", "id"),
    existence=lambda _: Customer.objects.annotate(n=Exists(Order.objects.filter(customer=OuterRef("pk")))).order_by(
        "n", "-id"
    ),
    foreign_key=lambda _: Order.objects.order_by("-customer_id", "number"),
    composite_primary_key=lambda _: Room.objects.order_by("pk"),
    composite_primary_key_among_values=lambda _: Room.objects.values_list("name", "pk").order_by("-number", "tenant"),
    parent=lambda _: Order.objects.order_by("customer__score", "-id"),
    select_related=lambda _: Order.objects.select_related("customer__country").order_by("-customer__score", "id"),
    select_related_backwards=lambda _: Customer.objects.select_related("profile").order_by("-id"),
    date_part=lambda _: Order.objects.order_by(TruncMonth("created"), "-id"),
    whole_groups=lambda _: Order.objects.values("customer_id").annotate(n=Count("id")).order_by("-n", "customer_id"),
    first_whole_groups=lambda _: (
        Order.objects.values("customer_id").annotate(n=Count("id")).filter(n__gt=1).order_by("-n", "customer_id")[:5]
    ),
    counted_children=lambda _: Customer.objects.annotate(
        a=Count("orders", distinct=True), b=Count("orders__lines")
    ).order_by("-b", "a", "id"),
    groups_by_a_hidden_aggregate=lambda _: (
        Customer.objects.alias(n=Max("orders__number")).order_by(F("n").desc(nulls_last=True), "id").values("email")
    ),
    window=lambda _: Order.objects.annotate(r=Window(RowNumber(), partition_by="customer_id", order_by="-total")),
    column_twice_around_a_filtered_window=lambda _: (
        Order.objects.annotate(r=Window(RowNumber(), partition_by="customer_id", order_by="id"))
        .filter(r__lt=3)
        .order_by("-r", "id")
        .values_list("product", "product__id")
    ),
    ordered_by_a_window=lambda _: Order.objects.annotate(
        r=Window(RowNumber(), partition_by="customer_id", order_by="-total")
    ).order_by("-r", "id"),
    first_of_each=lambda _: (
        Order.objects.annotate(r=Window(RowNumber(), partition_by="customer_id", order_by=["-total", "id"]))
        .filter(r=1)
        .order_by("-total", "id")
    ),
    hidden_window=lambda _: (
        Order.objects.alias(r=Window(RowNumber(), partition_by="customer_id", order_by=["-total", "id"]))
        .filter(r__lte=2)
        .order_by("-weight", "id")
        .values("id")[3:20]
    ),
    distinct_rows=lambda _: Customer.objects.filter(orders__number__gte=0).distinct().order_by("-score", "id"),
    distinct_rows_by_another_column=lambda _: (
        Order.objects.values("customer_id", "status").distinct().order_by("-customer_id", "total")
    ),
    for_update=lambda _: Order.objects.select_for_update().order_by("-id"),
    combined=lambda _: (Order.objects.filter(number=0) | Order.objects.filter(status="new")).order_by("-id"),
)
def test_ordered_rows_of_all_shards(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop), plan="merge")


@cases(
    by_name=lambda _: Customer.objects.order_by("name", "id")[7:14],
    by_name_descending=lambda _: Customer.objects.order_by("-name", "-id"),
    by_parent=lambda _: Order.objects.order_by("customer__name", "id"),
    by_reference=lambda _: Order.objects.order_by("customer__country__name", "id"),
    by_note=lambda _: Order.objects.order_by(F("note").asc(nulls_last=True), "-id")[3:30],
    collated=lambda _: Customer.objects.order_by(Collate("name", _binary()), "id"),
    function=lambda _: Customer.objects.order_by(Lower("name").desc(), "id"),
    function_selected=lambda _: Customer.objects.annotate(low=Lower("name")).values("low", "id").order_by("low", "-id"),
    names_of_groups=lambda _: Customer.objects.annotate(n=Count("orders")).order_by("name", "-n", "id"),
    windowed=lambda _: (
        Customer.objects.annotate(r=Window(RowNumber(), partition_by="pk")).filter(r=1).order_by("name", "-pk")
    ),
    hidden_windowed=lambda _: (
        Customer.objects.alias(r=Window(RowNumber(), partition_by="pk"))
        .filter(r=1)
        .order_by(Lower("name"), "-pk")
        .values("score", "email")
    ),
    default_order=lambda _: Answer.objects.all(),
    default_order_reversed=lambda _: Answer.objects.reverse(),
    default_order_of_a_proxy=lambda _: Regular.objects.all()[2:9],
    distinct=lambda _: Customer.objects.values("name", "pk").distinct().order_by("name", "pk"),
    iterated=lambda _: Customer.objects.order_by("name", "id").iterator(chunk_size=2),
    raw=lambda _: Customer.objects.order_by(RawSQL("name", []), "id"),
    extra=lambda _: Customer.objects.extra(order_by=["-shop_customer.name", "id"]),
    composite=lambda _: Reading.objects.order_by("value", "station", "year"),
    uuids=lambda _: Document.objects.order_by("-pk"),
    key_that_is_text=lambda _: Gadget.objects.order_by("-pk"),
)
def test_what_the_database_may_have_to_compare(shop: Shop, case: Case_) -> None:
    same(lambda: list(case(shop)))


def test_a_random_order_takes_rows_of_every_shard(shop: Shop) -> None:
    picked = {order.shard for _ in range(5) for order in Order.objects.order_by("?")[:12]}

    assert set(shop.shards) == {f"{shard}" for shard in picked}
    assert len(shop.orders) == len({order.pk for order in Order.objects.order_by("?")})
    assert 5 == len(set(Order.objects.annotate(r=Random()).order_by("-r").values_list("pk", flat=True)[:5]))


def test_instances_say_their_shard_in_any_order(shop: Shop) -> None:
    expected = {order.pk: order.shard for order in shop.orders}

    for found in (
        Order.objects.order_by("weight", "id"),
        Order.objects.order_by("number", "-id").iterator(chunk_size=3),
        Order.objects.order_by("-id")[5:25],
    ):
        assert all(expected[order.pk] == order.shard for order in found)
    related = Order.objects.select_related("customer").order_by("number", "id")
    assert all(order.shard == order.customer.shard for order in related)


# What other databases have to finish.


@cases(
    distinct=lambda _: Order.objects.values("status").distinct().order_by("status", "note"),
    dates=lambda _: Order.objects.dates("created", "month"),
    datetimes=lambda _: Order.objects.datetimes("created", "day"),
    count=lambda _: Order.objects.count(),
    count_of_a_slice=lambda _: Order.objects.all()[5:50].count(),
    count_of_distinct=lambda _: Order.objects.values("status").distinct().count(),
    count_of_having=lambda _: Order.objects.annotate(n=Count("lines")).filter(n__gt=1).count(),
    aggregates=lambda _: Order.objects.aggregate(Sum("total"), Min("created"), Max("number"), Count("weight")),
    aggregates_of_nothing=lambda _: Order.objects.filter(number=-1).aggregate(Sum("total"), n=Count("id")),
    average=lambda _: Order.objects.aggregate(Avg("total")),
    deviation=lambda _: Order.objects.aggregate(StdDev("number"), Variance("number", sample=True)),
    distinct_aggregates=lambda _: Order.objects.aggregate(Count("status", distinct=True)),
    computed_aggregates=lambda _: Order.objects.aggregate(n=Sum(F("number") * 2) + Max("id")),
    aggregate_of_a_slice=lambda _: Order.objects.order_by("-total")[:10].aggregate(Sum("total")),
    least_and_greatest=lambda _: Customer.objects.aggregate(Min("name"), Max("name")),
    groups=lambda _: Order.objects.values("status").annotate(n=Count("id"), t=Sum("total")).order_by("-n", "-t")[:2],
    having=lambda _: Order.objects.values("status").annotate(n=Count("id")).filter(n__gt=2),
    union=lambda _: Order.objects.filter(number=0).union(Order.objects.filter(status="new")).order_by("-id")[1:9],
    intersection=lambda _: Order.objects.filter(number=0).intersection(Order.objects.filter(status="new")),
    difference=lambda _: Order.objects.filter(number=0).difference(Order.objects.filter(status="new")),
    count_of_union=lambda _: Order.objects.filter(number=0).union(Order.objects.filter(status="new")).count(),
    without_shipments=lambda _: Order.objects.filter(shipments__isnull=True),
    with_shipments=lambda _: Order.objects.filter(Exists(Shipment.objects.filter(order=OuterRef("pk")))),
    by_what_is_elsewhere=lambda _: Shipment.objects.filter(order__status="paid"),
    raw_subquery=lambda _: Order.objects.annotate(
        x=RawSQL("(select count(*) from shop_shipment s where s.order_id = shop_order.id)", [])
    ),
    extra_tables=lambda _: Order.objects.extra(
        tables=["shop_shipment"], where=["shop_shipment.order_id = shop_order.id"]
    ),
    extra_where=lambda _: Order.objects.extra(where=["id in (select order_id from shop_shipment)"]),
    subquery_to_order_by=lambda _: Customer.objects.order_by(
        Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-number").values("number")[:1]).desc(), "id"
    ),
    existence_to_order_by=lambda _: Customer.objects.order_by(
        Exists(Order.objects.filter(customer=OuterRef("pk"))), "-id"
    ),
    composite_primary_key_within=lambda _: Room.objects.filter(pk__in=Room.objects.filter(name="room 1").values("pk")),
    nulls_in_a_subquery=lambda _: Customer.objects.exclude(id__in=Customer.objects.values("referrer_id")),
    global_without=lambda _: Product.objects.filter(orders__isnull=True),
    reference_without=lambda _: Country.objects.filter(customer__isnull=True),
    reference_distinct=lambda _: Country.objects.filter(customer__score__gte=0).distinct(),
    reference_counting=lambda _: Label.objects.filter(order__status="paid").annotate(n=Count("order")),
    reference_ordered=lambda _: Label.objects.filter(order__status="paid").order_by("name"),
)
def test_what_one_database_finishes(shop: Shop, case: Case_) -> None:
    same(lambda: case(shop))


def _binary() -> str:
    return {"sqlite": "BINARY", "postgresql": "C", "mysql": "utf8mb4_bin"}[connection.vendor]


def test_decimals_and_times_come_back_as_they_are(shop: Shop) -> None:
    """Every column passes Django's converters of its vendor, also where answers are put together."""
    rows = list(Order.objects.values_list("total", "created"))

    assert {Decimal, type(shop.orders[0].created)} == {type(value) for row in rows for value in row}
    assert all(created.tzinfo is not None for _, created in rows)
