"""What do pages, streams and groups of every flight of 2013 cost on four shards?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from django.db import connections
from django.db.models import Avg, Count, F, Max, Min, StdDev, Sum

from shardkit.routing import owners
from testapp.flights.dataset.files import TABLES, YEAR, installed_folder
from testapp.flights.dataset.loading import batches, load_table
from testapp.flights.models import Airline, Airport, Flight
from tests.benchmarks.bench_merge import GOAL as STREAMING
from tests.benchmarks.bench_merge import counting_rows
from tests.benchmarks.measuring import WALL, Side, compare
from tests.benchmarks.report import Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.fix_shop import copy_to_oracle
from tests.oracle import ORACLE

PAGES: Final = "Pages of {rows:,} flights on four shards, against one plain database that holds them all"
STREAMS: Final = "Streams of {rows:,} flights of four shards, against one plain database that holds them all"
GROUPS: Final = (
    "Groups and aggregates of {rows:,} flights on four shards, against one plain database that holds them all"
)
PEER: Final = "The same by SQLAlchemy's horizontal sharding on these shards, whose rows Python adds, against ours"
FLIGHTS: Final = next(table for table in TABLES if table.name == "flights")
ROUNDS: Final = 9
#: How many rows an INSERT has here.
BATCH: Final = 5000

Ask = Callable[[Any], Any]


@pytest.fixture(scope="module", autouse=True)
def flights() -> Iterator[int]:
    """Load every flight on the shards, and the same on the plain database."""
    folder = installed_folder()
    for table in TABLES:
        if table.model in {Airline, Airport}:
            load_table(table, folder, YEAR)
            copy_to_oracle(table.model)
    load_table(FLIGHTS, folder, YEAR)
    plain = twin(Flight)
    for shard in owners.all_aliases():
        rows = plain.objects.using(shard).order_by("pk").iterator(BATCH)
        for batch in batches(rows):
            plain.objects.using(ORACLE).bulk_create(batch)
    yield plain.objects.using(ORACLE).count()
    with ExitStack() as stack:
        for alias in (*owners.all_aliases(), ORACLE):
            cursor = stack.enter_context(connections[alias].cursor())
            for model in (Flight, Airport, Airline):
                cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608


QUESTIONS: Final[dict[str, Ask]] = {
    "`count()`": lambda rows: rows.count(),
    "least, greatest and number": lambda rows: rows.aggregate(Min("distance"), Max("time_hour"), Count("arr_delay")),
    "mean and standard deviation": lambda rows: rows.filter(arr_delay__isnull=False).aggregate(
        Avg("arr_delay"), StdDev("arr_delay")
    ),
    "number by carrier": lambda rows: list(rows.values("carrier").annotate(n=Count("id")).order_by("-n")),
    "the ten carriers that are most late, of those with many late flights": lambda rows: list(
        rows.filter(dep_delay__gt=60)
        .values("carrier")
        .annotate(n=Count("id"), late=Avg("arr_delay"))
        .filter(n__gt=100)
        .order_by("-late")[:10]
    ),
    "mean delays by month": lambda rows: list(
        rows.values("month").annotate(a=Avg("dep_delay"), b=Avg("arr_delay"), n=Count("id")).order_by("month")
    ),
    "number and distance by carrier and destination": lambda rows: list(
        rows.values("carrier", "dest").annotate(n=Count("id"), s=Sum("distance")).order_by("carrier", "dest")
    ),
    "planes by carrier: distinct values travel": lambda rows: list(
        rows.values("carrier").annotate(n=Count("plane", distinct=True)).order_by("carrier")
    ),
    "destinations, once each": lambda rows: list(rows.values_list("dest", flat=True).distinct().order_by("dest")),
    "number by plane: each is on its shard": lambda rows: list(
        rows.values("plane").annotate(n=Count("id")).order_by("-n", "plane")[:20]
    ),
}


LISTS: Final[dict[str, Ask]] = {
    "the most late": lambda rows: list(rows.order_by(F("dep_delay").desc(nulls_last=True), "id")[:20]),
    "the first by hour and number": lambda rows: list(rows.order_by("time_hour", "number", "id")[:20]),
    "the first by destination": lambda rows: list(rows.order_by("dest_id", "id")[:20]),
    "of one airline, the first by the primary key": lambda rows: list(rows.filter(carrier="AA").order_by("pk")[:20]),
}


@pytest.mark.parametrize("name", LISTS)
def test_pages_of_flights(name: str, flights: int, report: Report) -> None:
    plain, ours = sides(LISTS[name])
    with queries_by_database() as seen, counting_rows() as sent:
        mine: Any = ours.call()
    with plain.world():
        theirs: Any = plain.call()
    assert [row.pk for row in theirs] == [row.pk for row in mine]
    assert sum(sent) <= 20 * len(owners.all_aliases())
    timing = compare(plain, ours, clock=WALL, calls=1, rounds=ROUNDS)
    line = Line(f"20 flights, {name}: {sum(sent)} rows fetched", timing, statements=(1, seen.total()))
    report.add(PAGES.format(rows=flights), line)


FLOWS: Final[dict[str, Ask]] = {
    "instances, in no order": lambda rows: rows.order_by(),
    "instances by the primary key": lambda rows: rows.order_by("pk"),
    "three columns by the primary key": lambda rows: rows.order_by("pk").values_list("pk", "carrier", "dep_delay"),
}


@pytest.mark.parametrize("name", FLOWS)
def test_streams_of_flights(name: str, flights: int, report: Report) -> None:
    plain, ours = sides(lambda rows: sum(1 for _ in FLOWS[name](rows).iterator()))
    timing = compare(plain, ours, clock=WALL, calls=1, rounds=3)
    assert ours.call() == flights
    section, rates = STREAMS.format(rows=flights), [f"{flights / side * 1e9:,.0f}" for side in timing.medians]
    report.add(section, Line(name, timing, STREAMING))
    report.add(section, Line("the same, in rows per second", plain=rates[0], ours=rates[1]))


@pytest.mark.parametrize("name", QUESTIONS)
def test_groups(name: str, flights: int, report: Report) -> None:
    plain, ours = sides(QUESTIONS[name])
    ours.call()  # what values are is asked once
    with queries_by_database() as seen:
        mine = ours.call()
    with one_plain_database():
        theirs = plain.call()
    assert _rounded(theirs) == _rounded(mine)
    timing = compare(plain, ours, clock=WALL, calls=1, rounds=ROUNDS)
    report.add(GROUPS.format(rows=flights), Line(name, timing, statements=(1, seen.total())))


def sides(ask: Ask) -> tuple[Side, Side]:
    plain = twin(Flight)
    return Side(lambda: ask(plain.objects), one_plain_database), Side(lambda: ask(Flight.objects))


def _rounded(answer: Any) -> Any:
    """Round floats, which may be added in another order."""
    match answer:
        case float():
            return round(answer, 9)
        case dict():
            return {name: _rounded(value) for name, value in answer.items()}
        case list():
            return [_rounded(row) for row in answer]
        case _:
            return answer


def test_against_horizontal_sharding_of_sqlalchemy(report: Report) -> None:
    """It runs the statement on each shard and hands out all rows: what they mean together is left to the caller."""
    pytest.importorskip("sqlalchemy", reason="pip install --group bench")
    session, flight = _sharded_session()

    def counted() -> Any:
        from sqlalchemy import func, select

        found: Counter[str] = Counter()
        for carrier, n in session.execute(select(flight.carrier, func.count(flight.id)).group_by(flight.carrier)):
            found[carrier] += n
        return sorted(found.items())

    def by_plane() -> Any:
        from sqlalchemy import func, select

        number = func.count(flight.id)
        return sorted(
            tuple(row) for row in session.execute(select(flight.tailnum, number).group_by(flight.tailnum)) if row[0]
        )

    ours: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "number by carrier": (
            counted,
            lambda: list(Flight.objects.values_list("carrier").annotate(n=Count("id")).order_by("carrier")),
        ),
        "number by plane: each is on its shard": (
            by_plane,
            lambda: sorted(Flight.objects.exclude(plane=None).values_list("plane").annotate(n=Count("id"))),
        ),
    }
    for name, (theirs, mine) in ours.items():
        assert theirs() == mine()
        timing = compare(Side(theirs), Side(mine), clock=WALL, calls=1, rounds=ROUNDS)
        report.add(PEER, Line(name, timing))
    session.close()


def _sharded_session() -> tuple[Any, Any]:
    """Return a session of SQLAlchemy's over the connections of the shards, and the flights as it sees them."""
    from sqlalchemy import Integer, String, create_engine
    from sqlalchemy.ext.horizontal_shard import ShardedSession
    from sqlalchemy.orm import DeclarativeBase, mapped_column
    from sqlalchemy.pool import StaticPool

    base = type("Base", (DeclarativeBase,), {})
    columns = {
        "id": mapped_column(Integer, primary_key=True),
        "carrier": mapped_column(String),
        "tailnum": mapped_column(String),
    }
    flight = type("Flight", (base,), {"__tablename__": Flight._meta.db_table, **columns})
    url = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://", "mysql": "mysql+mysqldb://"}
    shards: dict[str, Any] = {}
    for alias in owners.all_aliases():
        connections[alias].ensure_connection()
        driver = connections[alias].connection
        shards[alias] = create_engine(
            url[connections[alias].vendor], creator=lambda driver=driver: driver, poolclass=StaticPool
        )
    session = ShardedSession(
        shard_chooser=lambda *_: owners.all_aliases()[0],
        identity_chooser=lambda *_, **__: owners.all_aliases(),
        execute_chooser=lambda _: owners.all_aliases(),
        shards=shards,
    )
    return session, flight
