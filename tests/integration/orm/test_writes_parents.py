"""Does an update write the tables of multi-table parents as one database does, whatever tells the values?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models import F, Subquery

from tests.fix_shop import ORACLE, Shop
from tests.fix_writes import same_write
from tests.shop.models import Order, Product, RushOrder, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

MOST = Shipment.objects.order_by("-cost", "pk").values("cost")[:1]
WRITES: dict[str, Callable[[], Any]] = {
    "both tables": lambda: RushOrder.objects.filter(shipments__cost__gte=7).update(hours=5, note="x"),
    "its own": lambda: RushOrder.objects.filter(shipments__cost__gte=7).update(hours=F("hours") + 1),
    "the parent's": lambda: RushOrder.objects.filter(shipments__cost__gte=7).update(note="y"),
    "by an expression": lambda: RushOrder.objects.filter(shipments__cost__gte=7).update(total=F("total") + 1),
    "its own from another key": lambda: RushOrder.objects.update(hours=Subquery(MOST)),
    "the parent's from another key": lambda: RushOrder.objects.update(weight=Subquery(MOST)),
    "both from another key": lambda: RushOrder.objects.filter(hours__gt=1).update(
        hours=Subquery(MOST), weight=Subquery(MOST)
    ),
    "the parent's from a global table": lambda: RushOrder.objects.update(
        number=60, note=Subquery(Product.objects.order_by("pk").values("name")[:1])
    ),
    "a deletion": lambda: RushOrder.objects.filter(shipments__cost__gte=7).delete(),
}


@pytest.fixture
def rushes(shop: Shop) -> None:
    made: Any = [
        RushOrder.objects.create(
            customer=customer, number=50, status="rush", total=n, hours=n, created=shop.orders[0].created
        )
        for n, customer in enumerate(shop.customers[::2])
    ]
    sent = [
        Shipment.objects.create(region="north", order_id=made[n - 1].pk, cost=7 + n)
        for n in range(len(made))
        for _ in range(n % 3)
    ]
    tables: list[tuple[Any, Any]] = [(Order, made), (Shipment, sent)]
    for model, rows in tables:
        models.QuerySet(model, using=ORACLE).bulk_create(
            model(**{field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields})
            for row in rows
        )
    for row in made:
        copy = RushOrder(**{field.attname: getattr(row, field.attname) for field in RushOrder._meta.concrete_fields})
        models.Model.save_base(copy, using=ORACLE, raw=True)


@pytest.mark.usefixtures("rushes")
@pytest.mark.parametrize("name", WRITES)
def test_it_equals_one_database(name: str) -> None:
    assert same_write(WRITES[name])
