"""Is the cluster one database to dumpdata, loaddata and flush?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from shardkit.catalog.idranges import discard_all
from shardkit.catalog.store import current_map
from shardkit.catalog.tables import IdRange, ShardMapVersion
from shardkit.conf import get_settings
from tests.shop.models import Country, Customer, Document, Gadget, Invoice, Label, Order, Product, Reading, Tagged

SHARDS = get_settings().topology.primaries
SHARDED = (Customer, Order, Order.labels.through, Document, Gadget, Reading)
OTHERS = (Country, Label, Product, Invoice)

pytestmark = [
    pytest.mark.skipif(not SHARDS, reason="TESTAPP_SHARDS is 0: there is no cluster to work on"),
    pytest.mark.django_db(databases="__all__", transaction=True),
    pytest.mark.usefixtures("rows_everywhere"),
]


@pytest.fixture
def rows_everywhere():
    """Rows of every kind, on every shard."""
    country = Country.objects.create(code="NL", name="Netherlands")
    label = Label.objects.create(name="new")
    product = Product.objects.create(name="Bike", price=Decimal("10.50"))
    Invoice.objects.create(number=1, amount=Decimal(5))
    for number in range(12):
        customer = Customer.objects.create(name=f"c{number}", email=f"c{number}@example.org", country=country)
        order = Order.objects.create(
            customer=customer,
            product=product,
            number=1,
            status="new",
            total=Decimal("1.10"),
            created=datetime(2013, 1, 1, tzinfo=UTC),
        )
        order.labels.add(label)
        Document.objects.create(customer=customer, title="t")
        Gadget.objects.create(code=f"g{number}", maker=number)
        Reading.objects.create(station=f"s{number}", year=None, value=0.5)


def stored() -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Return every row of the shop's tables, by database."""
    rows: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
    for alias in ("default", *SHARDS, "audit"):
        connection = connections[alias]
        present = set(connection.introspection.table_names())
        for model in (*SHARDED, *OTHERS):
            if (name := model._meta.db_table) in present:
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(name)}")  # noqa: S608  (our own name)
                    rows.setdefault(alias, {})[name] = sorted(cursor.fetchall(), key=repr)
    return rows


def dump(path: Path, *labels: str, **options: Any) -> Any:
    call_command("dumpdata", *labels, output=str(path), verbosity=0, **options)
    return json.loads(path.read_text())


def dump_all(directory: Path) -> list[str]:
    """Dump the whole shop, and return the files."""
    sharded = [model._meta.label for model in SHARDED if not model._meta.auto_created]
    dump(directory / "shop.json", *(model._meta.label for model in OTHERS), *sharded)
    return [str(path) for path in sorted(directory.glob("*.json"))]


def ids() -> list[int]:
    return [row[0] for alias in SHARDS for row in stored()[alias][Customer._meta.db_table]]


def test_a_dump_of_default_holds_what_is_elsewhere_too(tmp_path):
    dumped = dump(tmp_path / "shop.json", *(model._meta.label for model in OTHERS))

    assert sorted(each["model"] for each in dumped) == ["shop.country", "shop.invoice", "shop.label", "shop.product"]


def test_a_dump_of_all_shards_holds_each_row_once_in_the_order_of_its_key(tmp_path):
    dumped = dump(tmp_path / "shop.json", "shop.Customer", "shop.Reading")

    keys = [each["pk"] for each in dumped if each["model"] == "shop.customer"]
    assert keys == sorted(ids())
    assert len(dumped) == 24


def test_an_ordinary_failure_is_djangos_own():
    with pytest.raises(CommandError, match=r"^Unknown model: shop\.Nothing$"):
        call_command("dumpdata", "shop.Nothing")


def test_a_dump_of_one_shard_holds_its_rows(tmp_path):
    dumped = [dump(tmp_path / f"{alias}.json", "shop.Customer", database=alias) for alias in SHARDS]

    assert sum(map(len, dumped)) == 12


def test_a_fixture_puts_each_row_where_it_was(tmp_path):
    before = stored()
    fixtures = dump_all(tmp_path)
    call_command("flush", interactive=False, verbosity=0)

    call_command("loaddata", *fixtures, verbosity=0)

    after = stored()
    through = Order.labels.through._meta.db_table
    for alias in SHARDS:  # loading gives many-to-many rows new ids
        before[alias][through], after[alias][through] = (
            sorted(row[1:] for row in rows[alias][through]) for rows in (before, after)
        )
    assert after == before


