"""What is one run, from the first server to the summary?"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import statistics
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.soak.caches import CacheServer, Forgetting, running_caches
from tests.soak.clusters import Cluster, running_cluster
from tests.soak.faults import MAX_LAG, Faults
from tests.soak.serving import served
from tests.soak.traffic import POSITIONS, STORES_OF_DEVICES, Gate, Habits, Population, busy

logger = logging.getLogger(__name__)

#: How many rows of each sort a population has.
TRAVELLERS, GROUPS = 120, 4
#: Names of groups are unique, so each counts up from a number of its own.
_FIRST_NAMES: Final = itertools.count(10**7, 10**7)
#: How many cookies' lengths, reasons and errors a summary names.
NAMED: Final = 25


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is asked to do."""

    vendor: str
    seconds: float
    seed: int
    rules: tuple[str, ...] = ("positions",)
    habits: Habits = field(default_factory=Habits)
    #: All replicas are so many seconds late, and nothing else goes wrong; None: whatever can go wrong does.
    lag: float | None = None
    max_lag: float = MAX_LAG


def run(plan: Plan) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Do it, and return the summary, and for each rule the stories of its violations."""
    with site(plan) as (cluster, ports, caches):
        populations = populate(plan.rules, plan.habits)
        for group in cluster.groups:
            for replica in group.replicas:
                replica.wait_for(group.primary)
        logger.info("The users come")
        gate = Gate()
        faults = _faults(plan, cluster, caches, gate)
        for each in faults:
            each.start()
        try:
            asyncio.run(busy(populations, ports, gate, seconds=plan.seconds, seed=plan.seed))
        finally:
            for each in faults:
                each.stop()
        complaints = _complaints(cluster.directory)
    found = summary(plan, populations, faults) | {"site complained": complaints}
    return found, {each.rule: each.stories for each in populations}


@contextmanager
def site(plan: Plan) -> Iterator[tuple[Cluster, tuple[int, int], dict[str, CacheServer]]]:
    """Run the cluster and the site inside the block, and yield it with the ports of gunicorn and uvicorn."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(plan.vendor))
        caches = stack.enter_context(running_caches(plan.habits.stores))
        cluster.caches = {name: each.entry for name, each in caches.items()}
        cluster.write_config(REPLICA_MAX_LAG=plan.max_lag)
        logger.info("All machines run")
        _migrate(cluster)
        logger.info("All tables are there")
        ports = (
            stack.enter_context(served(cluster)),
            stack.enter_context(served(cluster, gunicorn=False)),
        )
        yield cluster, ports, caches


def _migrate(cluster: Cluster) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.soak.site.settings"
    os.environ["SOAK_CONFIG"] = str(cluster.config)
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate_shards", verbosity=0)
    connections.close_all()


def populate(rules: Sequence[str], habits: Habits) -> list[Population]:
    """Give each rule users, and rows of their own."""
    from django.contrib.auth.models import Group
    from django.db import connections

    from testapp.flights.models import Traveller

    made: list[Population] = []
    for rule in rules:
        travellers = Traveller.objects.bulk_create(Traveller(name="0", email="-") for _ in range(TRAVELLERS))
        groups = [Group.objects.create(name=str(next(_FIRST_NAMES))) for _ in range(GROUPS)]
        made.append(Population(rule, _keys(travellers), _keys(groups), habits))
    connections.close_all()
    return made


def _keys(rows: Iterable[Any]) -> list[int]:
    return [row.pk for row in rows]


def _faults(plan: Plan, cluster: Cluster, caches: dict[str, CacheServer], gate: Gate) -> list[Faults | Forgetting]:
    """Break both groups, each in an order of its own, and memcached; one primary is lost on the way."""
    if plan.lag is not None:
        cluster.be_late(plan.lag)
        return []
    dice = [random.Random(f"{plan.seed} {group.name}") for group in cluster.groups]  # noqa: S311 - has to be repeated
    made = [Faults(each, group, gate) for group, each in zip(cluster.groups, dice, strict=True)]
    made[-1].fails_over_after = plan.seconds * 0.5
    return [*made, *_forgetting(plan, caches)]


def _forgetting(plan: Plan, caches: dict[str, CacheServer]) -> list[Forgetting]:
    """Let memcached forget; Redis has users whose devices need it to remember."""
    dice = random.Random(f"{plan.seed} cache")  # noqa: S311 - has to be repeated
    return [Forgetting(dice, cache) for name, cache in caches.items() if name not in STORES_OF_DEVICES]


def _complaints(directory: Path) -> list[str]:
    """Return the last lines that the site logged, beside its tracebacks."""
    lines = [line for log in directory.glob("*.log") for line in log.read_text(errors="replace").splitlines()]
    return lines[-NAMED:]


def summary(plan: Plan, populations: list[Population], faults: list[Faults | Forgetting]) -> dict[str, Any]:
    """Say what the run found."""
    return {
        "vendor": plan.vendor,
        "seed": plan.seed,
        "seconds": plan.seconds,
        "max_lag": plan.max_lag,
        "rules": {each.rule: _findings(each) for each in populations},
        "stores": _by_store(populations),
        "faults": [event for each in faults for event in sorted((each.name, *event) for event in each.events)],
        "trouble": [trouble for each in faults for trouble in each.trouble],
    }


def _by_store(populations: list[Population]) -> dict[str, dict[str, int]]:
    """Say what shardkit's own rule showed to the users of each store."""
    judged = [each for each in populations if each.rule == POSITIONS]
    return {store: dict(tally) for each in judged for store, tally in sorted(each.stores.items())}


def _findings(population: Population) -> dict[str, Any]:
    checked, roles = population.checker.counts, population.roles
    all_roles = sum(roles.values())
    return {
        "read requests": checked["reads"],
        "write requests": checked["writes"],
        "rows read": checked["rows"],
        "rows checked: read your writes": checked["rows checked: read your writes"],
        "rows checked: monotonic": checked["rows checked: monotonic"],
        "violations: read your writes": checked["violations: read your writes"],
        "violations: monotonic": checked["violations: monotonic"],
        "share of replicas": round(roles["replica"] / all_roles, 4) if all_roles else None,
        "median milliseconds": round(statistics.median(population.seconds) * 1000, 2) if population.seconds else None,
        "longest cookies": population.cookie_bytes,
        "stores": {store: dict(tally) for store, tally in sorted(population.stores.items())},
        "views": {view: dict(tally) for view, tally in sorted(population.views.items())},
        "errors": dict(population.errors.most_common(NAMED)),
        "reasons": dict(population.whys.most_common(NAMED)),
    }
