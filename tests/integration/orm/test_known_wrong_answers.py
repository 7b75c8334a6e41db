"""The wrong answers that others gave without a word: here they are right.

Each test is named after the report that it turns round; those without a number were seen by running a package.
"""

from __future__ import annotations

import operator
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Avg, Count, F, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Length

from shardkit.errors import MixedDatabases, ShardkitError
from shardkit.routing import owners
from tests.fix_shop import Shop, pks, same
from tests.shop.models import Country, Customer, Gadget, Label, Order, Reading, Shipment

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("shop")]


# The key in an IN list.


def test_pgdog_639_an_in_list_over_two_shards_asks_both(shop: Shop) -> None:
    """It asked one of the two at random: SELECT COUNT(1), user_id … WHERE user_id IN (1, 3) GROUP BY user_id."""
    keys = [shop.customer_on(0, 3).pk, shop.customer_on(2, 1).pk]

    found = same(lambda: Order.objects.filter(customer__in=keys).values("customer").annotate(n=Count("pk")))

    assert len(found) == 2
    assert same(lambda: Order.objects.filter(customer__in=keys).count()) > 0


def test_pgdog_639_an_in_list_asks_no_third_shard(shop: Shop) -> None:
    keys = [shop.customer_on(0).pk, shop.customer_on(2).pk]

    same(lambda: Order.objects.filter(customer__in=keys).order_by("pk"), on={"shard_0": 1, "shard_2": 1})


@pytest.mark.parametrize("noise", [None, 7, "5"], ids=["null", "unknown", "of another type"])
def test_pgdog_639_null_duplicate_and_unknown_values_in_the_list(noise: Any) -> None:
    makers = [0, 3, 3, noise]

    same(lambda: Gadget.objects.filter(maker__in=makers).order_by("code"))
    same(lambda: Gadget.objects.exclude(maker__in=[maker for maker in makers if maker is not None]).order_by("code"))


def test_gorm_sharding_56_an_in_list_on_the_key_is_answered(shop: Shop) -> None:
    same(lambda: Customer.objects.filter(pk__in=pks(shop.customers)[::3]).order_by("pk"))


def test_gorm_sharding_61_a_preload_uses_the_key_that_is_there(shop: Shop) -> None:
    customer = shop.customer_on(1, 3)

    same(lambda: Customer.objects.filter(pk=customer.pk).prefetch_related("orders"), on={customer_alias(customer): 2})


def customer_alias(customer: Customer) -> str:
    return str(owners.alias_of(customer.pk % 4096))


# ORDER BY.


def test_pgdog_1135_an_order_by_a_column_that_is_not_selected() -> None:
    """It skipped the key that was not in the result: SELECT id FROM users ORDER BY name."""
    same(lambda: Order.objects.order_by("-total", "pk").values_list("pk", flat=True))
    same(lambda: Customer.objects.order_by("name", "email").values_list("score", flat=True))
    same(lambda: Order.objects.order_by("customer__email", "number").values("status"))


def test_shardingsphere_1120_what_was_selected_for_the_order_is_not_in_the_answer() -> None:
    rows = Order.objects.order_by("customer", "number").values_list("status")

    same(rows.all)
    assert {len(row) for row in rows} == {1}


@pytest.mark.parametrize("order", ["name", "-name"])
def test_shardingsphere_4639_and_vitess_7636_text_comes_in_the_order_of_the_database(order: str) -> None:
    """One ordered text by Java's rules, the other by bytes."""
    same(lambda: Customer.objects.order_by(order, "email").values_list("name", "email"))


def test_sqlalchemy_an_order_holds_over_all_shards() -> None:
    """Its answers stood one behind the other: [2, 4, 6, 8, 3, 5, 7, 9]."""
    same(lambda: Customer.objects.order_by("score", "email").values_list("email", "score"))


# LIMIT.


def test_sqlalchemy_a_limit_holds_over_all_shards() -> None:
    """LIMIT 3 gave six rows."""
    assert len(same(lambda: Customer.objects.order_by("email")[:3])) == 3
    assert len(Customer.objects.all()[:3]) == 3


def test_an_offset_is_skipped_once() -> None:
    same(lambda: Customer.objects.order_by("email")[5:9])


def test_vitess_16262_a_limit_on_groups_ordered_by_their_count() -> None:
    """The first groups of each shard are not the first of all."""
    groups = Order.objects.values("number").annotate(n=Count("pk"))

    same(lambda: groups.order_by("n", "number")[:2])
    same(lambda: groups.order_by("-n", "number")[:1])


def test_shardingsphere_29841_a_limit_on_groups_does_not_cut_what_they_count() -> None:
    same(lambda: Order.objects.values("status").annotate(n=Count("number", distinct=True)).order_by("status")[:2])


def test_vitess_13180_a_limit_on_groups_over_a_join() -> None:
    same(lambda: Shipment.objects.values("order__status").annotate(n=Count("pk")).order_by("order__status")[:2])


# Aggregates.


