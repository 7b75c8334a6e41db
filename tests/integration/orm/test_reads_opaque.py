"""Is what shardkit cannot understand kept from pruning, and from being answered by each shard for itself?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import Case, Count, F, Func, IntegerField, OuterRef, Subquery, Sum, TextField, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower
from django.db.models.lookups import Exact, GreaterThanOrEqual, In
from pytest_django import DjangoDbBlocker

from shardkit.errors import CrossShardQuery
from shardkit.models import ShardKeyCharField
from shardkit.routing import owners
from tests.fix_shop import Shop, cases, filled_once, refused, same
from tests.fix_writes import same_write
from tests.oracle import ORACLE
from tests.shop.models import Country, Customer, Order, Parcel, Product, Reading

pytestmark = pytest.mark.django_db(databases="__all__")

NUMBER = IntegerField()
ROW_NUMBER = "ROW_NUMBER() OVER (ORDER BY shop_order.total, shop_order.id)"
SHIPMENTS = "(SELECT COUNT(*) FROM shop_shipment s WHERE s.order_id = %(expressions)s)"
ORDERS = "(SELECT COUNT(*) FROM shop_order o WHERE o.total < shop_order.total)"


class Shipments(Func):
    """A count, as an application may write it."""

    output_field = NUMBER

    def as_sql(self, compiler: Any, _connection: Any, **_options: Any) -> Any:  # type: ignore[override]
        sql, params = compiler.compile(self.source_expressions[0])
        return SHIPMENTS % {"expressions": sql}, params


class Doubled(Func):
    """Nothing but its row, as an application may write it."""

    template = "ABS(%(expressions)s) + ABS(%(expressions)s)"
    output_field = NUMBER

    def as_sql(self, *args: Any, **options: Any) -> Any:
        sql, params = super().as_sql(*args, **options)
        return sql, (*params, *params)


def function(name: str) -> Func:
    return Func(F("number"), function=name, output_field=NUMBER)


def template(text: str, *columns: str) -> Func:
    return Func(*columns, template=text, output_field=NUMBER)


def numbered() -> RawSQL:
    return RawSQL(ROW_NUMBER, ())  # noqa: S611


def counted() -> RawSQL:
    return RawSQL(COUNTED, ())  # noqa: S611


def orders() -> Any:
    return Order.objects.order_by()


READS: dict[str, Callable[[], Any]] = {
    "raw window": lambda: Order.objects.annotate(n=RawSQL("row_number() over (order by id)", ())),
    "raw aggregate": lambda: Order.objects.annotate(n=RawSQL("count(*)", ())).values_list("n"),
    "raw window in an expression": lambda: Order.objects.annotate(
        n=RawSQL("row_number() over (order by id)", (), IntegerField()) + F("number")
    ),
    "extra window": lambda: Order.objects.extra(select={"n": "row_number() over (order by id)"}),
    "extra aggregate": lambda: Order.objects.extra(select={"n": "count(*)"}).values_list("n"),  # type: ignore[misc]
    "template with a window": lambda: Order.objects.annotate(n=template("row_number() over (order by id)")),
    "aggregate by its name": lambda: orders().annotate(s=function("SUM")).values_list("s"),
    "aggregates by their names": lambda: orders().annotate(s=function("MAX") + function("COUNT")).values_list("s"),
    "aggregate by its name over a subquery": lambda: [orders()[:5].aggregate(n=Count("pk") + function("MAX") * 0)["n"]],
    "order by a raw window": lambda: Order.objects.order_by(numbered()).values_list("pk"),
    "order by an alias of a raw window": lambda: Order.objects.alias(r=numbered()).order_by("-r").values_list("pk"),
    "order by a template with a window": lambda: Order.objects.order_by(
        template("ROW_NUMBER() OVER (ORDER BY %(expressions)s)", "total", "pk")
    ).values_list("pk"),
    "template that reads a table": lambda: (
        Order.objects.annotate(n=template(SHIPMENTS, "pk")).order_by("pk").values_list("pk", "n")
    ),
    "template that reads its own table": lambda: (
        Order.objects.annotate(n=template(ORDERS)).order_by("pk").values_list("pk", "n")
    ),
    "condition that reads a table": lambda: (
        Order.objects.filter(Exact(template(SHIPMENTS, "pk"), 2)).order_by("pk").values_list("pk")
    ),
    "expression that reads a table": lambda: (
        Order.objects.annotate(n=Shipments(F("pk"))).order_by("pk").values_list("pk", "n")
    ),
    "expression that reads a table in an order": lambda: Order.objects.order_by(
        Shipments(F("pk")).desc(), "pk"
    ).values_list("pk"),
    "expression that reads a table in an aggregate": lambda: [orders().aggregate(n=Sum(Shipments(F("pk"))))["n"]],
    "expression that reads a table inside of another": lambda: (
        Order.objects.annotate(n=Case(When(number=0, then=Shipments(F("pk"))), default=Value(-1)))
        .order_by("pk")
        .values_list("n")
    ),
    "expression that reads a table inside of a subquery": lambda: (
        Customer.objects.annotate(
            n=Subquery(Order.objects.filter(customer=OuterRef("pk"), number=0).values(n=Shipments(F("pk"))))
        )
        .order_by("pk")
        .values_list("n")
    ),
    "subquery with a template": lambda: Customer.objects.annotate(
        n=Subquery(
            Order.objects.filter(customer=OuterRef("pk"), number=0).values("number"),
            template="(SELECT COUNT(*) FROM shop_shipment) + COALESCE((%(subquery)s), 1)",
            output_field=NUMBER,
        )
    ).values_list("n"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_text_that_may_look_at_all_rows_sees_them(shop: Shop, read: Callable[[], Any]) -> None:
    assert shop.orders
    same(read)


@pytest.mark.parametrize("name", ["raw window", "raw aggregate", "template with a window", "order by a raw window"])
def test_text_about_the_rows_of_one_shard_is_left_to_it(shop: Shop, name: str) -> None:
    customer = shop.customer_on(1, 3)

    same(lambda: READS[name]().filter(customer=customer), plan="single")


@cases(
    function=lambda: Order.objects.annotate(
        x=Func(F("note"), Value("n"), Value("m"), function="REPLACE", output_field=TextField())
    ),
    expression=lambda: Order.objects.annotate(x=Doubled(F("number"))).order_by("x", "pk"),
    raw=lambda: Order.objects.annotate(x=RawSQL("COALESCE(shop_order.number, %s)", (0,))),
    template=lambda: Order.objects.annotate(x=template("CASE WHEN (%(expressions)s > 1) THEN 1 ELSE 0 END", "number")),
    subquery_in_an_expression=lambda: Customer.objects.annotate(
        x=Doubled(Subquery(Order.objects.filter(customer=OuterRef("pk"), number=0).values("number")))
    ),
)
def test_text_about_one_row_is_left_to_each_shard(shop: Shop, case: Any) -> None:
    assert shop.orders
    same(case, plan="merge")


@cases(
    template=lambda: orders().filter(Exact(template(SHIPMENTS, "pk"), 2)).update(note="x"),
    value=lambda: orders().update(number=F("number") + 10 * Shipments(F("pk"))),
    delete=lambda: Reading.objects.filter(Exact(template("(SELECT COUNT(*) FROM shop_order)"), 24)).delete(),
)
def test_a_write_by_text_that_reads_a_table(shop: Shop, case: Any) -> None:
    assert shop.orders
    same_write(case)


# Names of tables.


@cases(
    raw=lambda: RawSQL("(SELECT COUNT(*) FROM Shop_Shipment s WHERE s.order_id = shop_order.id)", ()),
    template=lambda: template(SHIPMENTS.replace("shop_shipment", "SHOP_SHIPMENT"), "pk"),
)
@pytest.mark.skipif(connection.vendor == "mysql", reason="names have a case there")
def test_a_table_that_text_names_in_another_case(shop: Shop, case: Any) -> None:
    assert shop.shipments
    same(lambda: Order.objects.annotate(n=case()).order_by("pk").values_list("pk", "n"))


@pytest.fixture(scope="module")
def view(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Yield the name of a view of orders, as each database has it of its own."""
    yield from filled_once(request, django_db_blocker, _make_views, _drop_views)


