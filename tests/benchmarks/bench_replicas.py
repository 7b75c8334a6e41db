"""What does the choice of a replica cost a read, and the middleware a request?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from shardkit.consistency.pool import Pool, pooled_by
from shardkit.consistency.reading import Reading
from shardkit.consistency.session import Session, session_scope
from shardkit.middleware import StickyPrimaryMiddleware
from shardkit.positions.counter import Counter
from shardkit.replication import readings
from shardkit.replication.readings import Reading as ReplicaReading
from shardkit.replication.selection import Choice
from shardkit.topology.names import Alias
from shardkit.vendors.replication.registry import replication_of
from tests.benchmarks.cases import first_customer
from tests.benchmarks.measuring import Clock, Side, compare
from tests.benchmarks.report import Line, Report
from tests.benchmarks.twins import twin, without_routers
from tests.shop.models import Customer

SECTION: Final = "Replicas: a read with a reading at hand, and a request with nothing pending (microseconds more)"


class Mirror(Pool):
    """Replicas that are on their primary, so that both sides ask the same database."""

    def watch(self, primary: Alias) -> None:
        """Leave the readings as they are."""

    def connection(self, primary: Alias, choice: Choice) -> Any:
        """Return the connection to the primary."""
        del choice
        return connections[primary]


@contextmanager
def mirrored(shard: str) -> Iterator[None]:
    replicas = {shard: [f"{shard}_one", f"{shard}_two"]}
    changed = {**settings.SHARDKIT, "REPLICAS": replicas, "REPLICA_INTERVAL": 1000.0, "REPLICA_MAX_LAG": 3000.0}
    with override_settings(SHARDKIT=changed), pooled_by(Mirror()):
        connection = connections[shard]
        connection.ensure_connection()
        life = replication_of(connection).state(connection).life
        for alias in replicas[shard]:
            readings.note(Alias(alias), ReplicaReading(Counter(0, 1), life, time.monotonic(), 0.0))
        yield
    readings.forget()


def test_the_choice_of_a_replica(report: Report, clock: Clock) -> None:
    customer = first_customer()
    shard = str(customer.shard)
    plain = twin(Customer).objects
    with mirrored(shard), session_scope(Session()):
        one = Side(lambda: plain.using(shard).get(pk=customer.pk), without_routers)
        timing = compare(one, Side(lambda: Customer.objects.get(pk=customer.pk)), clock=clock)
        report.add(SECTION, Line("`get()` by pk, against `.using()`", timing))
        choice = compare(Side(lambda: connections[shard]), Side(lambda: chosen(shard)), clock=clock)
        report.add(SECTION, Line("the choice alone (goal: 10 µs more)", choice))


def chosen(shard: str) -> object:
    reading = Reading()
    connection = reading.connection(Alias(shard))
    reading.done()
    return connection


def test_the_middleware(report: Report, clock: Clock) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        del request
        return HttpResponse()

    with mirrored(str(first_customer().shard)):
        request, middleware = RequestFactory().get("/"), StickyPrimaryMiddleware(view)
        timing = compare(Side(lambda: view(request)), Side(lambda: middleware(request)), clock=clock)
        report.add(SECTION, Line("a request that writes nothing (goal: 30 µs more)", timing))