def test_sqlalchemy_9482_a_count_counts_all_shards(shop: Shop) -> None:
    """It said 4 of 8."""
    assert same(Customer.objects.count) == len(shop.customers)


def test_vitess_2572_an_aggregate_is_one_row() -> None:
    """COUNT(*) gave one row per shard."""
    same(lambda: Order.objects.aggregate(n=Count("pk"), t=Sum("total"), a=Avg("total"), x=Max("number")))


def test_vitess_5148_a_count_of_nothing_is_zero() -> None:
    assert same(lambda: Order.objects.filter(status="none").count()) == 0
    assert same(lambda: Order.objects.filter(status="none").aggregate(n=Sum("total")))["n"] is None


def test_vitess_12540_and_12541_an_expression_over_aggregates_when_one_shard_has_no_row(shop: Shop) -> None:
    """The answer was that of whichever shard came last, the one without a row included."""
    customer = shop.customer_on(3, 3)

    same(lambda: Order.objects.filter(total__gte=0).aggregate(d=Sum("number") * 2 + Count("pk")))
    same(
        lambda: Order.objects.filter(Q(customer__email=customer.email)).aggregate(d=Sum("number") + Max("number")),
    )
    same(lambda: Order.objects.filter(status="none").aggregate(d=Sum("number") + Max("number")))


def test_vitess_11264_a_minimum_of_text_is_that_of_the_database() -> None:
    found = same(lambda: Customer.objects.aggregate(least=Min("email"), most=Max("email")))

    assert found["least"] == "c0@example.org"


def test_vitess_13179_the_same_aggregate_twice() -> None:
    same(lambda: Order.objects.values("status").annotate(a=Count("pk"), b=Count("pk"), c=Count("pk")))


def test_an_average_is_not_the_average_of_the_shards_averages() -> None:
    averages = [Order.objects.using(alias).aggregate(a=Avg("total"))["a"] for alias in owners.all_aliases()]
    found = same(lambda: Order.objects.aggregate(a=Avg("total")))["a"]

    assert found != sum(filter(None, averages), Decimal()) / len(averages)


# GROUP BY.


def test_pgdog_1172_columns_beside_the_aggregates_of_a_group() -> None:
    """What was neither grouped by nor aggregated came back empty: SELECT org_id, id, extra, MAX(val) … GROUP BY id."""
    same(lambda: Customer.objects.annotate(most=Max("orders__number")).order_by("email"))
    same(lambda: Country.objects.annotate(n=Count("customer")).order_by("code"))


def test_pgdog_638_a_count_by_the_shard_key() -> None:
    same(lambda: Order.objects.values("customer").annotate(n=Count("pk")).order_by("customer"))


def test_sqlalchemy_a_group_stands_once() -> None:
    """Each shard had its own group of the same name."""
    same(lambda: Order.objects.values("status").annotate(n=Count("pk")))
    statuses = [row["status"] for row in Order.objects.values("status").annotate(n=Count("pk"))]

    assert len(statuses) == len(set(statuses))


def test_vitess_15625_an_average_by_group_that_is_not_selected() -> None:
    """It gave the sum."""
    same(lambda: Order.objects.values("status").annotate(a=Avg("number")).order_by("status").values_list("a"))


def test_pgdog_695_having_is_judged_on_whole_groups() -> None:
    same(lambda: Order.objects.values("status").annotate(n=Count("pk")).filter(n__gt=5))


# DISTINCT.


def test_shardingsphere_4565_and_37852_distinct_over_all_shards() -> None:
    """Each value came once for each shard."""
    same(lambda: Order.objects.values_list("status", flat=True).distinct().order_by("status"))
    same(lambda: Order.objects.values_list("product", flat=True).distinct())
    same(lambda: Customer.objects.annotate(x=Length("name")).values_list("x", flat=True).distinct())


def test_shardingsphere_2094_distinct_beside_a_group_loses_nothing() -> None:
    same(lambda: Order.objects.values("status").annotate(n=Count("pk")).distinct())


def test_shardingsphere_5492_and_14341_distinct_inside_aggregates_of_a_group() -> None:
    same(
        lambda: Order.objects.values("status").annotate(
            n=Count("number", distinct=True), s=Sum("number", distinct=True)
        )
    )


# Aggregates over subqueries.


def test_shardingsphere_28914_and_1590_a_count_of_groups() -> None:
    """The shards' numbers of groups were added up: SELECT COUNT(0) FROM (SELECT name … GROUP BY name)."""
    same(lambda: Order.objects.values("status").annotate(n=Count("pk")).count())
    same(lambda: Order.objects.values("status").distinct().count())
    same(lambda: Order.objects.values("number").annotate(n=Count("pk")).filter(n__gt=3).count())


def test_shardingsphere_5586_and_18949_aggregates_over_slices_and_groups() -> None:
    same(lambda: Order.objects.order_by("pk")[:7].aggregate(n=Count("pk"), t=Sum("total")))
    same(lambda: Order.objects.values("status").annotate(n=Count("pk")).aggregate(most=Max("n"), all=Sum("n")))