def _make_views() -> str:
    _on_each_database("CREATE VIEW shop_new_orders AS SELECT * FROM shop_order WHERE status = 'new'")
    return "shop_new_orders"


def _drop_views() -> None:
    _on_each_database("DROP VIEW shop_new_orders")


def _on_each_database(sql: str) -> None:
    for name in (*owners.all_aliases(), ORACLE):
        with connections[name].cursor() as cursor:
            cursor.execute(sql)


COUNTED = "(SELECT COUNT(*) FROM shop_new_orders n WHERE n.number = shop_order.number)"


@cases(
    selected=lambda _: Order.objects.annotate(n=counted()),
    of_one_shard=lambda s: Order.objects.filter(customer=s.customers[7]).annotate(n=counted()),
    template=lambda _: Order.objects.filter(Exact(template(COUNTED), 2)),
    extra_condition=lambda _: Order.objects.extra(where=["id IN (SELECT o.id FROM shop_country c, shop_new_orders o)"]),
    extra_table=lambda _: Order.objects.extra(tables=["shop_new_orders"]).count(),
    update=lambda _: Order.objects.filter(Exact(template(COUNTED), 2)).update(note="x"),
)
def test_what_may_be_a_view_of_one_shards_rows_is_refused(shop: Shop, view: str, case: Any) -> None:
    error = refused(lambda: case(shop), view)

    assert "Declare it by an unmanaged model" in str(error)


