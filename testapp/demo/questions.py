"""What is refused, and in which words?

Some questions are about rows of many shards, and are answered or refused by name, never guessed at. Some changes would
put a row where nobody finds it, and are always refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import Avg, Count

from shardkit import conf
from shardkit.errors import ShardkitError
from testapp.demo.dwellings import dwellings_of
from testapp.demo.screen import Screen
from testapp.demo.tour import People
from testapp.demo.watching import NewRow
from testapp.flights.models import Booking, Flight, Traveller

#: How many characters of an answer are shown.
ANSWER_LENGTH: Final = 100


@dataclass(frozen=True)
class Question:
    """Code, and what it gives."""

    code: str
    ask: Callable[[], object]


#: About all flights, which live on all shards.
ACROSS_SHARDS: Final = (
    Question("Flight.objects.order_by('-dep_delay')[:5]", lambda: list(Flight.objects.order_by("-dep_delay")[:5])),
    Question("Flight.objects.count()", Flight.objects.count),
    Question(
        "Flight.objects.aggregate(Avg('dep_delay'))",
        lambda: Flight.objects.aggregate(Avg("dep_delay")),
    ),
    Question(
        "Flight.objects.values('carrier').annotate(Count('id'))",
        lambda: list(Flight.objects.order_by().values("carrier").annotate(Count("id"))),
    ),
    Question(
        "Booking.objects.filter(flight__origin='JFK')",
        lambda: list(Booking.objects.filter(flight__origin="JFK")),
    ),
)


def ask_all(screen: Screen, people: People) -> None:
    """Ask every question, and show what comes of it."""
    admin = Question("GET /admin/flights/flight/", lambda: people.staff.get("/admin/flights/flight/").status)
    screen.say("Questions about rows of several shards: the answer is that of one database, or there is none.")
    _ask(screen, [*ACROSS_SHARDS, admin])
    owner, *_, other = people.travellers
    booking = owner.bookings.all()[0]
    screen.say("Changes that would leave a row where nobody looks for it.", apart=True)
    _ask(screen, _misplacements(booking, other))
    (dwelling,) = dwellings_of(NewRow(Booking, {"pk": booking.pk}))
    screen.say(f"{dwelling.row} is in {', '.join(dwelling.aliases)}, as before: {dwelling.why}.", apart=True)


def _ask(screen: Screen, questions: Iterable[Question]) -> None:
    outcomes = [(question.code, *_outcome(question)) for question in questions]
    for code, was_refused, what in outcomes:
        screen.quote(code, what, is_bad=was_refused)
    refused = sum(was_refused for _code, was_refused, _what in outcomes)
    screen.say(f"{refused} of {len(outcomes)} are refused, by name.")


def _misplacements(booking: Booking, other: Traveller) -> Iterator[Question]:
    """Yield changes that would leave *booking* where nobody looks for it."""
    shards = conf.get_settings().topology.shards
    elsewhere = next(shard.primary for shard in shards if shard.name != booking.shard)

    def give_away() -> None:
        booking.traveller = other
        booking.save()

    yield Question(f"booking.save(using={elsewhere!r})", lambda: booking.save(using=elsewhere))
    yield Question("booking.traveller = other; booking.save()", give_away)


def _outcome(question: Question) -> tuple[bool, str]:
    try:
        answer = str(question.ask())
    except ShardkitError as error:
        return True, f"{type(error).__name__}: {error}"
    return False, answer if len(answer) <= ANSWER_LENGTH else f"{answer[: ANSWER_LENGTH - 1]}…"