# Packages for Django.


def test_django_shard_library_a_count_of_all_asks_more_than_default(shop: Shop) -> None:
    """It said 0 of 6."""
    assert same(Order.objects.all().count) == len(shop.orders)


def test_django_shard_library_key_zero_is_a_key() -> None:
    found = same(lambda: Gadget.objects.filter(maker=0).order_by("code"), plan="single")

    assert len(found) == len(list(Gadget.objects.filter(maker=0))) > 0


def test_django_shard_library_and_horizon_or_of_two_keys_keeps_both(shop: Shop) -> None:
    """``filter(k=1) | filter(k=3)`` gave the rows of one."""
    one, two = shop.customer_on(0, 3), shop.customer_on(2, 1)

    same(lambda: (Order.objects.filter(customer=one) | Order.objects.filter(customer=two)).order_by("pk"))
    same(lambda: Order.objects.filter(Q(customer=one) | Q(customer=two)).order_by("pk"))


def test_django_horizon_exclude_does_not_go_to_the_shard_of_what_it_excludes(shop: Shop) -> None:
    same(lambda: Order.objects.exclude(customer=shop.customer_on(1, 3)).order_by("pk"))


def test_django_autoshard_a_filter_on_another_column_asks_every_shard() -> None:
    """It asked ``default`` and said []."""
    assert len(same(lambda: Order.objects.filter(status="paid").order_by("pk"))) > 0


def test_django_sharded_a_count_with_a_known_shard_asks_that_one(shop: Shop) -> None:
    customer = shop.customer_on(2, 1)

    same(lambda: Order.objects.filter(customer=customer).count(), plan="single")


def test_fethienv_no_method_is_silently_empty(shop: Shop) -> None:
    """``aggregate``, ``first``, ``create`` and ``get_or_create`` returned None."""
    assert same(lambda: Order.objects.aggregate(n=Count("pk")))["n"] == len(shop.orders)
    assert same(lambda: Order.objects.order_by("pk").first()) is not None
    assert Reading.objects.get_or_create(station="oslo", year=1999, defaults={"value": 1.0})[1]


def test_django_querysets_of_two_databases_are_not_combined_without_a_word() -> None:
    """Django takes the database of the left one and forgets the other."""
    left, right = Order.objects.using("shard_0"), Order.objects.using("shard_1")

    for combine in (operator.or_, operator.and_, QuerySet.union):
        with pytest.raises(MixedDatabases):
            combine(left, right)


def test_django_querysets_of_one_cluster_are_combined_with_all_rows(shop: Shop) -> None:
    one, two = shop.customer_on(0, 3), shop.customer_on(1, 3)

    same(lambda: Order.objects.filter(customer=one).union(Order.objects.filter(customer=two)).order_by("id"))


def test_a_sharded_table_asked_by_a_plain_queryset_has_all_its_rows(shop: Shop) -> None:
    """Fail-closed packages fail here; ours need no queryset of ours."""
    assert len(same(lambda: QuerySet(Order).order_by("pk"))) == len(shop.orders)


# What the prototype was wrong about until its rules were strict.


def test_prototype_a_group_by_the_key_of_a_copied_table_stands_once() -> None:
    same(lambda: Label.objects.filter(order__status="paid").annotate(n=Count("order")).order_by("pk"))


def test_prototype_two_foreign_keys_in_one_group_prove_nothing() -> None:
    same(lambda: Order.objects.filter(customer__referrer__orders__status="paid").distinct().order_by("pk"))


def test_prototype_a_deletion_reaches_rows_on_other_shards(shop: Shop) -> None:
    """Pinned to one shard, its Collector left the others' rows behind."""
    order = next(shipment.order for shipment in shop.shipments)
    with transaction.atomic():
        _, counts = Order.objects.filter(pk=order.pk).delete()
        left = Shipment.objects.filter(order=order.pk).count()
        transaction.set_rollback(True)

    assert left == 0
    assert counts["shop.Shipment"] == sum(shipment.order_id == order.pk for shipment in shop.shipments)


def test_prototype_the_next_by_date_is_looked_for_on_all_shards() -> None:
    """With a shard's alias in ``_state.db`` it was another row, without a word."""
    same(lambda: Order.objects.order_by("created", "pk").first().get_next_by_created())  # type: ignore[union-attr]


def test_nothing_that_is_refused_has_asked_before() -> None:
    """A refusal is an error with a name, and no part of an answer."""
    with pytest.raises(ShardkitError):
        list(Order.objects.raw("SELECT * FROM shop_order"))


def test_sums_over_f_expressions_are_those_of_all_rows(shop: Shop) -> None:
    expected = sum(order.total * order.number for order in shop.orders)

    found = same(lambda: Order.objects.aggregate(t=Sum(F("total") * F("number"))))["t"]

    assert abs(Decimal(found) - expected) < Decimal("0.01")
    assert Counter(order.status for order in shop.orders) == Counter(Order.objects.values_list("status", flat=True))
