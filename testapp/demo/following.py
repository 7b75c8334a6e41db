"""When does somebody who has booked read from a replica again?

A process of its own: ``python -m testapp.demo.following``, with an environment that names replicas.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import django

from testapp.demo.clusters import VARIABLES
from testapp.demo.screen import Screen

if TYPE_CHECKING:
    from testapp.demo.browsing import Answer, Visitor

#: The seat that is booked here, and nowhere else in the demo.
SEAT: Final = "14F"
FLIGHT: Final = r"/flights/\d+/"
#: How long a replica may take to follow on a busy machine, and how often it is looked at, in seconds.
PATIENCE_SECONDS: Final = 60.0
LOOKS_AGAIN: Final = 0.25


class NeverFollowed(Exception):
    """A replica did not get what it should have."""


@dataclass(frozen=True)
class Story:
    """Who books, on which shard, and where that is shown."""

    screen: Screen
    shard: str
    traveller: int
    email: str

    def tell(self, plane: str) -> None:
        """Tell all of it."""
        from testapp.demo.browsing import Visitor

        self._wait("a look at the replica", self._is_fresh)
        self.screen.say(
            "Below, '0.1 s behind' says: the replica has all that was committed on its primary until 0.1 s ago. While "
            "nobody writes that is only the time since somebody looked, and somebody looks every 0.25 s.",
            apart=True,
        )
        ada, phone = Visitor("Ada"), Visitor("Ada's phone")
        for visitor in (ada, phone):
            visitor.get("/sign-in/")
            visitor.post("/sign-in/", number=self.traveller, email=self.email)
        self._step(1, "Ada reads the bookings", lambda: ada.get("/bookings/"))
        self._book(ada, plane)
        self._step(3, "Ada reads the bookings", lambda: ada.get("/bookings/"))
        self._demands_more(ada)
        self._step(4, "Ada's phone reads them too, and has no such cookie", lambda: phone.get("/bookings/"))
        self.screen.remark("It demands nothing, so a replica that lacks the booking is fresh enough for it.")
        self._catch_up(ada)
        self._step(5, "Ada reads the bookings", lambda: ada.get("/bookings/"))
        self._routes()

    def _book(self, ada: Visitor, plane: str) -> None:
        flight = ada.get(f"/planes/{plane}/").first_link(FLIGHT)
        ada.get(flight)
        answer = ada.post(f"{flight}book/", seat=SEAT)
        self.screen.step(2, f"Ada books seat {SEAT}", str(answer))
        for name, token in ada.tokens():
            self.screen.remark(f"The cookie {name} says in {len(token)} bytes what her next pages must see:")
            self.screen.remark(f"position {_demanded(token, self.shard)} of {self.shard} or later.")
        self.screen.remark(
            "A position is how far a database has got with its commits, and the booking is one of these."
        )

    def _demands_more(self, ada: Visitor) -> None:
        """Say what the cookie demands after a page that the primary has answered."""
        wanted = ", ".join(str(_demanded(token, self.shard)) for _name, token in ada.tokens())
        self.screen.remark("'sticky until': the replica has not got there yet, so the primary answers.")
        self.screen.remark(f"What that has shown her must not vanish again: her cookie now demands position {wanted}.")

    def _step(self, number: int, title: str, visit: Callable[[], Answer]) -> None:
        with _reads(self.shard) as reads:
            answer = visit()
        self.screen.step(number, title, str(answer))
        self.screen.table(("read from", "of", "why there"), reads)
        self.screen.remark(f"The page {'shows' if SEAT in answer.text else 'does not show'} seat {SEAT}.")

    def _catch_up(self, ada: Visitor) -> None:
        from shardkit.replication import readings
        from shardkit.topology.names import Alias

        replica = Alias(f"{self.shard}_replica_0")
        demanded = [_demanded(token, self.shard) for _name, token in ada.tokens()]
        began, told = time.monotonic(), ""

        def has_followed() -> bool:
            nonlocal told
            self._is_fresh()  # somebody who reads keeps the monitor looking
            reading = readings.latest(replica)
            if reading is None or reading.position is None:
                return False
            if str(reading.position) != told:
                told = str(reading.position)
                self.screen.remark(f"{time.monotonic() - began:4.1f} s later: {replica} is at position {told}")
            return all(position is None or reading.position.includes(position) for position in demanded)

        wanted = ", ".join(str(position) for position in demanded)
        self.screen.say(
            f"The replica follows, and has to get to position {wanted}, which Ada's cookie demands:", apart=True
        )
        self._wait(f"position {wanted} on {replica}", has_followed)

    def _is_fresh(self) -> bool:
        return any("_replica_" in line.partition(": ")[0] for line in self._mine().route().reads)

    def _mine(self) -> Any:
        from testapp.flights.models import Booking

        return Booking.objects.filter(traveller=self.traveller)

    def _routes(self) -> None:
        """Show what a program may ask for."""
        self.screen.say("What a program asks for, and where it would read at this moment:", apart=True)
        mine = self._mine()
        asked = {
            "mine = Booking.objects.filter(traveller=me)": mine,
            "mine.replica(max_lag=0.001)  # at most 1 ms behind, and nobody looks that often": mine.replica(
                max_lag=0.001
            ),
            "mine.primary()": mine.primary(),
        }
        for code, queryset in asked.items():
            self.screen.quote(code, "; ".join(queryset.route().reads), is_bad=False)

    def _wait(self, what: str, has_come: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not has_come():
            if time.monotonic() > until:
                raise NeverFollowed(f"Nothing came of {what} in {PATIENCE_SECONDS:g} s.")
            time.sleep(LOOKS_AGAIN)


@contextmanager
def _reads(shard: str) -> Iterator[list[tuple[str, str, str]]]:
    """Collect the reads of one shard."""
    from shardkit.signals import read_routed

    found: list[tuple[str, str, str]] = []

    def note(*, sender: Any, primary: str, alias: str, why: str, **_signal: object) -> None:
        if primary == shard:
            found.append((alias, "" if sender is None else sender._meta.object_name, why))

    read_routed.connect(note, weak=False)
    try:
        yield found
    finally:
        read_routed.disconnect(note)


def _demanded(token: str, shard: str) -> Any:
    from shardkit.consistency import tokens
    from shardkit.topology.names import Alias

    entry = tokens.loads(token).entries.get(Alias(shard))
    return None if entry is None else entry.required


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("plane", "shard", "email"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--number", type=int, required=True)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testapp.settings")
    django.setup()
    from shardkit.replication import monitor

    try:
        Story(Screen(VARIABLES), options.shard, options.number, options.email).tell(options.plane)
    finally:
        monitor.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
