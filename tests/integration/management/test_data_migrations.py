"""Can a data migration, which runs once on each database, change a row more than once?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final

import pytest
from django.apps import apps
from django.core.management.base import CommandError
from django.db import connections, migrations, models, transaction
from django.db.migrations.state import ProjectState
from django.db.models.functions import Concat

from shardkit.errors import CopiesWouldDiffer, MigrationLeavesDatabase
from shardkit.management.migrating import only
from shardkit.management.reference_writes import settle
from shardkit.topology.names import Alias
from tests.fix_writes import content_of_shards
from tests.shop.models import Country, Customer, Fare, Invoice, Label, Notice, Product

pytestmark = pytest.mark.django_db(databases="__all__")

EVERYWHERE = [Alias(name) for name in ("default", "shard_0", "shard_1", "shard_2", "shard_3", "audit")]


def run_everywhere(code, **hints: str) -> None:
    """Run *code* as a RunPython of the shop's migrations, on one database after the other."""
    for alias in EVERYWHERE:
        run_on(alias, code, **hints)


def run_on(alias: Alias, code, **hints: str) -> None:
    state = ProjectState.from_apps(apps)
    with only(alias) as running:
        editor: Any = SimpleNamespace(connection=connections[alias])
        migrations.RunPython(code, hints=hints).database_forwards("shop", editor, state, state)
        settle(running)


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


#: Ways to write the copies of a reference model, by the model as a migration knows it and the database it runs on.
WRITES: Final[dict[str, tuple[Callable[[Any, str], object], list[str]]]] = {
    "create": (lambda model, alias: model.objects.using(alias).create(name="c"), ["a", "b", "c"]),
    "create, unnamed": (lambda model, _: model.objects.create(name="c"), ["a", "b", "c"]),
    "save": (lambda model, alias: model(name="c").save(using=alias), ["a", "b", "c"]),
    "save, unnamed": (lambda model, _: model(name="c").save(), ["a", "b", "c"]),
    "bulk_create": (
        lambda model, alias: model.objects.using(alias).bulk_create(model(name=name) for name in "cde"),
        ["a", "b", "c", "d", "e"],
    ),
    "bulk_create, unnamed": (
        lambda model, _: model.objects.bulk_create([model(name="c"), model(pk=900, name="d")]),
        ["a", "b", "c", "d"],
    ),
    "get_or_create": (
        lambda model, alias: [model.objects.using(alias).get_or_create(name=name) for name in "bc"],
        ["a", "b", "c"],
    ),
    "update_or_create": (
        lambda model, alias: [
            model.objects.using(alias).update_or_create(name=name, defaults={"name": name * 2}) for name in "bc"
        ],
        ["a", "bb", "cc"],
    ),
    "update": (lambda model, alias: model.objects.using(alias).filter(name="a").update(name="z"), ["b", "z"]),
    "update, unnamed": (lambda model, _: model.objects.update(name=Concat("name", models.Value("!"))), ["a!", "b!"]),
    "rows that were read": (
        lambda model, alias: rename(model.objects.using(alias).order_by("pk")),
        ["a+", "b+"],
    ),
    "rows that were read, unnamed": (
        lambda model, _: rename(model.objects.order_by("pk")),
        ["a+", "b+"],
    ),
    "bulk_update": (
        lambda model, alias: model.objects.using(alias).bulk_update(
            [model(pk=row.pk, name=row.name * 2) for row in model.objects.using(alias)], ["name"]
        ),
        ["aa", "bb"],
    ),
    "rows in the place of others": (
        lambda model, alias: [
            [model.objects.using(alias).create(name=name) for name in "cd"],
            model.objects.using(alias).filter(name__in="ac")._raw_delete(alias),
            model.objects.using(alias).create(name="e"),
        ],
        ["b", "d", "e"],
    ),
    "SQL": (lambda _, alias: execute(alias, "UPDATE shop_label SET name = 'z'"), ["z", "z"]),
}


def execute(alias: str, sql: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)


def rename(rows: Iterable[Any]) -> None:
    for row in rows:
        row.name += "+"
        row.save()


@pytest.mark.parametrize("is_todays", [False, True], ids=["then", "today"])
@pytest.mark.parametrize("name", WRITES)
def test_reference_rows_are_written_once_to_every_copy(name, is_todays):
    """Whichever way it is written, and by the model of the migration or, as it should not be, by that of today."""
    write, expected = WRITES[name]
    Label.objects.create(name="gone").delete()  # the numbers of the databases are not the same
    Label.objects.bulk_create([Label(name="a"), Label(name="b")])

    def code(then, editor):
        write(Label if is_todays else then.get_model("shop", "Label"), editor.connection.alias)

    run_everywhere(code, model_name="label")

    content_of_shards()
    assert expected == sorted(Label.objects.values_list("name", flat=True))
    assert Label.objects.create(name="later").pk


def test_what_the_databases_make_up_is_copied_from_default():
    def code(then, editor):
        for row in (then.get_model("shop", "Notice")(text="made now"), then.get_model("shop", "Fare")(name="full")):
            row.save(using=editor.connection.alias)

    run_everywhere(code, model_name="notice")

    content_of_shards()
    assert 1 == len(Notice.everything.all())
    assert [14] == [fare.twice for fare in Fare.objects.all()]


def test_rows_of_the_shards_refer_to_their_own_copy():
    customer = Customer.objects.create(name="c", email="c")

    def countries(then, _editor):
        then.get_model("shop", "Country").objects.create(code="NL", name="Netherlands")

    def customers(then, editor):
        rows = then.get_model("shop", "Customer").objects.using(editor.connection.alias)
        for row in rows:
            row.country = then.get_model("shop", "Country").objects.get(name="Netherlands")
            row.save(using=editor.connection.alias)

    run_everywhere(countries, model_name="country")
    run_everywhere(customers, model_name="customer")

    content_of_shards()
    assert Country.objects.get() == Customer.objects.get(pk=customer.pk).country


def create_label(then, _editor):
    then.get_model("shop", "Label").objects.create(name="new")


def test_a_migration_of_sharded_rows_writes_no_reference_rows_which_default_would_lack():
    with pytest.raises(CopiesWouldDiffer, match=r"hints=\{'model_name': 'label'\}"), transaction.atomic("shard_0"):
        run_on(Alias("shard_0"), create_label, model_name="customer")

    assert not Label.objects.using("shard_0").exists()


def test_a_migration_of_global_rows_writes_no_reference_rows_which_shards_would_lack():
    with pytest.raises(CopiesWouldDiffer, match="does not run on 'shard_0'"), transaction.atomic():
        run_on(Alias("default"), create_label, model_name="product")

    assert not Label.objects.exists()


@pytest.mark.parametrize("alias", ["default", "shard_1"])
def test_rows_that_may_be_there_need_their_primary_keys(alias):
    def code(then, editor):
        model = then.get_model("shop", "Label")
        model.objects.using(editor.connection.alias).bulk_create([model(name="a")], ignore_conflicts=True)

    with pytest.raises(CopiesWouldDiffer, match="Give the rows their primary keys"), transaction.atomic(alias):
        run_on(Alias(alias), code, model_name="label")


def test_a_shard_that_ends_with_other_rows_says_so():
    def code(then, editor):
        for number in range(2 if editor.connection.alias == "default" else 3):
            then.get_model("shop", "Label").objects.create(name=f"l{number}")

    with pytest.raises(CommandError, match=r"Label on shard_0 has 1 row more \(.*shards copies --repair"):
        run_everywhere(code, model_name="label")
