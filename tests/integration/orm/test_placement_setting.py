"""Does SHARDKIT["PLACEMENT"] place models that know nothing of it?"""

from __future__ import annotations

import pytest
from django.db import connections, transaction

from shardkit.errors import CrossDatabaseQuery
from shardkit.orm.planning import plan_of
from shardkit.routing.plan import Single
from shardkit.topology.names import Alias
from tests.shop.models import Country, Memo

pytestmark = pytest.mark.django_db(databases="__all__")


def rows_on(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM shop_memo")
        return int(cursor.fetchone()[0])


def test_its_table_is_on_that_database_and_nowhere_else():
    found = [alias for alias in connections if "shop_memo" in connections[alias].introspection.table_names()]

    assert sorted(found) == ["audit", "oracle"]


def test_every_way_of_writing_reaches_it():
    memo = Memo.objects.create(text="one")
    Memo(text="two").save()
    Memo.objects.bulk_create([Memo(text="three"), Memo(text="four")])
    memo.text = "1"
    memo.save()

    assert Memo.objects.filter(text="two").update(text="2") == 1
    assert Memo.objects.get(text="four").delete() == (1, {"shop.Memo": 1})
    assert ["1", "2", "three"] == list(Memo.objects.order_by("pk").values_list("text", flat=True))
    assert rows_on("audit") == Memo.objects.count() == 3


def test_it_takes_part_in_the_transaction():
    with transaction.atomic():
        Memo.objects.create(text="lost")
        transaction.set_rollback(True)

    assert rows_on("audit") == 0


@pytest.mark.parametrize(
    "query",
    [
        lambda: Memo.objects.filter(country__name="Austria"),
        lambda: Memo.objects.select_related("country"),
        lambda: Memo.objects.order_by("country__name"),
        lambda: Country.objects.filter(memo__text="one"),
        lambda: Country.objects.filter(pk__in=Memo.objects.values("country")),
    ],
    ids=["filter", "select_related", "order_by", "backwards", "subquery"],
)
def test_a_join_that_cannot_work_is_refused_by_name(query):
    with pytest.raises(CrossDatabaseQuery, match=r"shop_memo.*audit"):
        list(query())


def test_related_rows_are_reached_without_a_join():
    Country.objects.create(code="AT", name="Austria")
    memo = Memo.objects.create(text="one", country_id="AT")

    assert Memo.objects.get(pk=memo.pk).country == Country(code="AT")
    assert Country.objects.get(code="AT").memo_set.get() == memo
    assert [found.country for found in Memo.objects.prefetch_related("country")] == [Country(code="AT")]


def test_its_plan_says_why():
    compiler = Memo.objects.all().query.get_compiler(using="default")

    assert plan_of(compiler) == Single(Alias("audit"), "shop_memo is placed there")
