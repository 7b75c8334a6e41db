"""Does a plain, unmanaged model over a table that is elsewhere write its rows where they are?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models
from django.db.models import F
from django.db.models.functions import Upper
from django.test.utils import isolate_apps

from shardkit.errors import CrossShardQuery
from shardkit.routing.registry import Kind, placement_of_rows
from tests.fix_shop import Shop, cases
from tests.fix_writes import refused_write, same_write
from tests.shop.models import Country, OrderReport, Shipment

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("shop")]


def _saved(shop: Shop) -> None:
    report = OrderReport.objects.get(pk=shop.orders[5].pk)
    report.status = "seen"
    report.save()


def _bulk_updated() -> int:
    reports = list(OrderReport.objects.order_by("pk"))
    for report in reports:
        report.number += 100
    return OrderReport.objects.bulk_update(reports, ["number"])


@cases(
    update=lambda _: OrderReport.objects.filter(status="new").update(number=F("number") + 100),
    update_all=lambda _: OrderReport.objects.update(status="x"),
    update_of_one=lambda s: OrderReport.objects.filter(pk=s.orders[5].pk).update(status="x"),
    update_by_rows_elsewhere=lambda _: OrderReport.objects.filter(
        pk__in=Shipment.objects.filter(cost__gt=3).values("order")
    ).update(status="x"),
    save=_saved,
    bulk_update=lambda _: _bulk_updated(),
    delete=lambda s: OrderReport.objects.filter(pk=s.orders[0].pk).delete()[0],
    delete_of_an_instance=lambda s: OrderReport.objects.get(pk=s.orders[0].pk).delete()[0],
)
def test_its_rows_are_written_where_they_are(shop: Shop, case: Any) -> None:
    same_write(lambda: case(shop))


@cases(
    create=lambda: OrderReport.objects.create(number=1, status="new"),
    save=lambda: OrderReport(pk=3, number=1, status="new").save(),
    bulk_create=lambda: OrderReport.objects.bulk_create([OrderReport(number=1, status="new")]),
)
def test_a_new_row_has_no_place(case: Any) -> None:
    error = refused_write(case, CrossShardQuery)

    assert "shop.OrderReport: insert" in str(error)
    assert "Create a shop.Order" in str(error)


@pytest.fixture
def named() -> Iterator[Any]:
    """Yield a model over the table of a copied one."""
    with isolate_apps("tests.shop"):

        class Named(models.Model):
            code = models.CharField(max_length=2, primary_key=True)
            name = models.CharField(max_length=50)

            class Meta:
                app_label = "shop"
                managed = False
                db_table = "shop_country"

        yield models.QuerySet(Named)


def test_where_its_rows_are_is_what_the_model_of_its_table_says(named: Any) -> None:
    assert placement_of_rows(named.model).kind is Kind.REFERENCE
    assert placement_of_rows(OrderReport).kind is Kind.SHARDED


def test_all_copies_of_its_rows_are_written(named: Any) -> None:
    same_write(lambda: named.filter(code="FR").update(name=Upper("name")))
    same_write(lambda: named.filter(name__startswith="G").update(name="x"))
    same_write(lambda: named.filter(pk__in=Country.objects.filter(code="XX").values("pk")).delete()[0])
