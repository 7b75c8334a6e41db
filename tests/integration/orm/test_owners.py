"""Which shards does a statement ask, where the settings and the shard map do not name the same ones?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, F, Sum
from django.test.utils import CaptureQueriesContext

from shardkit.catalog import store
from shardkit.catalog.tables import ShardMapVersion
from shardkit.checks import check_catalog
from shardkit.errors import UnknownShard
from shardkit.routing import owners
from shardkit.topology.names import ShardId
from shardkit.topology.shardmap import dumps, even_split
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, cases
from tests.shop.models import Country, Customer, Label, Order, Product, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

Case = Callable[[], Any]
KEPT = ("shard_0", "shard_1", "shard_2")


@pytest.fixture
def missing(shop: Shop, settings: Any) -> str:
    """Take from the settings a shard that owns buckets, as a host does where its variable was forgotten."""
    settings.SHARDKIT = {**settings.SHARDKIT, "SHARDS": [*KEPT]}
    return shop.shards[3]


@pytest.fixture
def idle(shop: Shop) -> Iterator[str]:
    """Give a shard of the settings no bucket, as one that was added later has none."""
    ShardMapVersion.objects.update(owners=dumps(even_split([ShardId(name) for name in KEPT], len(owners.owners()))))
    store.reset_map()
    yield shop.shards[3]
    store.reset_map()


@cases(
    rows=lambda: list(Order.objects.all()),
    order=lambda: list(Order.objects.order_by("total")),
    page=lambda: list(Order.objects.order_by("total")[:2]),
    count=Order.objects.count,
    sum=lambda: Order.objects.aggregate(Sum("total")),
    groups=lambda: list(Order.objects.values("status").annotate(n=Count("pk"))),
    distinct=lambda: list(Order.objects.values("status").distinct()),
    exists=Order.objects.exists,
    iterator=lambda: list(Order.objects.iterator()),
    cursor=lambda: Order.objects.order_by("total").cursor_page(size=2),
    gather=lambda: list(Order.objects.filter(product__name="x")),
    union=lambda: list(Order.objects.filter(number=1).union(Order.objects.filter(number=2))),
    reference=lambda: list(Country.objects.filter(customer__score=1)),
    explain=Order.objects.explain,
    route=Order.objects.route,
    update=lambda: Order.objects.update(note="x"),
    gathered_update=lambda: Shipment.objects.filter(order__status="new").update(cost=F("cost") + 1),
    delete=lambda: Order.objects.filter(number=1).delete(),
    cascade=lambda: Product.objects.filter(name="product 4").delete(),
    get_or_create=lambda: Customer.objects.get_or_create(name="nobody"),
    copy=lambda: Country.objects.create(code="XX", name="x"),
    copies=lambda: Label.objects.bulk_create([Label(name="x")]),
    update_of_copies=lambda: Label.objects.update(name="x"),
    delete_of_copies=lambda: Label.objects.filter(name="unused").delete(),
)
@pytest.mark.usefixtures("missing")
def test_nothing_is_asked_of_some_shards_when_an_owner_is_missing_in_the_settings(case: Case) -> None:
    with queries_by_database() as seen, pytest.raises(UnknownShard, match=r"'shard_3'.*256 buckets"):
        case()

    assert not set(seen) & set(KEPT), seen.texts
    assert not [sql for _, sql in seen.texts if not sql.startswith("SELECT")]


def test_a_missing_owner_is_an_error_of_the_check_and_nothing_that_a_command_ends_in(missing: str) -> None:
    store.reset_map()

    (message,) = check_catalog(databases=["default"])

    assert "shardkit.E050" == message.id
    assert repr(missing) in message.msg
    with pytest.raises(CommandError, match=missing):
        call_command("flush", interactive=False, stdout=StringIO())


@pytest.mark.usefixtures("missing")
def test_a_missing_owner_leaves_reads_of_default_alone() -> None:
    assert Product.objects.exists()
    assert Country.objects.exists()


@cases(
    rows=lambda: list(Order.objects.all()),
    count=Order.objects.count,
    groups=lambda: list(Order.objects.values("status").annotate(n=Count("pk"))),
    gather=lambda: list(Order.objects.filter(product__name="product 1")),
    reference=lambda: list(Country.objects.filter(customer__score=1)),
    explain=Order.objects.explain,
    update=lambda: Order.objects.update(note="x"),
    delete=lambda: Order.objects.filter(number=1).delete(),
)
def test_a_shard_without_buckets_is_not_asked(idle: str, case: Case) -> None:
    with queries_by_database() as seen:
        case()

    assert set(KEPT) == set(seen) - {"default"}
    assert idle not in Order.objects.route().aliases  # type: ignore[union-attr]


def test_a_shard_without_buckets_gets_the_copies_of_reference_rows(idle: str) -> None:
    label = Label.objects.create(name="new")
    Label.objects.filter(pk=label.pk).update(name="newer")

    assert "newer" == Label.objects.using(idle).get(pk=label.pk).name
    label.delete()
    assert not Label.objects.using(idle).filter(name="newer").exists()


def test_which_shards_own_buckets_is_not_asked_again(shop: Shop) -> None:
    Order.objects.count()

    with CaptureQueriesContext(connection) as on_default:
        Order.objects.count()

    assert [] == on_default.captured_queries
    assert shop.shards == owners.all_aliases()
