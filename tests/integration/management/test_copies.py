"""Are copies that differ found, and made equal, whatever they hold?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connections

from shardkit.management.copies import Difference, copied_models, differences, digest, repair
from shardkit.routing import owners
from shardkit.topology.names import Alias
from tests.fix_writes import content_of, content_of_shards
from tests.shop.models import Country, Fare, Label, Notice, Union

pytestmark = pytest.mark.django_db(databases="__all__")

SHARD = Alias("shard_1")


@pytest.fixture
def rows() -> None:
    """Rows of several copied tables, one of which inherits another."""
    Label.objects.bulk_create(Label(name=f"l{number}") for number in range(5))
    Country.objects.create(code="DE", name="Germany")
    Union.objects.create(code="EU", name="Union", members=27)
    Fare.objects.create(name="full")
    Notice.everything.create(text="hidden", hidden=True)


def break_copy(sql: str, *parameters: Any) -> None:
    """Change one copy, as no write through `default` would."""
    with connections[SHARD].cursor() as cursor:
        cursor.execute(sql, parameters)


def found(between: Callable[[], object] = bool) -> list[Difference]:
    """Return what differs at two looks, and do something *between* them in place of waiting."""
    return differences(copied_models(), owners.all_aliases(), wait=lambda _seconds: between())


@pytest.mark.usefixtures("rows")
def test_copies_that_are_equal_have_the_same_digest_and_no_difference():
    assert [] == found()
    tables = [Label, Country, Union, Fare, Notice]
    assert [digest(model, Alias("default")) for model in tables] == [digest(model, SHARD) for model in tables]
    assert len({digest(model, SHARD) for model in tables}) == len(tables)


BREAKS: dict[str, tuple[str, list[Any], list[tuple[str, int, int, int]]]] = {
    "a row that is missing": (
        "DELETE FROM shop_label WHERE name = %s",
        ["l2"],
        [("shop.Label", 1, 0, 0)],
    ),
    "a row that is another": (
        "UPDATE shop_label SET name = %s WHERE name = 'l3'",
        ["changed"],
        [("shop.Label", 0, 1, 0)],
    ),
    "a row that is only there": (
        "INSERT INTO shop_country (code, name) VALUES (%s, 'Nowhere')",
        ["XX"],
        [("shop.Country", 0, 0, 1)],
    ),
    "a column that the database fills": (
        "UPDATE shop_fare SET price = %s",
        [8],
        [("shop.Fare", 0, 1, 0)],
    ),
    "a row that managers hide": (
        "UPDATE shop_notice SET text = %s",
        ["shown"],
        [("shop.Notice", 0, 1, 0)],
    ),
    "a row whose key has changed": (
        "UPDATE shop_label SET id = id + %s WHERE name = 'l1'",
        [1000],
        [("shop.Label", 1, 0, 1)],
    ),
}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("name", BREAKS)
def test_what_differs_is_told_and_mended(name):
    sql, parameters, expected = BREAKS[name]
    before = content_of("default")
    break_copy(sql, *parameters)

    told = found()
    repair(told)

    assert expected == [
        (each.model._meta.label, len(each.missing), len(each.changed), len(each.extra)) for each in told
    ]
    assert {SHARD} == {each.alias for each in told}
    assert [] == found()
    assert before["shop.Label"] == content_of_shards()["shop.Label"]


@pytest.mark.usefixtures("rows")
def test_a_row_and_what_inherits_from_it_come_back_together():
    break_copy("DELETE FROM shop_union")
    break_copy("DELETE FROM shop_country")

    repair(found())

    content_of_shards()
    assert 27 == Union.objects.using(SHARD).get().members


@pytest.mark.usefixtures("rows")
def test_what_differs_once_only_is_a_write_on_its_way():
    break_copy("DELETE FROM shop_label WHERE name = %s", "l2")
    told = found()

    assert told
    assert [] == found(between=lambda: repair(told))


@pytest.mark.usefixtures("rows")
def test_what_goes_on_changing_is_left_alone():
    break_copy("UPDATE shop_label SET name = %s WHERE name = 'l2'", "once")

    assert [] == found(between=lambda: break_copy("UPDATE shop_label SET name = %s WHERE name = 'once'", "twice"))


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_row_that_others_refer_to_is_not_taken_from_them():
    break_copy("INSERT INTO shop_country (code, name) VALUES (%s, 'Nowhere')", "XX")
    break_copy("INSERT INTO shop_customer (id, name, email, country_id) VALUES (%s, 'Ada', 'ada', 'XX')", 4711)

    with pytest.raises(IntegrityError):
        repair(found())

    assert Country.objects.using(SHARD).filter(code="XX").exists()
