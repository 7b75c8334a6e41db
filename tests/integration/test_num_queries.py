"""Are the statements of a block counted on every database?"""

from __future__ import annotations

import pytest
from django.db import transaction

from shardkit.testing import assert_num_queries, compared_with
from tests.shop.models import Country, Customer

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def customer() -> Customer:
    return Customer.objects.create(name="Ada", email="ada")


def test_all_databases_count_together(customer):
    with assert_num_queries(5):
        Customer.objects.count()
        list(Customer.objects.filter(pk=customer.pk))

    with assert_num_queries(0):
        list(Customer.objects.filter(pk__in=[]))


def ask_two(customer: Customer) -> None:
    list(Customer.objects.filter(pk=customer.pk))
    list(Country.objects.all())


def test_each_database_that_is_named_counts_by_itself_and_no_other_may_be_asked(customer):
    home = str(customer.shard)

    with assert_num_queries(**{home: 1, "default": 1}) as sent:
        ask_two(customer)
    with pytest.raises(AssertionError, match=f"1 on {home} and no others expected"), assert_num_queries(**{home: 1}):
        ask_two(customer)

    assert [home, "default"] == list(sent)
    assert "shop_customer" in sent[home][0]


def test_a_failure_shows_every_statement_under_its_database(customer):
    with pytest.raises(AssertionError) as failed, assert_num_queries(3):
        ask_two(customer)

    lines = str(failed.value).splitlines()
    assert lines[0] == "2 statements sent, 3 expected."
    assert [f"  {customer.shard}: 1", "  default: 1"] == [lines[1], lines[3]]
    assert lines[2].startswith("    1. SELECT")


def test_savepoints_do_not_count(customer):
    with assert_num_queries(**{str(customer.shard): 1}), transaction.atomic():
        customer.save(update_fields=["name"])


def test_an_error_of_the_block_is_not_hidden():
    with pytest.raises(ZeroDivisionError), assert_num_queries(1):
        raise ZeroDivisionError


def test_what_is_compared_counts_once(customer):
    with compared_with(), assert_num_queries(**{str(customer.shard): 1}):
        list(Customer.objects.filter(pk=customer.pk))


@pytest.mark.parametrize("databases", [{}, {"shard_7": 1}])
def test_a_number_and_a_database_that_is_there_are_needed(databases):
    with pytest.raises((TypeError, ValueError), match="assert_num_queries"), assert_num_queries(**databases):
        pass
