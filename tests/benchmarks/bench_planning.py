"""Does planning cost more with more shards, or more buckets?

Topology and shard map are made up: planning opens no connection to a shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from django.db import models
from django.test import override_settings

from shardkit.catalog import store
from shardkit.orm.planning import plan_of
from shardkit.routing.plan import Merge, Single
from shardkit.routing.shortcut import shortcut
from shardkit.topology.names import LOGICAL, ShardId
from shardkit.topology.shardmap import even_split
from tests.benchmarks.measuring import Side, compare, count_calls
from tests.benchmarks.report import Goal, Report
from tests.benchmarks.report import Line as ReportLine
from tests.shop.models import Line, Order

SECTION: Final = "Planning alone, against the same planning with 2 shards and 1,024 buckets"
CLUSTERS: Final = ((64, 1024), (1024, 1024), (1024, 4096))
UNCHANGED: Final = Goal(1.10, 1.10)


@contextmanager
def cluster(shards: int, buckets: int, warm: Callable[[], object]) -> Iterator[None]:
    """Let the settings and the shard map be those of a cluster of that size, and caches warm."""
    names = [ShardId(f"shard_{number}") for number in range(shards)]
    with override_settings(SHARDKIT={"SHARDS": names, "BUCKETS": buckets}):
        store._slot.shard_map = even_split(names, buckets)
        warm()
        yield


def test_planning_does_not_depend_on_the_size_of_the_cluster(report: Report) -> None:
    keyed = Order.objects.filter(customer=4096, number=7)
    joined = Line.objects.filter(order__customer=4096)
    several = Order.objects.filter(customer__in=range(4096, 8192, 512))
    measure(report, "at a glance", partial(shortcut, keyed.query, {}), lambda plan: plan == "shard_0")
    measure(report, "a pinned join", partial(planned, joined), lambda plan: isinstance(plan, Single))
    measure(report, "eight keys, several shards", partial(planned, several), lambda plan: isinstance(plan, Merge))


def planned(rows: models.QuerySet[Any]) -> Any:
    return plan_of(rows.query.get_compiler(LOGICAL))


def measure(report: Report, name: str, call: Callable[[], Any], is_right: Callable[[Any], bool]) -> None:
    small = Side(call, partial(cluster, 2, 1024, call))
    for shards, buckets in CLUSTERS:
        large = Side(call, partial(cluster, shards, buckets, call))
        with large.world():
            assert is_right(call())
        report.add(
            SECTION,
            ReportLine(
                f"{name}: {shards:,} shards, {buckets:,} buckets",
                compare(small, large, rounds=100),
                UNCHANGED,
                calls=(count_calls(small), count_calls(large)),
            ),
        )
