"""Do the questions that the tutorials of nycflights13 ask come out right over shards with different keys?

Flights and planes are placed by tail number, the weather by airport and month, airlines and airports are copied
everywhere. What is right comes from the files, read with nothing but Python's csv module. January is asked about, or
the months that TESTAPP_MONTHS names; TESTAPP_SHARDS=0 asks one plain database. The numbers that tutorials print are of
the whole year:

    TESTAPP_MONTHS=all python -m pytest tests/scenarios/test_known_numbers.py
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import reduce
from itertools import islice
from operator import or_
from statistics import fmean, stdev
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Avg, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, StdDev, Subquery, Sum, Window
from django.db.models.functions import Rank

from shardkit.routing.plan import Gather, Merge, Single
from testapp.flights.dataset.arguments import months_in
from testapp.flights.dataset.files import ABSENT
from testapp.flights.models import Airport, Flight, Plane, Weather
from tests.fix_year import MONTHS, Files, Line, close, floats, grouped, known, most, numbers

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("loaded")]


@pytest.fixture(autouse=True)
def budget(settings) -> None:
    """Let a question gather all flights, however many months there are."""
    if settings.SHARDKIT:
        settings.SHARDKIT = {**settings.SHARDKIT, "GATHER_ROWS": 1_000_000, "GATHER_BYTES": 2**31}


def planned(plan: type[Any], queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Return *queryset*, if *plan* is how shards answer it."""
    assert not settings.SHARDKIT or isinstance(queryset.route(), plan), queryset.route()  # type: ignore[attr-defined]
    return queryset


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

    @pytest.mark.parametrize("month", months_in(MONTHS))
    def test_flights_that_left_in_an_hour_without_a_reading(self, files: Files, month):
        readings = grouped(files.weather, *HOUR)

        unread = Flight.objects.filter(~Exists(reading()), month=month)
        counted = unread.values_list("origin").annotate(n=Count("id")).order_by("origin")

        flights = [line for line in files.flights if line["month"] == str(month)]
        expected = Counter(line["origin"] for line in flights if tuple(line[name] for name in HOUR) not in readings)
        assert sorted(expected.items()) == list(planned(Gather, counted))

    @pytest.mark.parametrize("month", months_in(MONTHS))
    def test_delays_by_the_visibility_they_left_in(self, files: Files, month):
        joined = (
            Flight.objects.filter(month=month)
            .annotate(visib=Subquery(reading().values("visib")[:1]))
            .exclude(visib=None)
            .values_list("visib")
            .annotate(n=Count("id"), delay=Avg("dep_delay"))
            .order_by("visib")
        )

        assert self.joined(files, month) == [floats(row) for row in planned(Gather, joined)]

    def joined(self, files: Files, month: int) -> list[tuple[Any, ...]]:
        """Left-join the flights of *month* with the weather, as the tutorials do."""
        readings = {key: lines[0]["visib"] for key, lines in grouped(files.weather, *HOUR).items()}
        groups: dict[str, list[Line]] = defaultdict(list)
        for line in files.flights:
            if line["month"] == str(month):
                groups[readings.get(tuple(line[name] for name in HOUR), ABSENT)].append(line)
        return sorted(
            (float(visib), len(lines), close(fmean(numbers(lines, "dep_delay"))))
            for visib, lines in groups.items()
            if visib != ABSENT
        )

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


@pytest.mark.skipif(MONTHS != "all", reason="the numbers are of all months: set TESTAPP_MONTHS=all")
class TestTheWholeYear:
    """What joins find, in numbers: SQL over the files as one table each says the same."""

    def test_flights_join_readings(self):
        rows = planned(Gather, Flight.objects.filter(Exists(reading())))
        joined = planned(Gather, Flight.objects.filter(~Exists(reading())))

        assert 336_776 == Flight.objects.count()
        assert 335_220 == rows.count()
        assert [("EWR", 642), ("JFK", 546), ("LGA", 368)] == list(
            joined.values_list("origin").annotate(n=Count("id")).order_by("origin")
        )

    def test_readings_join_flights(self):
        """Two readings share an hour at each airport in the night in which clocks are set back, when nobody flies."""
        hours = {name: OuterRef(name) for name in HOUR}

        assert 26_115 == Weather.objects.count()
        assert 19_378 == planned(Gather, Weather.objects.filter(Exists(Flight.objects.filter(**hours)))).count()

    def test_delays_by_visibility(self):
        found = planned(
            Gather,
            Flight.objects.annotate(visib=Subquery(reading().values("visib")[:1]))
            .exclude(visib=None)
            .values_list("visib")
            .annotate(n=Count("id"), delay=Avg("dep_delay"))
            .order_by("visib"),
        )

        rows = [floats(row) for row in found]
        assert 20 == len(rows)
        assert 335_220 == sum(n for _visib, n, _delay in rows)
        assert [(0.0, 110, close(32.252873563218394)), (0.06, 93, close(22.2))] == rows[:2]
        assert [(9.0, 11_436, close(18.762949476558944)), (10.0, 278_739, close(10.951549367828692))] == rows[-2:]

    def test_flights_without_a_described_plane(self):
        described = Plane.objects.filter(pk=OuterRef("plane"))
        counted = Flight.objects.filter(~Exists(described)).values_list("plane").annotate(n=Count("id"))

        expected = [(None, 2512), ("N725MQ", 575), ("N722MQ", 513), ("N723MQ", 507), ("N713MQ", 483), ("N735MQ", 396)]
        assert expected == list(counted.order_by("-n", "plane")[:6])
        assert 722 == len(counted)


def hour_of(key: tuple[str, ...]) -> tuple[Any, ...]:
    """Turn texts of a file into an hour that compares as the database's does."""
    origin, *moment = key
    return (origin, *map(int, moment))
