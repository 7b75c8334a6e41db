"""Do the tests of a Django `TestCase` leave nothing to each other, on all databases at once?

Django opens a block on each database for the class and one more for each test, and ends those of the shards before
that of `default`: the shards join inside blocks that are not ours.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from django.test import TestCase, TransactionTestCase

from shardkit.routing import owners
from tests.shop.models import Country, Customer, Gadget, Invoice, Product, Reading, Tagged

NAME = "of a TestCase"


class ShardsJoinInEachTest(TestCase):
    databases = "__all__"

    def test_first(self) -> None:
        self.write_on_every_database()

    def test_second(self) -> None:
        self.write_on_every_database()

    def test_third(self) -> None:
        self.write_on_every_database()

    def write_on_every_database(self) -> None:
        assert not Customer.objects.filter(name=NAME).exists()

        customers = [Customer.objects.create(name=NAME, email=f"{number}@testcase") for number in range(20)]
        with transaction.atomic():
            Country.objects.create(code="TC", name=NAME)
            customers[0].delete()

        assert 19 == len(Customer.objects.filter(name=NAME))


class ShardsHaveJoinedForTheClass(TestCase):
    databases = "__all__"
    customer: Customer

    @classmethod
    def setUpTestData(cls) -> None:
        cls.customer = Customer.objects.create(name=NAME, email="class@testcase")

    def test_first(self) -> None:
        self.change_what_the_class_made()

    def test_second(self) -> None:
        self.change_what_the_class_made()

    def change_what_the_class_made(self) -> None:
        assert [self.customer] == list(Customer.objects.filter(name=NAME))

        Customer.objects.filter(pk=self.customer.pk).update(name="changed")
        Customer.objects.bulk_create(Customer(name=NAME, email=f"{number}@testcase") for number in range(20))

        assert 20 == len(Customer.objects.filter(name=NAME))


class FixturesAreLoadedOnce(TestCase):
    """Django loads them for each of the databases."""

    databases = "__all__"
    fixtures = ("everywhere.json",)

    def test_rows_of_every_kind_are_there_once(self) -> None:
        assert_loaded_once()


class FixturesAreLoadedOnceForTestsThatCommit(TransactionTestCase):
    databases = "__all__"
    fixtures = ("everywhere.json",)

    def test_rows_of_every_kind_are_there_once(self) -> None:
        assert_loaded_once()


def assert_loaded_once() -> None:
    copies = [Country.objects.using(alias).count() for alias in ("default", *owners.all_aliases())]
    assert [1] * len(copies) == copies
    counts = {model: model._base_manager.count() for model in (Product, Invoice, Gadget, Reading, Tagged)}
    assert {Product: 1, Invoice: 1, Gadget: 6, Reading: 3, Tagged: 1} == counts
    assert len({str(gadget.shard) for gadget in Gadget.objects.all()}) > 1


class FixturesNeedDefault(TransactionTestCase):
    databases = {"shard_0"}

    def test_a_class_without_default_is_refused_as_django_does(self) -> None:
        loading: Any = self
        self.enterContext(mock.patch.object(type(self), "fixtures", ["everywhere.json"]))

        with pytest.raises(AssertionError, match="Add 'default' to"):
            loading._fixture_setup()
