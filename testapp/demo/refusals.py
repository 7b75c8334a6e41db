"""What is refused, and in which words?

Some changes would put a row where nobody finds it. They are refused by name, and the row stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shardkit import conf
from shardkit.errors import ShardkitError
from testapp.demo.dwellings import dwellings_of
from testapp.demo.screen import Screen
from testapp.demo.tour import People
from testapp.demo.watching import NewRow
from testapp.flights.models import Booking, Traveller

#: Code, and what runs it.
Attempt = tuple[str, Callable[[], None]]


def try_all(screen: Screen, people: People) -> None:
    """Try to lead a row astray, and show that it stays where it is."""
    owner, *_, other = people.travellers
    booking = owner.bookings.all()[0]
    screen.say("Changes that would leave a row where nobody looks for it.")
    outcomes = [(code, _error_of(attempt)) for code, attempt in _misplacements(booking, other)]
    for code, error in outcomes:
        screen.quote(code, error or "done", is_bad=error is not None)
    screen.say(f"{sum(error is not None for _code, error in outcomes)} of {len(outcomes)} are refused, by name.")
    (dwelling,) = dwellings_of(NewRow(Booking, {"pk": booking.pk}))
    screen.say(f"{dwelling.row} is in {', '.join(dwelling.aliases)}, as before: {dwelling.why}.", apart=True)


def _misplacements(booking: Booking, other: Traveller) -> Iterator[Attempt]:
    """Yield changes that would leave *booking* where nobody looks for it."""
    shards = conf.get_settings().topology.shards
    elsewhere = next(shard.primary for shard in shards if shard.name != booking.shard)

    def give_away() -> None:
        booking.traveller = other
        booking.save()

    yield f"booking.save(using={elsewhere!r})", lambda: booking.save(using=elsewhere)
    yield "booking.traveller = other; booking.save()", give_away


def _error_of(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except ShardkitError as error:
        return f"{type(error).__name__}: {error}"
    return None
