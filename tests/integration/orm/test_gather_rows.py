"""What gathered rows are: instances of their own shard, of this transaction, and of no more than they need."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.models import BigIntegerField, Count, Exists, ExpressionWrapper, F, OuterRef, Q, Subquery, Sum, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import RowNumber
from django.db.transaction import TransactionManagementError

from shardkit.errors import CrossShardQuery, GatherLimitExceeded, ShardKeyImmutable
from shardkit.orm.gathering import keys as gather_keys
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, cases, same
from tests.nasty.models import VENDOR
from tests.oracle import on_plain_database
from tests.shop.models import Customer, Gadget, Label, Order, OrderReport, Product, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")


def gathered(shop: Shop) -> Any:
    """Return an order and its shipment that came with rows of all shards, from different shards."""
    rows = Shipment.objects.select_related("order").order_by("pk")
    return next(row for row in rows if row.shard != row.order.shard and row.order.pk in {o.pk for o in shop.orders})


def test_an_instance_knows_its_shard(shop: Shop) -> None:
    homes = {one.pk: one.shard for one in shop.shipments} | {one.pk: one.shard for one in shop.orders}
    rows = list(Shipment.objects.select_related("order").filter(order__number__gte=0))

    assert rows
    assert [homes[row.pk] for row in rows] == [row.shard for row in rows]
    assert [homes[row.order.pk] for row in rows] == [row.order.shard for row in rows]
    assert {"default"} == {row._state.db for row in rows}


@pytest.mark.parametrize("cte_rows", [0, 1000])
@pytest.mark.usefixtures("shop")
def test_a_row_that_travels_for_a_join_of_its_own_table_does_not_come_first_without_what_it_joins(
    settings: Any, cte_rows: int
) -> None:
    """MariaDB reads temporary tables in the order of their keys, whichever ties come up."""
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": cte_rows}
    first = Customer.objects.create(name="first", email="first@chain")
    chain = [first]
    for number in range(60):
        chain.append(Customer.objects.create(name="next", email=f"{number}@chain", referrer=chain[-1 - number % 3]))
    referrers = {one.referrer_id for one in Customer.objects.all()}

    for order in ((), ("country",), ("score",), ("pk",)):
        for count in (1, 2, 5):
            rows = Customer.objects.order_by(*order).annotate(by=F("referred__name"))[:count]
            assert [] == [row.pk for row in rows if (row.by is None) == (row.pk in referrers)]


def test_an_instance_is_refreshed_saved_and_deleted_on_its_shard(shop: Shop) -> None:
    order = gathered(shop).order
    with queries_by_database() as refreshing:
        order.refresh_from_db()
    order.note = "changed"
    with queries_by_database() as saving:
        order.save()

    assert {order.shard: 1} == dict(refreshing) == dict(saving)
    assert Order.objects.using(order.shard).get(pk=order.pk).note == "changed"
    order.shipments.all().delete()
    order.delete()
    assert not Order.objects.filter(pk=order.pk).exists()


def test_an_instance_cannot_be_given_to_another_shard(shop: Shop) -> None:
    order = gathered(shop).order
    order.customer = next(one for one in shop.customers if one.shard != order.shard)

    with pytest.raises(ShardKeyImmutable):
        order.save()


@pytest.mark.usefixtures("shop")
def test_an_instance_whose_key_was_not_loaded_is_found() -> None:
    rows = Gadget.objects.annotate(r=Window(RowNumber(), order_by="code")).only("code").filter(r=3)

    same(lambda: [(gadget.code, gadget.price, gadget.maker) for gadget in rows.all()])


def test_rows_of_the_open_transaction_are_seen(shop: Shop) -> None:
    order = shop.orders[3]
    with transaction.atomic():
        Shipment.objects.create(region="far", order=order, cost=12345)

        assert list(Order.objects.filter(shipments__cost=12345)) == [order]
        Order.objects.filter(pk=order.pk).update(status="odd")
        assert Shipment.objects.get(order__status="odd", cost=12345).order_id == order.pk


def test_two_gathers_see_what_came_between(shop: Shop) -> None:
    """A statement that the server prepared before would go on reading what it read then."""
    driver: Any = connection.connection
    threshold = getattr(driver, "prepare_threshold", None)
    rows = Shipment.objects.filter(order__status="paid")
    before = rows.count()
    try:
        if hasattr(driver, "prepare_threshold"):
            driver.prepare_threshold = 0
        for number in range(3):
            paid = next(order for order in shop.orders if order.status == "paid")
            Shipment.objects.create(region="far", order=paid, cost=number)
            assert before + number + 1 == rows.count() == len(rows.all())
    finally:
        if hasattr(driver, "prepare_threshold"):
            driver.prepare_threshold = threshold


def failing(shop: Shop) -> Any:
    """Return rows whose statement is gathered, and fails in the database."""
    assert shop.orders
    return Order.objects.filter(shipments__isnull=False).annotate(n=RawSQL("no_such_function(shop_order.id)", ()))


@pytest.mark.parametrize("rows", [1000, 0], ids=["expressions", "tables"])
def test_a_failing_statement_leaves_the_transaction_as_it_was(shop: Shop, settings: Any, rows: int) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": rows}
    with transaction.atomic():
        Label.objects.create(name="kept")
        with pytest.raises(Exception, match="no_such_function"), transaction.atomic():
            list(failing(shop))
        assert Label.objects.filter(name="kept").exists()
        assert Order.objects.filter(shipments__isnull=True).exists()

    assert "shop_order" not in connection.introspection.table_names()
    same(lambda: Order.objects.filter(shipments__isnull=True))


def test_a_failing_statement_breaks_a_transaction_without_savepoint(shop: Shop) -> None:
    with transaction.atomic():
        with pytest.raises(Exception, match="no_such_function"), transaction.atomic(savepoint=False):
            list(failing(shop))
        with pytest.raises(TransactionManagementError):
            list(Order.objects.filter(shipments__isnull=True))
        transaction.set_rollback(True)


@pytest.mark.parametrize("ways", [1000, 0], ids=["expressions", "tables"])
def test_too_many_rows_are_refused_by_name(shop: Shop, settings: Any, ways: int) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 20, "GATHER_CTE_ROWS": ways}

    with pytest.raises(GatherLimitExceeded, match="shop_order"):
        list(Shipment.objects.select_related("order"))
    assert Label.objects.exists()
    assert "shop_order" not in connection.introspection.table_names()
    same(lambda: Shipment.objects.filter(order__customer=shop.customers[3]))


@pytest.mark.usefixtures("shop")
def test_rows_that_are_gathered_cannot_be_locked() -> None:
    rows = Shipment.objects.select_for_update().filter(order__status="new")

    with pytest.raises(CrossShardQuery, match="lock rows that were gathered"), transaction.atomic():
        list(rows)


@pytest.mark.usefixtures("shop")
@cases(
    rows_of_a_subquery=lambda chosen: Order.objects.filter(pk__in=chosen.values("order")),
    rows_of_exists=lambda chosen: Order.objects.filter(Exists(chosen.filter(order=OuterRef("pk")))),
    rows_of_a_value=lambda chosen: Order.objects.annotate(
        x=Subquery(chosen.filter(order=OuterRef("pk")).values("cost")[:1])
    ),
    rows_two_levels_down=lambda chosen: Customer.objects.filter(
        pk__in=Order.objects.filter(pk__in=chosen.values("order")).values("customer")
    ),
    counted=lambda chosen: Order.objects.filter(pk__in=chosen.values("order")).count(),
    written=lambda chosen: Order.objects.filter(pk__in=chosen.values("order")).update(note="x"),
)
def test_rows_that_are_gathered_for_others_cannot_be_locked(case: Any) -> None:
    with pytest.raises(CrossShardQuery, match="lock rows that were gathered"), transaction.atomic():
        list(case(Shipment.objects.select_for_update().filter(cost__gt=1)))


# How few rows and columns travel.


def sent(make: Any, table: str) -> list[tuple[str, str]]:
    """Return what was asked of shards about *table*, by alias, without what asks for keys."""
    with queries_by_database() as seen:
        list(make())
    quoted = connection.ops.quote_name(table)
    return [
        (alias, sql)
        for alias, sql in seen.texts
        if alias != "default" and f"FROM {quoted}" in sql and "LIMIT" not in sql
    ]


def test_only_columns_that_are_needed_travel(shop: Shop) -> None:
    assert shop.orders
    asked = sent(lambda: Shipment.objects.filter(order__status="paid").values("cost"), "shop_order")

    assert len(asked) == len(shop.shards)
    for _, sql in asked:
        assert "status" in sql
        assert not any(column in sql for column in ("note", "weight", "customer_id", "total"))


def test_only_shards_that_can_matter_are_asked(shop: Shop) -> None:
    customer = shop.customer_on(2, 3)

    orders = sent(lambda: Shipment.objects.filter(order__customer=customer), "shop_order")
    shipments = sent(lambda: Shipment.objects.filter(region="north", order__status="new"), "shop_shipment")

    assert [customer.shard] == [alias for alias, _ in orders]
    assert len(shipments) == 1


def test_a_condition_of_the_other_side_holds_rows_back(shop: Shop) -> None:
    customer = shop.customer_on(2, 3)
    keys = [order.pk for order in shop.orders_of(customer)]

    asked = sent(lambda: Shipment.objects.filter(order__customer=customer), "shop_shipment")
    product = shop.products[1]
    orders = sent(lambda: Order.objects.filter(product__name=product.name), "shop_order")

    assert keys
    assert all(" IN (" in sql for _, sql in asked)
    assert all(f"{connection.ops.quote_name('product_id')} IN (" in sql for _, sql in orders)


def test_keys_go_to_the_shards_that_have_them(shop: Shop) -> None:
    """A customer's referrer carries its bucket, so that only its shard is asked for it."""
    customer = next(one for one in shop.customers if one.referrer_id)
    rows = Customer.objects.filter(pk=customer.pk).select_related("referrer")

    same(rows.all)
    referrer = Shipment.objects.filter(pk=shop.shipments[0].pk).select_related("order__customer")
    asked = sent(referrer.all, "shop_customer")

    assert [shop.shipments[0].order.shard] == [alias for alias, _ in asked]


