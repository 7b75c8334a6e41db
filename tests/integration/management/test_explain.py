"""Does the command say what a query would do, and do nothing?"""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.backends.utils import CursorWrapper

from shardkit.routing import owners
from tests.fix_queries import queries_by_database
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(databases="__all__")

MERGE = "Merge: shard_0, shard_1, shard_2, shard_3\n  because it does not say the shard key of shop.Order (customer)"


def told(expression: str, **options: object) -> str:
    out = StringIO()
    call_command("explain", expression, stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("Order.objects.filter(total__gt=Decimal(3)).order_by('-total')[:20]", f"shop.Order: {MERGE}"),
        ("Order.objects.count()", f"shop.Order: {MERGE}"),
        ("Order.objects.aggregate(Avg('total'))", f"shop.Order: {MERGE}"),
        ("Order.objects.first().customer", f"shop.Order: {MERGE}"),
        ("Order.objects.filter(customer=4097).exists()", "shop.Order: Single: the statement runs on shard_0"),
        ("shop.Order.objects.filter(customer_id=4097)", "shop.Order: Single: the statement runs on shard_0"),
        ("Order.objects.filter(product__name='x')", "shop.Order: Gather: shard_0, shard_1"),
        ("Country.objects.all()", "shop.Country: Local: the statement runs on default"),
        ("User.objects.filter(username='ada')", "auth.User: Local: the statement runs on default"),
        ("OrderReport.objects.order_by(Lower('status'))", "shop.OrderReport: Merge: shard_0"),
        ("Order.objects.filter(number=1).update(note='x')", f"shop.Order: {MERGE}"),
        ("Order.objects.filter(created__gt=timezone.now() - datetime.timedelta(days=1)).delete()", "shop.Order: "),
    ],
)
def test_it_says_where_a_query_runs_and_why_and_runs_nothing(
    expression: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    execute: Any = vars(CursorWrapper)["_execute"]  # behind the wrappers, of which one lets nothing through

    def note(self: Any, sql: str, *how: Any) -> Any:
        ran.append(sql)
        return execute(self, sql, *how)

    monkeypatch.setattr(CursorWrapper, "_execute", note)

    text = told(expression)

    assert text.startswith(words)
    assert not [sql for sql in ran if re.search("shop_|auth_", sql)]


def test_it_writes_nothing() -> None:
    before = Order.objects.count()

    told("Order.objects.create(customer_id=4097, number=1, status='new', total=1, created=timezone.now())")
    told("Order(customer_id=4097, number=1, status='new', total=1, created=timezone.now()).save()")

    assert before == Order.objects.count()


@pytest.mark.parametrize(
    "expression", ["1 + 1", "Order", "Ordr.objects.all()", "Order.objects.all(", "Order.objects.filter(x=1)"]
)
def test_what_is_no_query_is_said_to_be_none(expression: str) -> None:
    with pytest.raises(CommandError, match="This is no query"):
        told(expression)


def test_a_query_that_is_refused_is_told_with_its_reason() -> None:
    assert "Refuse: " in told("Invoice.objects.filter(number__in=Product.objects.values('pk'))")


def test_the_databases_explain_if_asked() -> None:
    owners.owners()  # the shard map is read once in a process
    with queries_by_database() as seen:
        text = told("Order.objects.order_by('-total')[:5]", run=True)

    assert "-- shard_0\n" in text
    assert {"shard_0": 1, "shard_1": 1, "shard_2": 1, "shard_3": 1} == dict(seen)
    assert all("EXPLAIN" in sql for _, sql in seen.texts)


@pytest.mark.parametrize(
    "expression",
    [
        "Shipment.objects.filter(order__status='new')",
        "Order.objects.filter(product__name='product 1')",
        "Order.objects.select_related('product').order_by('total')[:3]",
        "Order.objects.values('status').annotate(n=Count('pk'))",
        "Customer.objects.filter(pk=4097)",
        "Country.objects.all()",
    ],
)
@pytest.mark.usefixtures("shop")
def test_the_databases_explain_whatever_the_plan_is(expression: str) -> None:
    """What else is asked are keys, and, where that is not known by now, what no row would be."""
    with queries_by_database() as seen:
        told(expression, run=True)

    assert any("EXPLAIN" in sql for _, sql in seen.texts)
    assert not [sql for _, sql in seen.texts if not re.search("EXPLAIN|LIMIT|WHERE 0 = 1", sql)]


def test_only_a_queryset_is_explained() -> None:
    with pytest.raises(CommandError, match="Only a queryset"):
        told("Order.objects.count()", run=True)
    with pytest.raises(CommandError, match="different databases"):
        told("Invoice.objects.filter(number__in=Product.objects.values('pk'))", run=True)