def test_a_shard_that_is_named_is_given_its_own_rows_of_a_fixture():
    call_command("flush", interactive=False, verbosity=0)
    out = StringIO()

    for alias in SHARDS:
        call_command("loaddata", "everywhere.json", database=alias, exclude=["shop.Tagged"], stdout=out)

    said = [int(line.split()[1]) for line in out.getvalue().splitlines()]
    assert sum(said) == 9, "six gadgets and three readings"
    assert (Gadget.objects.count(), Reading.objects.count()) == (6, 3)
    assert not any(model._base_manager.exists() for model in OTHERS)


def test_a_placed_database_that_is_named_is_given_its_own_rows_of_a_fixture():
    call_command("flush", interactive=False, verbosity=0)

    call_command("loaddata", "everywhere.json", database="audit", verbosity=0)

    assert Invoice.objects.count() == 1
    assert not Gadget.objects.exists()


def test_a_natural_key_of_a_row_on_default_is_found_for_a_shard(tmp_path):
    tagged = Tagged.objects.create(target=Customer.objects.first(), tag="new")
    dump(tmp_path / "tagged.json", "shop.Tagged", use_natural_foreign_keys=True)
    content_type = json.loads((tmp_path / "tagged.json").read_text())[0]["fields"]["content_type"]
    home = str(tagged.shard)
    tagged.delete()

    call_command("loaddata", str(tmp_path / "tagged.json"), database=home, verbosity=0)

    assert content_type == ["shop", "customer"]
    assert [home] == [str(row.shard) for row in Tagged.objects.all()]


def test_a_fixture_that_is_named_for_a_shard_is_found(tmp_path):
    gadget = Gadget.objects.get(code="g1")
    home = str(gadget.shard)
    dump(tmp_path / f"gadgets.{home}.json", "shop.Gadget", primary_keys="g1")
    gadget.delete()

    call_command("loaddata", str(tmp_path / "gadgets"), database=home, verbosity=0)

    assert Gadget.objects.filter(code="g1").exists()


def test_ids_that_came_with_a_fixture_are_not_given_again(tmp_path):
    fixtures = dump_all(tmp_path)
    taken = set(ids())
    call_command("flush", interactive=False, verbosity=0)
    IdRange.objects.all().delete()
    discard_all()

    call_command("loaddata", *fixtures, verbosity=0)
    made = {Customer.objects.create(name="n", email=f"n{number}@example.org").pk for number in range(20)}
    invoice = Invoice.objects.create(number=2, amount=Decimal(1))

    assert made.isdisjoint(taken)
    assert len(ids()) == 32
    assert invoice.pk > 1


def test_a_dump_leaves_out_the_catalog_unless_it_is_named(tmp_path):
    everything = dump(tmp_path / "all.json", exclude=["shop", "flights"])
    named = dump(tmp_path / "catalog.json", "shardkit")

    assert everything
    assert not [each for each in everything if each["model"].startswith("shardkit.")]
    assert "shardkit.shardmapversion" in {each["model"] for each in named}


def test_flush_empties_every_database_and_keeps_the_map_and_the_ids():
    customer_id = max(ids())
    shard_map = current_map()

    call_command("flush", interactive=False, verbosity=0)

    assert [] == [name for tables in stored().values() for name, rows in tables.items() if rows]
    assert current_map() == shard_map
    assert ShardMapVersion.objects.count() == 1
    assert Customer.objects.create(name="new", email="new@example.org").pk > customer_id


def test_flush_of_one_database_leaves_the_others():
    before = stored()

    call_command("flush", database=SHARDS[0], interactive=False, verbosity=0)

    after = stored()
    assert not any(after.pop(SHARDS[0]).values())
    before.pop(SHARDS[0])
    assert after == before


@pytest.mark.parametrize(("answer", "emptied"), [("yes", True), ("no", False)])
def test_flush_asks_once(monkeypatch, answer: str, emptied):
    questions: list[str] = []

    def reply(question: str) -> str:
        questions.append(question)
        return answer

    monkeypatch.setattr("builtins.input", reply)
    out = StringIO()

    call_command("flush", stdout=out)

    assert len(questions) == 1
    assert "IRREVERSIBLY DESTROY all data in: default, shard_0" in questions[0]
    assert (out.getvalue() == "") == emptied
    assert bool(ids()) != emptied


def test_a_database_that_cannot_be_flushed_is_named(monkeypatch):
    shard = connections[SHARDS[1]]

    def refuse(_sql):
        raise OSError

    monkeypatch.setattr(shard.ops, "execute_sql_flush", refuse)
    err = StringIO()

    with pytest.raises(CommandError, match=f"1 of 6 databases were not flushed: {SHARDS[1]}"):
        call_command("flush", interactive=False, stderr=err, verbosity=0)

    assert err.getvalue().startswith(f"{SHARDS[1]}: ")
    assert not stored()[SHARDS[2]][Customer._meta.db_table]
