"""Can a data migration, which runs once on each database, change a row more than once?"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest
from django.apps import apps
from django.db import connections, migrations, models, transaction
from django.db.migrations.state import ProjectState

from shardkit.errors import MigrationLeavesDatabase
from shardkit.management.migrating import only
from shardkit.topology.names import Alias
from tests.shop.models import Customer, Invoice, Label, Product

pytestmark = pytest.mark.django_db(databases="__all__")

EVERYWHERE = [Alias(name) for name in ("default", "shard_0", "shard_1", "shard_2", "shard_3", "audit")]


def run_everywhere(code, **hints: str) -> None:
    """Run *code* as a RunPython of the shop's migrations, on one database after the other."""
    state = ProjectState.from_apps(apps)
    operation = migrations.RunPython(code, hints=hints)
    for alias in EVERYWHERE:
        with only(alias):
            editor: Any = SimpleNamespace(connection=connections[alias])
            operation.database_forwards("shop", editor, state, state)


@pytest.fixture
def customers() -> list[Customer]:
    return [Customer.objects.create(name=f"c{number}", email=f"c{number}", score=1) for number in range(12)]


def scores() -> set[int | None]:
    return {customer.score for customer in Customer.objects.all()}


def test_one_that_uses_its_connection_changes_each_row_once(customers):
    def code(models_then, editor):
        rows = models_then.get_model("shop", "Customer").objects.using(editor.connection.alias)
        rows.update(score=models.F("score") + 1)

    run_everywhere(code, model_name="customer")

    assert customers
    assert scores() == {2}


#: Writes that forget which database is being migrated.
FORGETFUL: Final[dict[str, Callable[[Any], object]]] = {
    "update then": lambda then: then.get_model("shop", "Customer").objects.update(score=models.F("score") + 1),
    "create then": lambda then: then.get_model("shop", "Customer").objects.create(name="new", email="new"),
    "update": lambda _: Customer.objects.update(score=models.F("score") + 1),
    "create": lambda _: Customer.objects.create(name="new", email="new"),
    "delete": lambda _: Customer.objects.get(email="c1").delete(),
    "copied then": lambda then: then.get_model("shop", "Label").objects.create(name="new"),
    "copied": lambda _: Label.objects.create(name="new"),
    "placed then": lambda then: then.get_model("shop", "Invoice").objects.create(number=1, amount=1),
    "placed": lambda _: Invoice.objects.create(number=1, amount=1),
}


@pytest.mark.usefixtures("customers")
@pytest.mark.parametrize("write", FORGETFUL.values(), ids=FORGETFUL)
def test_one_that_does_not_is_refused_before_it_changes_anything(write):
    with pytest.raises(MigrationLeavesDatabase, match=r"schema_editor\.connection\.alias"), transaction.atomic():
        run_everywhere(lambda then, _editor: write(then))

    assert scores() == {1}
    assert len(list(Customer.objects.all())) == 12


def test_a_global_table_is_changed_where_it_is_and_once():
    Product.objects.create(name="p", price=1)

    def code(models_then, editor):
        rows = models_then.get_model("shop", "Product").objects.using(editor.connection.alias)
        rows.update(price=models.F("price") + 1)

    run_everywhere(code, model_name="product")

    assert Product.objects.get().price == 2


def test_a_global_table_is_not_changed_from_the_migration_of_a_shard():
    Product.objects.create(name="p", price=1)

    with only(Alias("shard_0")), pytest.raises(MigrationLeavesDatabase):
        Product.objects.update(price=models.F("price") + 1)
