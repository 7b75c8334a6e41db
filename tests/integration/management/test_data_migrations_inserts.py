"""Does a row that a data migration inserts get an id of its own, on the shard where it belongs?"""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.db.migrations.state import ProjectState

from shardkit.errors import MigrationLeavesDatabase
from shardkit.management.migrating import only
from shardkit.routing import owners
from shardkit.topology.names import Alias
from tests.fix_writes import content_of_shards
from tests.shop.models import Customer, Document, Ticket

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def customers() -> list[Customer]:
    return [Customer.objects.create(name=f"c{number}", email=f"c{number}") for number in range(12)]


def then(name: str) -> Any:
    """Return the model of that name as a migration sees it."""
    return ProjectState.from_apps(apps).apps.get_model("shop", name)


@pytest.mark.parametrize("in_bulk", [False, True])
def test_a_row_beside_each_row_of_the_migrated_shard(customers, in_bulk):
    for alias in owners.all_aliases():
        with only(alias):
            model = then("Document")
            rows = [
                model(customer_id=row.pk, title="t") for row in then("Customer").objects.using(alias).order_by("pk")
            ]
            tags = [then("Ticket")(queue=queue, title="t") for queue in ("support", "sales", "other")]
            here = [tag for tag in tags if str(Ticket(queue=tag.queue).shard) == alias]
            for kind, made in ((model, rows), (then("Ticket"), here)):
                if in_bulk:
                    kind._base_manager.using(alias).bulk_create(made)
                for row in () if in_bulk else made:
                    row.save(using=alias)

    content_of_shards()
    assert len(list(Document.objects.all())) == len(customers)
    assert len({ticket.pk for ticket in Ticket.objects.all()}) == 3


@pytest.mark.parametrize("in_bulk", [False, True])
@pytest.mark.parametrize("values", [{"queue": "sales", "title": "t"}, {"queue": "other", "title": "t"}], ids=str)
def test_a_row_that_belongs_on_another_shard_is_refused(values, in_bulk):
    alias = next(found for found in owners.all_aliases() if found != str(Ticket(**values).shard))

    with only(alias), pytest.raises(MigrationLeavesDatabase), transaction.atomic(using=alias):
        insert("Ticket", alias, values, in_bulk=in_bulk)

    assert not list(Ticket.objects.all())


@pytest.mark.parametrize("in_bulk", [False, True])
def test_a_row_that_may_be_anywhere_is_refused(in_bulk):
    with only(Alias("shard_1")), pytest.raises(MigrationLeavesDatabase), transaction.atomic(using="shard_1"):
        insert("Customer", Alias("shard_1"), {"name": "new", "email": "new"}, in_bulk=in_bulk)

    assert not list(Customer.objects.all())


def insert(name: str, alias: Alias, values: dict[str, Any], *, in_bulk: bool) -> None:
    rows = then(name)._base_manager.using(alias)
    if in_bulk:
        rows.bulk_create([rows.model(**values)])
    else:
        rows.create(**values)