def test_what_a_schema_qualifies_is_refused(shop: Shop) -> None:
    assert shop.orders
    with pytest.raises(CrossShardQuery, match=r"main\.shop_shipment"):
        list(Order.objects.annotate(n=RawSQL("(SELECT COUNT(*) FROM main.shop_shipment)", ())))


def test_a_view_is_read_on_the_database_that_is_named(shop: Shop, view: str) -> None:
    alias = shop.shards[1]
    rows = list(Order.objects.using(alias).annotate(n=RawSQL(f"(SELECT COUNT(*) FROM {view})", ())))  # noqa: S608, S611

    assert {row.n for row in rows} == {sum(order.shard == alias and order.status == "new" for order in shop.orders)}


@cases(
    functions=lambda: Order.objects.annotate(
        n=RawSQL("(WITH one AS (SELECT 1 AS n UNION SELECT 2) SELECT COUNT(*) FROM one, shop_country)", ())
    ),
    global_rows=lambda: Product.objects.annotate(n=RawSQL("(SELECT COUNT(*) FROM django_migrations) * 0", ())),
    copied_rows=lambda: Country.objects.annotate(n=RawSQL("(SELECT COUNT(*) FROM django_migrations) * 0", ())),
    part_of_a_date=lambda: (
        Order.objects.annotate(
            n=RawSQL("(SELECT EXTRACT(YEAR FROM shop_order.created) FROM shop_country WHERE code = 'FR')", ())
        )
        if connection.vendor != "sqlite"
        else Order.objects.order_by(Lower("status"), "pk")
    ),
)
def test_what_is_no_view_of_sharded_rows_is_read(shop: Shop, case: Any) -> None:
    assert shop.countries
    same(case)


class Folded(Exact):
    """Equality without case, as an application may define it."""

    lookup_name = "folded"

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> Any:
        sql, parameters = super().process_lhs(compiler, connection, lhs)
        return f"LOWER({sql})", parameters

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        del connection
        return f"= LOWER({rhs})"


class AmongOthers(In):
    """It accepts more than what it lists."""

    lookup_name = "among"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        sql, parameters = super().as_sql(compiler, connection)
        return f"({sql} OR 1 = 1)", parameters


class AboveTheTenth(GreaterThanOrEqual):
    """A bound that is not where it seems to be."""

    lookup_name = "tenth"

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        del connection
        return f">= {rhs} / 10"


@pytest.fixture(autouse=True)
def _lookups() -> Iterator[None]:
    added: list[tuple[Any, Any]] = [
        (ShardKeyCharField, Folded),
        (IntegerField, AmongOthers),
        (IntegerField, AboveTheTenth),
    ]
    for field, lookup in added:
        field.register_lookup(lookup)
    yield
    for field, lookup in added:
        field._unregister_lookup(lookup)


def test_a_lookup_that_extends_equality_does_not_prune(shop: Shop) -> None:
    del shop

    assert len(same(lambda: list(Reading.objects.filter(station__folded="OSLO", year=2000)), ordered=False)[1]) == 2
    same(lambda: Reading.objects.filter(station__in=["rome"], year__among=[2000]))
    same(lambda: Parcel.objects.filter(zone__among=[25, 50]))


def test_a_lookup_that_extends_a_comparison_does_not_prune(shop: Shop) -> None:
    del shop

    same(lambda: Parcel.objects.filter(zone__tenth=300))