def test_a_table_that_occurs_twice_is_narrowed_by_both(shop: Shop) -> None:
    assert shop.orders
    rows = Order.objects.filter(number=0).union(Order.objects.filter(status="paid", number=2))

    same(rows.all)
    for _, sql in sent(rows.all, "shop_order"):
        assert " OR " in sql


def test_of_the_first_rows_no_others_travel(shop: Shop) -> None:
    newest = sorted(shop.shipments, key=lambda one: one.pk)[-3:]
    rows = Shipment.objects.select_related("order").order_by("-pk")[:3]

    same(rows.all)
    assert [one.pk for one in reversed(newest)] == [one.pk for one in rows]
    for table in ("shop_shipment", "shop_order"):
        assert all(" IN (" in sql for _, sql in sent(rows.all, table))


def test_first_rows_that_drop_out_are_replaced(shop: Shop) -> None:
    """Without a constraint, a foreign key may name a row that is gone, and an inner join then finds nothing."""

    def lists() -> list[Any]:
        rows = Shipment.objects.select_related("order").order_by("-pk")
        newest = [row.pk for row in Shipment.objects.order_by("-pk")[:2]]
        Shipment.objects.filter(pk__in=newest).update(order_id=3)
        some = [[row.pk for row in rows[:3]], [row.pk for row in rows[1:2]], rows.first(), rows[:200].count()]
        oldest = [row.pk for row in Shipment.objects.order_by("pk")[:2]]
        Shipment.objects.exclude(pk__in=oldest).update(order_id=3)
        return [*some, [row.pk for row in rows[:3]], rows.first(), rows[:3].count()]

    assert shop.orders
    same(lists)


