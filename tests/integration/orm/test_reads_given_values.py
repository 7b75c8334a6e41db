"""Do values prune only where they are what the column holds, and not what the database makes it of?

Lookups that are made by hand, of an expression, have their values as they were given.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.db.models import F
from django.db.models.lookups import Exact, GreaterThanOrEqual, In, Range

from tests.fix_shop import Shop, cases, same
from tests.shop.models import Customer, Gadget, Order, Parcel, Reading

pytestmark = pytest.mark.django_db(databases="__all__")


@cases(
    text=lambda s: Customer.objects.filter(In(F("id"), [str(c.pk) for c in s.customers])),
    text_with_blanks=lambda s: Customer.objects.filter(In(F("id"), [f"{c.pk} " for c in s.customers])),
    decimals=lambda s: Customer.objects.filter(In(F("id"), [Decimal(c.pk) for c in s.customers])),
    floats=lambda s: Customer.objects.filter(In(F("id"), [float(c.pk) for c in s.customers])),
    integers=lambda s: Customer.objects.filter(In(F("id"), [c.pk for c in s.customers[3:9]])),
    a_foreign_key=lambda s: Order.objects.filter(In(F("customer"), [str(c.pk) for c in s.customers])),
    one_of_them=lambda s: Customer.objects.filter(In(F("id"), [str(s.customers[7].pk)])),
    beside_null=lambda s: Customer.objects.filter(In(F("id"), [None, str(s.customers[7].pk)])),
    what_equals=lambda s: Customer.objects.filter(Exact(F("id"), str(s.customers[7].pk))),
    numbers_as_text=lambda _: Gadget.objects.filter(In(F("maker"), ["0", "3"])),
    part_of_a_key=lambda _: Reading.objects.filter(In(F("year"), ["2000", 2001.0]), station="oslo"),
    a_range=lambda _: Parcel.objects.filter(Range(F("zone"), ("50", "250"))),
    a_bound=lambda _: Parcel.objects.filter(GreaterThanOrEqual(F("zone"), Decimal("99.5"))),
)
def test_values_that_are_not_what_the_column_holds_prune_nothing(shop: Shop, case: Any) -> None:
    rows = same(lambda: case(shop))

    assert rows
    assert same(lambda: len(case(shop))) > 0


def test_what_no_column_holds_is_left_to_the_databases(shop: Shop) -> None:
    assert shop.customers

    def found() -> list[Customer]:
        with transaction.atomic():
            return list(Customer.objects.filter(In(F("id"), ["no number"])))

    same(found, error=DataError if connection.vendor == "postgresql" else None)


def test_values_that_the_column_holds_prune(shop: Shop) -> None:
    customer = shop.customer_on(1, 3)

    same(lambda: Order.objects.filter(In(F("customer"), [customer.pk])), plan="single")
