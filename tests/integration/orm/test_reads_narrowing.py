"""Does each shard get only its own values of an IN?"""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def customers() -> list[Customer]:
    return [Customer.objects.create(name=f"c{number}", email=f"c{number}") for number in range(12)]


def sent(alias: str, run) -> str:
    """Return the SQL that *run* sends to *alias*."""
    with CaptureQueriesContext(connections[alias]) as captured:
        run()
    return " ".join(query["sql"] for query in captured.captured_queries)


@pytest.mark.parametrize(
    "run",
    [
        lambda ids: list(Customer.objects.filter(pk__in=ids)),
        lambda ids: list(Order.objects.filter(customer__in=ids, status="new")),
        lambda ids: Customer.objects.filter(pk__in=ids).update(score=1),
        lambda ids: Order.objects.filter(customer__in=ids)._raw_delete("default"),
    ],
    ids=["select", "by foreign key", "update", "delete"],
)
def test_a_shard_is_sent_no_key_of_another(customers, run):
    ids = [customer.pk for customer in customers]

    for alias in ("shard_0", "shard_1", "shard_2", "shard_3"):
        sql = sent(alias, lambda: run(ids))

        for customer in customers:
            assert (str(customer.pk) in sql) == (customer._state.shard_alias == alias)


def test_a_prefetch_sends_each_shard_its_own(customers):
    orders = [
        customer.orders.create(number=1, status="new", total=1, created="2020-01-01T00:00Z") for customer in customers
    ]
    alias = customers[0]._state.shard_alias

    sql = sent(
        alias, lambda: list(Order.objects.filter(pk__in=[order.pk for order in orders]).prefetch_related("customer"))
    )

    strangers = [customer for customer in customers if customer._state.shard_alias != alias]
    assert strangers
    assert not [customer for customer in strangers if f"{customer.pk}" in sql]


def test_a_key_that_is_excluded_is_excluded_everywhere(customers):
    ids = [customer.pk for customer in customers[:6]]

    found = {customer.pk for customer in Customer.objects.exclude(pk__in=ids)}

    assert {customer.pk for customer in customers[6:]} == found