def test_many_keys_are_not_sent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_keys, "MAX_KEYS", 2)
    rows = Shipment.objects.filter(order__status="new")

    assert shop.orders
    same(rows.all)
    assert not any(" IN (" in sql for _, sql in sent(rows.all, "shop_shipment"))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_keys_among_which_is_none_are_not_taken_for_all(shop: Shop, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """A database that sends as many as were asked for may have more, also where one of them is NULL."""
    monkeypatch.setattr(gather_keys, "MAX_KEYS", most)

    for first in range(0, len(shop.customers), 4):
        theirs = shop.customers[first : first + 4]
        same(partial(Customer.objects.filter, referred__in=theirs))


def test_nothing_is_held_back_where_it_could_be_missed(shop: Shop) -> None:
    """What an outer join does not find is an answer too."""
    rows = Order.objects.exclude(shipments__cost__gt=2).filter(number__gt=0)

    assert shop.orders
    same(rows.all)
    same(lambda: Product.objects.filter(name="product 4", orders__isnull=True))
    same(lambda: Order.objects.filter(~Exists(Shipment.objects.filter(order=OuterRef("pk"), cost=F("order__number")))))


def left(shop: Shop, number: int) -> None:
    """Delete all shipments but the first *number* ones, in both worlds."""
    gone = [one.pk for one in shop.shipments][number:]
    Shipment.objects.filter(pk__in=gone).delete()
    with on_plain_database():
        Shipment.objects.filter(pk__in=gone).delete()


#: What reads all shipments, and the orders of none but those.
OF_ALL_SHIPMENTS: dict[str, Any] = {
    "related": lambda: Shipment.objects.select_related("order").order_by("pk"),
    "values": lambda: Shipment.objects.order_by("pk").values_list("cost", "order__status"),
    "farther": lambda: Shipment.objects.order_by("pk").values_list("cost", "order__customer__country__name"),
    "weakly_filtered": lambda: Shipment.objects.filter(order__number__gte=0, order__total__gte=0).order_by("pk"),
    "grouped": lambda: Shipment.objects.values("order__status").annotate(n=Count("pk")).order_by("order__status"),
    "outer": lambda: Shipment.objects.filter(Q(order__status="paid") | Q(cost__gt=1)).order_by("pk"),
    "backward": lambda: Order.objects.filter(shipments__isnull=False).order_by("pk"),
    "union": lambda: Shipment.objects.filter(order__status="paid").union(
        Shipment.objects.filter(order__status="new"), all=True
    ),
}


@pytest.mark.parametrize("rows", list(OF_ALL_SHIPMENTS))
def test_a_small_table_without_conditions_holds_rows_back(shop: Shop, rows: str) -> None:
    left(shop, 3)
    make = OF_ALL_SHIPMENTS[rows]
    asked = sent(make, "shop_order")

    assert asked
    assert all(f"{connection.ops.quote_name('id')} IN (" in sql for _, sql in asked)
    same(make)


def test_of_several_small_tables_the_smallest_one_holds_the_others_back(shop: Shop) -> None:
    left(shop, 1)
    make = OF_ALL_SHIPMENTS["farther"]
    asked = {alias for table in ("shop_order", "shop_customer") for alias, _ in sent(make, table)}

    assert {shop.shipments[0].order.shard} == asked
    same(make)


#: What reads orders or customers that no small table's keys name.
OF_OTHER_ROWS: dict[str, Any] = {
    "each_several_times": lambda: (
        Order.objects.order_by("pk").values_list("pk", "shipments__cost").order_by("pk", "shipments__pk")
    ),
    "missing": lambda: Order.objects.filter(shipments__isnull=True),
    "not_exists": lambda: Order.objects.filter(~Exists(Shipment.objects.filter(order=OuterRef("pk")))),
    "counted": lambda: Order.objects.annotate(n=Count("shipments")).order_by("pk"),
    "to_itself": lambda: Customer.objects.select_related("referrer").order_by("pk"),
    "to_itself_backward": lambda: Customer.objects.filter(Exists(Customer.objects.filter(referrer=OuterRef("pk")))),
    "within": lambda: Shipment.objects.filter(cost__in=Order.objects.values("number")).order_by("pk"),
    "missing_or_not": lambda: Order.objects.filter(Q(shipments__isnull=True) | Q(shipments__cost__gte=0)).order_by(
        "pk"
    ),
    "unrestricted_elsewhere": lambda: Shipment.objects.filter(order__in=Order.objects.all()).union(
        Shipment.objects.all()
    ),
}


@pytest.mark.parametrize("rows", list(OF_OTHER_ROWS))
def test_a_small_table_holds_nothing_back_that_matters(shop: Shop, rows: str) -> None:
    left(shop, 3)

    same(OF_OTHER_ROWS[rows])


def test_a_large_table_without_conditions_is_looked_at_briefly(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_keys, "MAX_KEYS", 2)
    make = OF_ALL_SHIPMENTS["related"]
    assert shop.orders
    with queries_by_database() as seen:
        list(make())
    looks = [sql for _, sql in seen.texts if "LIMIT 3" in sql]

    assert len(shop.shards) == len(looks)
    assert not any("DISTINCT" in sql for sql in looks)
    assert not any(" IN (" in sql for _, sql in sent(make, "shop_order"))
    same(make)


@pytest.mark.parametrize("number", [2, (1, 3)], ids=["one", "several"])
def test_a_constant_holds_for_the_columns_that_equal_it(shop: Shop, number: Any) -> None:
    """The rows outside are too many to be asked for keys; what they are compared with says enough."""
    wanted = Q(number=number) if isinstance(number, int) else Q(number__in=number)
    shipped: Any = Shipment.objects.filter(cost=OuterRef("number"), order__status="paid")
    assert shop.orders

    for make in (
        lambda: Order.objects.filter(wanted, ~Exists(shipped)),
        lambda: Order.objects.filter(wanted, Exists(shipped)),
        lambda: Order.objects.filter(wanted).annotate(c=Subquery(shipped.order_by("pk").values("order__note")[:1])),
        lambda: Order.objects.filter(wanted | Q(status="new"), ~Exists(shipped)),
        lambda: Order.objects.exclude(wanted).filter(~Exists(shipped)),
        lambda: Order.objects.filter(Exists(shipped), number__in=range(1001)),
        lambda: Order.objects.filter(Exists(shipped), number=F("product_id")),
        lambda: Order.objects.filter(wanted, ~Exists(Shipment.objects.filter(Q(cost=OuterRef("number")) | Q(cost=1)))),
    ):
        same(make)


def test_a_constant_needs_no_question_for_keys(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_keys, "MAX_KEYS", 1)
    make: Any = lambda: Order.objects.filter(  # noqa: E731 - it is asked twice
        ~Exists(Shipment.objects.filter(cost=OuterRef("number"))), number=2
    )
    assert shop.orders

    asked = sent(make, "shop_shipment")

    assert len(asked) == len(shop.shards)
    assert all(f"{connection.ops.quote_name('cost')} IN (" in sql for _, sql in asked)
    same(make)


def indexed(make: Any) -> list[str]:
    """Return the statements by which `default` makes tables with indexes, or those indexes."""
    with queries_by_database() as seen:
        list(make())
    return [sql for _, sql in seen.texts if "CREATE INDEX" in sql or ", KEY (" in sql]


def test_many_rows_are_looked_up_by_an_index(shop: Shop, settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": 0}
    cheap: Any = Shipment.objects.filter(cost=OuterRef("number"))
    names = [connection.ops.quote_name(name) for name in ("cost", "region", "order_id")]

    assert shop.orders
    (single,) = indexed(lambda: Order.objects.filter(~Exists(cheap)))
    (double,) = indexed(lambda: Order.objects.filter(~Exists(cheap.filter(region=OuterRef("status")))))
    (joined,) = indexed(lambda: Order.objects.filter(shipments__isnull=True))

    assert single.endswith((f"({names[0]})", f"({names[0]}))"))
    assert f"({names[0]}, {names[1]})" in double
    assert f"({names[2]})" in joined


def test_what_is_joined_by_a_key_needs_no_index(shop: Shop, settings: Any) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": 0}
    noted: Any = Order.objects.filter(note=OuterRef("region"))

    assert shop.orders
    assert not indexed(lambda: Shipment.objects.select_related("order__customer"))
    assert not indexed(lambda: Shipment.objects.filter(Exists(Order.objects.filter(pk=OuterRef("order"), number=1))))
    assert not indexed(lambda: Shipment.objects.filter(~Exists(noted)))  # a text of any length
    unmanaged: Any = OrderReport.objects.filter(number=OuterRef("cost"))
    assert not indexed(lambda: Shipment.objects.filter(~Exists(unmanaged)))  # who knows what its columns hold


def test_one_shard_down_is_named(shop: Shop) -> None:
    down = connections[shop.shards[2]]

    def refuse(*_: Any) -> Any:
        raise OperationalError("gone")

    with down.execute_wrapper(refuse), pytest.raises(OperationalError, match="gone"), transaction.atomic():
        list(Shipment.objects.filter(order__status="new"))

    same(lambda: Shipment.objects.filter(order__status="new"))


#: Too much for a product of integers, in an order with a large number only.
TOO_MUCH: Any = ExpressionWrapper(F("number") * 9_000_000_000, BigIntegerField())


@pytest.mark.skipif(VENDOR == "sqlite", reason="its products become floats")
@pytest.mark.parametrize("by", [None, "default"], ids=["at_the_first_statement", "after_others"])
@pytest.mark.parametrize("ways", [1000, 0], ids=["expressions", "tables"])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Order.objects.alias(x=TOO_MUCH).filter(x__gt=5, shipments__cost__gt=0), id="gathered"),
        pytest.param(lambda: Order.objects.values("status").annotate(s=Sum(TOO_MUCH)), id="groups"),
        pytest.param(lambda: Order.objects.annotate(x=TOO_MUCH).order_by("x"), id="rows"),
    ],
)
def test_connections_go_on_after_an_error_of_one_shard(
    shop: Shop, settings: Any, make: Any, ways: int, by: str | None
) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_CTE_ROWS": ways}
    wrong = shop.orders_of(shop.customer_on(2, 3))[0]
    with transaction.atomic():
        Order.objects.filter(pk=wrong.pk).update(number=2**31 - 1)
        if by is not None:
            assert Order.objects.filter(shipments__isnull=True).exists()
        for _ in range(3):
            with pytest.raises(DatabaseError), transaction.atomic():
                list(make())
            assert (
                len(shop.orders)
                == len(Order.objects.all())
                == sum(Order.objects.using(alias).count() for alias in shop.shards)
            )
        transaction.set_rollback(True)
    same(lambda: Shipment.objects.filter(order__status="new"))


@pytest.mark.parametrize("limits", [slice(1), slice(2), slice(1, 3)], ids=str)
def test_first_rows_that_nothing_is_joined_to_make_room_for_rows_of_their_own_shard(shop: Shop, limits: slice) -> None:
    """An order that is gone leaves its shipments behind, since no database can hold a key of another one."""
    ours = [one for one in shop.shipments if one.shard == shop.shipments[0].shard]
    others = [one for one in shop.shipments if one.shard != ours[0].shard]

    def spoil() -> None:
        Shipment.objects.filter(pk__in=[one.pk for one in others]).update(cost=9)
        Shipment.objects.filter(pk__in=[one.pk for one in ours]).update(cost=2)
        Shipment.objects.filter(pk=ours[0].pk).update(cost=1, order_id=4096 * 999)

    spoil()
    with on_plain_database():
        spoil()

    assert len(ours) > 1
    same(lambda: [row.cost for row in Shipment.objects.select_related("order").order_by("cost")[limits]])
