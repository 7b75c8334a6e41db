"""What is there to see? The whole story, on databases that are there and empty."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from testapp.demo.clusters import DATABASE, Cluster
from testapp.demo.questions import ask_all, turn_pages
from testapp.demo.refusals import try_all
from testapp.demo.replicas import can_follow, read_from_replicas
from testapp.demo.screen import Screen
from testapp.demo.tour import Staff, tour
from testapp.flights.dataset.arguments import Selection
from testapp.flights.models import Traveller

ADMIN: Final = "admin"


@dataclass(frozen=True)
class Guests:
    """Who may sign in when the story is over, and what there is to look up."""

    staff: Staff
    traveller: Traveller
    plane: str


def show(cluster: Cluster, selected: Selection, screen: Screen) -> Guests:
    """Tell the story, and return who may sign in afterwards; a difference from the files ends the process with 1."""
    if cluster.is_served:
        _create_databases()
    screen.chapter("2. Every database gets its tables: manage.py migrate_shards")
    call_command("migrate_shards")
    _load(selected, screen)
    screen.chapter("4. Visitors use the site, and its views know nothing of shards")
    staff = Staff(ADMIN, secrets.token_urlsafe(9))
    User.objects.create_superuser(staff.name, password=staff.password)
    people = tour(screen, selected.folder, selected.months, staff)
    screen.chapter("5. Questions about all flights: one answer, and its route")
    ask_all(screen, people.staff)
    screen.chapter("6. The flights page by page: cursor_page()")
    turn_pages(screen)
    screen.chapter("7. What is refused")
    try_all(screen, people)
    screen.chapter("8. Replicas: a booking is seen at once, and then read from the replica")
    read_from_replicas(cluster, people, screen)
    screen.chapter("9. What lives where: manage.py shards --rows")
    if can_follow(cluster):
        screen.say("No database has a replica here: those of part 8 have ended with it.")
    call_command("shards", rows=True)
    screen.chapter("10. Every row of the files, compared with every database: manage.py verify_flights")
    call_command("verify_flights", months=_months(selected), source=selected.folder)
    return Guests(staff, people.travellers[0], people.planes[0])


def _load(selected: Selection, screen: Screen) -> None:
    screen.chapter("3. Real flights from New York in 2013: manage.py load_flights")
    before = screen.seconds
    call_command("load_flights", months=_months(selected), source=selected.folder)
    screen.say(f"Loaded in {screen.seconds - before:.1f} s.")


def _months(selected: Selection) -> str:
    return ",".join(map(str, sorted(selected.months)))


def _create_databases() -> None:
    """Create the database on each server, as its owner would."""
    for alias in connections:
        connection = connections[alias]
        with connection._nodb_cursor() as cursor:  # noqa: SLF001 - Django's own way to a server without a database
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(DATABASE)}")
