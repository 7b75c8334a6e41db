"""Is what shardkit cannot understand kept from pruning, and from being answered by each shard for itself?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import F, Func, IntegerField
from django.db.models.expressions import RawSQL
from django.db.models.lookups import Exact, GreaterThanOrEqual, In

from shardkit.models import ShardKeyCharField
from tests.fix_shop import Shop, same
from tests.shop.models import Order, Parcel, Reading

pytestmark = pytest.mark.django_db(databases="__all__")

READS: dict[str, Callable[[], Any]] = {
    "raw window": lambda: Order.objects.annotate(n=RawSQL("row_number() over (order by id)", ())),
    "raw aggregate": lambda: Order.objects.annotate(n=RawSQL("count(*)", ())).values_list("n"),
    "raw window in an expression": lambda: Order.objects.annotate(
        n=RawSQL("row_number() over (order by id)", (), IntegerField()) + F("number")
    ),
    "extra window": lambda: Order.objects.extra(select={"n": "row_number() over (order by id)"}),
    "extra aggregate": lambda: Order.objects.extra(select={"n": "count(*)"}).values_list("n"),  # type: ignore[misc]
    "template with a window": lambda: Order.objects.annotate(
        n=Func(template="row_number() over (order by id)", output_field=IntegerField())
    ),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_text_that_may_look_at_all_rows_sees_them(shop: Shop, read: Callable[[], Any]) -> None:
    customer = shop.customer_on(1, 3)

    same(read)
    same(lambda: read().filter(customer=customer), plan="single")


class Folded(Exact):
    """Equality without case, as an application may define it."""

    lookup_name = "folded"

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> Any:
        sql, parameters = super().process_lhs(compiler, connection, lhs)
        return f"LOWER({sql})", parameters

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        del connection
        return f"= LOWER({rhs})"


class AmongOthers(In):
    """It accepts more than what it lists."""

    lookup_name = "among"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        sql, parameters = super().as_sql(compiler, connection)
        return f"({sql} OR 1 = 1)", parameters


class AboveTheTenth(GreaterThanOrEqual):
    """A bound that is not where it seems to be."""

    lookup_name = "tenth"

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        del connection
        return f">= {rhs} / 10"


@pytest.fixture(autouse=True)
def _lookups() -> Iterator[None]:
    added: list[tuple[Any, Any]] = [
        (ShardKeyCharField, Folded),
        (IntegerField, AmongOthers),
        (IntegerField, AboveTheTenth),
    ]
    for field, lookup in added:
        field.register_lookup(lookup)
    yield
    for field, lookup in added:
        field._unregister_lookup(lookup)


def test_a_lookup_that_extends_equality_does_not_prune(shop: Shop) -> None:
    del shop

    assert len(same(lambda: list(Reading.objects.filter(station__folded="OSLO", year=2000)), ordered=False)[1]) == 2
    same(lambda: Reading.objects.filter(station__in=["rome"], year__among=[2000]))
    same(lambda: Parcel.objects.filter(zone__among=[25, 50]))


def test_a_lookup_that_extends_a_comparison_does_not_prune(shop: Shop) -> None:
    del shop

    same(lambda: Parcel.objects.filter(zone__tenth=300))
