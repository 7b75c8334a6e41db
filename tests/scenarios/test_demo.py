"""Does the demo tell the truth about a cluster that works, and touch nothing that is not its own?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest

from testapp.demo.embedded import Content, NotOurs, content_of, fresh_files
from testapp.servers.process import free_port
from tests.scenarios.test_loading_flights import FILES

ROOT = Path(__file__).parents[2]
#: The demo runs on databases of its own, of the vendor that this run is about.
VENDOR = os.environ.get("TESTAPP_VENDOR", "sqlite")
on_files = pytest.mark.skipif(VENDOR != "sqlite", reason="only SQLite's databases are files that outlive the demo")
on_servers = pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no servers")
with_replicas = pytest.mark.skipif(VENDOR == "mysql", reason="the demo starts replicas of SQLite and PostgreSQL")
#: How long a demo of a few rows may take on a busy machine, in seconds.
PATIENCE_SECONDS = 120
#: Variables that would lead the demo to other databases, were they not ignored.
SOMEBODY_ELSES = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/precious", "TESTAPP_VENDOR": "mysql"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small source files."""
    folder = tmp_path_factory.mktemp("source")
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def command(source: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "testapp.demo", "--engine", VENDOR, "--source", str(source), *options]


def read_from(step: str) -> str:
    """Say whether a *step* of the chapter about replicas read from a replica or from the primary."""
    rows = [line.split() for line in step.splitlines() if re.match(r"    shard_\d", line)]
    (role,) = {"replica" if "_replica_" in alias else "primary" for alias, *_rest in rows}
    return role


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, **SOMEBODY_ELSES, "SHARDKIT_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def demo(home: Path, source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with its files in *home*."""
    return subprocess.run(
        command(source, *options),
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def told(home: Path, source: Path) -> str:
    """What a demo printed that ended well."""
    ended = demo(home, source)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@contextmanager
def serving(words: list[str], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that serves the site inside the block."""
    with subprocess.Popen(words, cwd=ROOT, env=environment(home), stdout=subprocess.DEVNULL) as site:
        try:
            yield site
        finally:
            site.terminate()


def page(site: subprocess.Popen[bytes], address: str) -> str:
    """Open a page of a *site* that is about to start."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - it is ours
                text: str = answer.read().decode()
                return text
        except URLError:
            assert site.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)


class TestTheStory:
    def test_it_says_whose_databases_it_ignores(self, told: str):
        words = told.partition("1. Four shards")[0].split()

        assert {"ignores", "DATABASE_URL,", "TESTAPP_VENDOR"} <= {*words}

    def test_every_database_is_migrated(self, told: str):
        assert told.count("migrated, ") == 6

    def test_the_rows_of_the_files_are_loaded_and_verified(self, told: str):
        assert "4/4" in told
        assert "Every row of the files is where it should be, and no other row is." in told

    def test_a_new_row_is_found_on_one_shard_that_owns_its_bucket(self, told: str):
        visits = told.partition("\n5. ")[0]
        bookings = [line.split() for line in visits.splitlines() if line.split()[1:2] == ["Booking"]]

        assert len(bookings) == 3
        for shard, _model, _pk, *why in bookings:
            assert why[-3:] == ["which", shard, "owns"]

    def test_a_placed_row_is_found_on_its_database(self, told: str):
        assert "    audit     AuditLog 1 " in told

    def test_every_statement_has_its_reason(self, told: str):
        assert "why there" in told
        assert "no plan" not in told

    def test_questions_about_all_flights_are_merged(self, told: str):
        count, route, *_rest = told.partition("Flight.objects.count()")[2].split("\n    ")[1:]

        assert (count, route) == ("4", "Merge: shard_0, shard_1, shard_2, shard_3")

    def test_rows_of_several_shards_meet_by_gathering(self, told: str):
        after = told.partition("Booking.objects.filter(status='booked')")[2].partition("Statements: ")[0]

        assert after.count("'Ada Lovelace'") == 1  # who cancelled the other one
        assert "Gather: shard_0, shard_1, shard_2, shard_3" in after

    def test_a_cursor_leads_on_and_back(self, told: str):
        pages = told.partition("page = flights.cursor_page(")[2].split("flights.cursor_page(")

        first, second, again = (" ".join(page.partition("[")[2].partition("]")[0].split()) for page in pages)
        assert (3, 1) == (first.count("<Flight: "), second.count("<Flight: "))
        assert first == again
        assert all("Merge: shard_0, shard_1, shard_2, shard_3" in page for page in pages)

    def test_a_row_cannot_be_led_astray(self, told: str):
        assert "WrongShard: flights.Booking.save()" in told
        assert "ShardKeyImmutable: flights.Booking.save()" in told
        assert "2 of 2 are refused, by name." in told

    @with_replicas
    def test_a_booking_is_read_from_the_primary_and_then_from_the_replica(self, told: str):
        _before, *steps = re.split(r"\n \d\. ", told.partition("\n8. ")[2].partition("\n9. ")[0])
        first, booked, at_once, _elsewhere, later = (step.partition("What a program asks for")[0] for step in steps)

        assert [("replica", False), ("primary", True), ("replica", True)] == [
            (read_from(step), "The page shows seat 14F." in step) for step in (first, at_once, later)
        ]
        (position,) = re.findall(r"position (\S+) of shard_\d or later", booked)
        assert f"sticky until {position}" in at_once

    @with_replicas
    def test_what_a_program_asks_for_decides_too(self, told: str):
        asked = told.partition("What a program asks for")[2]

        assert ": fresh (" in asked.partition("mine.replica(")[0]
        assert ": primary() asks for it" in asked

    @on_files
    def test_it_says_how_to_open_the_site(self, told: str, home: Path):
        assert "user admin, password " in told
        assert f"SHARDKIT_HOME={home} " in told
        assert "-m testapp runserver 8000" in told

    @on_servers
    def test_it_says_how_to_keep_the_servers(self, told: str, home: Path):
        assert "6 PostgreSQL servers" in told or "6 MariaDB servers" in told
        assert f"make demo ENGINE={VENDOR} SERVE=1" in told
        assert not list(home.iterdir())


class TestTheSiteAfterwards:
    @on_files
    def test_it_answers_with_the_rows_of_the_demo(self, told: str, home: Path):
        port = free_port()
        (opened,) = (line.split() for line in told.splitlines() if " runserver " in line)

        with serving([*opened[:-1], "--noreload", str(port)], home) as site:
            assert "2 flights, " in page(site, f"http://127.0.0.1:{port}/planes/N14228/")

    def test_the_demo_can_go_on_as_the_site(self, tmp_path: Path, source: Path):
        port = free_port()

        with serving(command(source, "--flights", "2", "--serve", "--port", str(port)), tmp_path) as site:
            assert "1 flight, " in page(site, f"http://127.0.0.1:{port}/planes/N14228/")
            site.send_signal(signal.SIGTERM)
            assert site.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM

        with pytest.raises(URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


@on_files
class TestItsOwnFiles:
    def test_a_second_demo_starts_over(self, told: str, home: Path, source: Path):
        ended = demo(home, source)

        assert ended.returncode == 0
        assert "are deleted" not in told
        assert "The files of the last demo were there, and are deleted." in " ".join(ended.stdout.split())

    def test_a_cluster_of_somebody_else_is_left_alone(self, tmp_path: Path, source: Path):
        with closing(sqlite3.connect(tmp_path / "shard_2.sqlite3")) as connection:
            connection.execute("CREATE TABLE precious (id INTEGER)")

        ended = demo(tmp_path, source)

        assert ended.returncode == 1
        assert "shard_2.sqlite3 was not made by the demo" in ended.stderr
        assert [file.name for file in tmp_path.iterdir()] == ["shard_2.sqlite3"]

    def test_files_that_hold_no_table_are_taken(self, tmp_path: Path):
        (tmp_path / "default.sqlite3").touch()

        with fresh_files(tmp_path, ["default"]) as had_a_demo:
            assert not had_a_demo
        assert content_of(tmp_path / "default.sqlite3") is Content.A_DEMO

    def test_what_is_no_database_is_left_alone(self, tmp_path: Path):
        (tmp_path / "default.sqlite3").write_text("dear diary\n" * 100)

        with pytest.raises(NotOurs), fresh_files(tmp_path, ["default"]):
            pass

    def test_two_demos_do_not_share_a_directory(self, tmp_path: Path, source: Path):
        with fresh_files(tmp_path, ["default"]):
            ended = demo(tmp_path, source)

        assert ended.returncode == 1
        assert f"Another demo is running in {tmp_path}" in ended.stderr


@pytest.mark.any_vendor
class TestBadInput:
    def test_a_difference_from_the_files_ends_with_1(self, tmp_path: Path, source: Path):
        folder = shutil.copytree(source, tmp_path / "source")
        (folder / "airlines.csv").write_text(f"{FILES['airlines']}B6,JetBlue Airways\n")

        ended = demo(tmp_path / "home", folder)

        assert ended.returncode == 1
        assert "The files and the databases differ." in ended.stdout
        assert "Open the site" not in ended.stdout

    @pytest.mark.parametrize(
        "options", [["--flights", "13"], ["--flights", "1,,2"], ["--port", "x"], ["--source", "x"]]
    )
    def test_what_cannot_be_shown_is_refused_before_anything_is_made(self, tmp_path: Path, source: Path, options):
        home = tmp_path / "home"

        ended = demo(home, source, *options)

        assert ended.returncode == 2
        assert not home.exists()
