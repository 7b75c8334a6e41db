"""Does every row of the source files get into exactly one place, and is it noticed if it did not?"""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from shardkit.routing.registry import databases_of
from testapp.flights.dataset.files import TABLES, YEAR, installed_folder
from testapp.flights.models import Airline, Flight, Plane, Weather

FLIGHT_COLUMNS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour"
)
WEATHER_COLUMNS = (
    "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour"
)
FILES = {
    "airlines": "carrier,name\nUA,United Air Lines Inc.\nB6,JetBlue Airways\nYV,Mesa Airlines Inc.\n",
    "airports": (
        "faa,name,lat,lon,alt,tz,dst,tzone\n"
        "EWR,Newark Liberty Intl,40.6925,-74.168667,18,-5,A,America/New_York\n"
        "JFK,John F Kennedy Intl,40.639751,-73.778925,13,-5,A,NA\n"
        'IAH,"George Bush, Intercontinental",29.984433,-95.341442,97,-6,A,America/Chicago\n'
    ),
    "planes": (
        "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
        "N10156,2004,Fixed wing multi engine,EMBRAER,EMB-145XR,2,55,NA,Turbo-fan\n"
        "N14228,1999,Fixed wing multi engine,BOEING,737-824,2,149,NA,Turbo-fan\n"
        "N999DN,NA,Fixed wing multi engine,MCDONNELL,MD-88,2,142,432,Turbo-jet\n"
    ),
    "weather": (
        f"{WEATHER_COLUMNS}\n"
        "EWR,2013,1,1,1,39.02,26.06,59.37,270,10.357019999999999,NA,0,1012,10,2013-01-01T06:00:00Z\n"
        "EWR,2013,1,1,2,NA,NA,NA,NA,NA,NA,0.25,NA,10,2013-01-01T07:00:00Z\n"
        "EWR,2013,2,1,1,30,20,50,0,5.5,NA,0,1000.5,9,2013-02-01T06:00:00Z\n"
        "JFK,2013,1,1,1,40,27,60,280,11,20,0,1013,10,2013-01-01T06:00:00Z\n"
    ),
    "flights": (
        f"{FLIGHT_COLUMNS}\n"
        "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"
        "2013,1,1,NA,600,NA,NA,800,NA,UA,1,NA,EWR,IAH,NA,1400,6,0,2013-01-01T11:00:00Z\n"
        "2013,1,1,544,545,-1,1004,1022,-18,B6,725,N804JB,JFK,SJU,183,1576,5,45,2013-01-01T10:00:00Z\n"
        "2013,1,2,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-02T10:00:00Z\n"
        "2013,2,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-02-01T10:00:00Z\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Yield a folder of small source files, the flights zipped as in the real one."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.write(tmp_path / "flights.csv", "flights.csv")
    (tmp_path / "flights.csv").unlink()
    return tmp_path


def load(folder: Path, months: str = "all") -> list[int]:
    """Load, and return how many rows of each table the command says that it wrote."""
    out = StringIO()
    call_command("load_flights", source=folder, months=months, stdout=out)
    return [int(line.split()[-2].replace(",", "")) for line in out.getvalue().splitlines()]


def verify(folder: Path, months: str = "all") -> tuple[bool, str]:
    """Compare, and return whether the exit code is 0, and what was printed."""
    out = StringIO()
    code: object = 0
    try:
        call_command("verify_flights", source=folder, months=months, stdout=out, no_color=True)
    except SystemExit as stop:
        code = stop.code
    assert code in {0, 1}
    return code == 0, out.getvalue()


@pytest.mark.django_db(databases="__all__")
@pytest.mark.usefixtures("deployment")
class TestLoading:
    def test_every_row_is_written_once(self, folder: Path):
        assert load(folder) == [3, 3, 3, 4, 5]
        assert verify(folder)[0]

    def test_loading_again_writes_nothing(self, folder: Path):
        load(folder)

        assert load(folder) == [0, 0, 0, 0, 0]

    def test_months_are_loaded_one_by_one(self, folder: Path):
        assert load(folder, "1") == [3, 3, 3, 3, 4]
        assert verify(folder, "1")[0]
        assert load(folder, "1,2") == [0, 0, 0, 1, 1]
        assert verify(folder, "all")[0]

    def test_an_interrupted_load_is_finished_by_the_next(self, folder: Path):
        load(folder)
        Plane.objects.filter(pk="N10156").delete()
        Flight.objects.filter(plane="N14228", month=1, day=2).delete()

        assert load(folder) == [0, 0, 1, 0, 1]
        assert verify(folder)[0]

    def test_what_the_source_does_not_know_is_null(self, folder: Path):
        load(folder)

        assert Plane.objects.get(pk="N999DN").year is None
        assert Weather.objects.get(origin="EWR", year=2013, month=1, hour=2).temp is None
        assert Flight.objects.get(plane=None).dep_time is None

    def test_a_flight_of_an_unknown_plane_to_an_unknown_airport_is_kept(self, folder: Path):
        load(folder)

        pk = Flight.objects.get(plane="N804JB").pk
        flight = Flight.objects.select_related("plane", "dest").get(pk=pk)
        assert (None, None, "SJU") == (flight.plane, flight.dest, flight.dest_id)


@pytest.mark.django_db(databases="__all__")
@pytest.mark.usefixtures("deployment")
class TestVerifying:
    def test_a_row_that_is_missing_is_named(self, folder: Path):
        load(folder)
        Flight.objects.filter(plane="N804JB").delete()

        is_exact, printed = verify(folder)

        assert not is_exact
        assert "flights: line 4 of the file is missing from" in printed

    def test_a_row_that_says_something_else_is_missing_and_surplus(self, folder: Path):
        load(folder)
        Plane.objects.filter(pk="N14228").update(seats=150)

        is_exact, printed = verify(folder)

        assert not is_exact
        assert "planes: line 3 of the file is missing from" in printed
        assert "planes: the row with the key 'N14228'" in printed

    def test_a_row_that_is_there_twice_is_named(self, folder: Path):
        load(folder)
        flight = Flight.objects.get(plane="N804JB")
        flight.pk = None
        flight._state.adding = True
        flight.save()

        is_exact, printed = verify(folder)

        assert not is_exact
        assert "is not in the file, or is there twice" in printed

    def test_a_month_too_much_and_a_month_too_little_differ(self, folder: Path):
        load(folder, "1")
        assert not verify(folder, "1,2")[0]

        load(folder, "2")
        is_exact, printed = verify(folder, "1")
        assert not is_exact
        assert "about other months" in printed

    def test_empty_databases_differ(self, folder: Path):
        assert not verify(folder)[0]

    def test_a_row_on_another_shard_than_its_own_is_named(self, folder: Path):
        aliases = databases_of(Plane)
        if len(aliases) == 1:
            pytest.skip("one plain database has no other place for a row")
        load(folder)
        columns = [field.column for field in Plane._meta.concrete_fields]
        moved = Plane.objects.filter(pk="N14228").values_list(*[field.attname for field in Plane._meta.concrete_fields])
        (row,) = moved
        home = next(alias for alias in aliases if Plane.objects.using(alias).filter(pk="N14228").exists())
        wrong = next(alias for alias in aliases if alias != home)
        places = ", ".join(["%s"] * len(columns))
        names = ", ".join(connections[wrong].ops.quote_name(str(column)) for column in columns)
        with connections[home].cursor() as cursor:
            cursor.execute("DELETE FROM flights_plane WHERE tailnum = 'N14228'")
        with connections[wrong].cursor() as cursor:
            cursor.execute(f"INSERT INTO flights_plane ({names}) VALUES ({places})", row)  # noqa: S608 - quoted

        is_exact, printed = verify(folder)

        assert not is_exact
        assert f"planes: the row with the key 'N14228' in {wrong} belongs to another shard" in printed

    def test_a_copy_that_lost_a_row_is_named(self, folder: Path):
        load(folder)
        alias = databases_of(Airline)[-1]
        with connections[alias].cursor() as cursor:
            cursor.execute("DELETE FROM flights_airline WHERE carrier = 'YV'")

        is_exact, printed = verify(folder)

        assert not is_exact
        assert f"airlines: line 4 of the file is missing from {alias}" in printed

    def test_loading_again_mends_a_copy_that_lost_a_row(self, folder: Path):
        load(folder)
        with connections[databases_of(Airline)[-1]].cursor() as cursor:
            cursor.execute("DELETE FROM flights_airline WHERE carrier = 'YV'")

        assert load(folder) == [1, 0, 0, 0, 0]
        assert verify(folder)[0]


class TestBadInput:
    @pytest.mark.parametrize("months", ["0", "13", "x", "", "1,,2", "1-3"])
    def test_months_that_are_none_are_refused(self, folder: Path, months):
        with pytest.raises(CommandError, match="neither 'all' nor a list of months"):
            load(folder, months)

    @pytest.mark.parametrize("command", ["load_flights", "verify_flights"])
    def test_a_folder_without_the_files_is_refused(self, tmp_path: Path, command):
        with pytest.raises(CommandError, match=r"There is no .*airlines\.csv, and no airlines\.csv\.zip beside it"):
            call_command(command, source=tmp_path)


@pytest.mark.any_vendor
class TestTheInstalledFiles:
    """The numbers that the rest of the project relies on."""

    def test_there_are_as_many_rows_as_we_say(self):
        counts = {table.name: table.count(installed_folder(), YEAR) for table in TABLES}

        assert counts == {"airlines": 16, "airports": 1458, "planes": 3322, "weather": 26115, "flights": 336776}

    def test_the_airlines_fly_as_often_as_we_say(self):
        with zipfile.ZipFile(installed_folder() / "flights.csv.zip") as archive:
            rows = list(csv.DictReader(archive.read("flights.csv").decode().splitlines()))

        assert Counter(row["carrier"] for row in rows).most_common(5) == [
            ("UA", 58665),
            ("B6", 54635),
            ("EV", 54173),
            ("DL", 48110),
            ("AA", 32729),
        ]
        assert sum(row["tailnum"] == "NA" for row in rows) == 2512
