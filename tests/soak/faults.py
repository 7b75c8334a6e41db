"""What goes wrong during a run, and in which order?

Each group of machines has a thread that breaks one thing after another, and mends each before the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.soak.breaking import Breaking
from tests.soak.clusters import Group
from tests.soak.machines import Machine
from tests.soak.traffic import Gate

#: A token lives for twice the greatest lag that is admitted and five seconds.
MAX_LAG: Final = 3.0
BEYOND_LIFE: Final = 2 * MAX_LAG + 5 + 2


@dataclass
class Faults(Breaking):
    """What happens to one group of machines."""

    group: Group
    gate: Gate
    #: When the primary is lost for good, in seconds after the start; None if it is not.
    fails_over_after: float | None = None

    @property
    def name(self) -> str:
        return self.group.name

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopped.is_set():
            kinds = list(KINDS)
            self.dice.shuffle(kinds)
            for kind in kinds:
                if self._stopped.is_set():
                    return
                due = self.fails_over_after is not None and time.monotonic() > began + self.fails_over_after
                if due:
                    self.fails_over_after = None
                self._cause(fail_over if due else kind)

    def _cause(self, kind: Kind) -> None:
        with self._told(kind.__name__):
            kind(self)
        self.wait(self.dice.uniform(0.2, 1.5))

    @property
    def followers(self) -> list[Machine]:
        return [replica for replica in self.group.replicas if replica is not self.group.primary]

    def one(self) -> Machine:
        return self.dice.choice(self.followers)


Kind = Callable[[Faults], Any]


def nothing(faults: Faults) -> None:
    faults.wait(faults.dice.uniform(1, 3))


def one_is_paused(faults: Faults) -> None:
    _paused(faults, [faults.one()], faults.dice.uniform(0.3, 4))


def all_are_paused(faults: Faults) -> None:
    _paused(faults, faults.followers, faults.dice.uniform(0.3, 4))


def one_is_paused_beyond_the_life_of_a_token(faults: Faults) -> None:
    _paused(faults, [faults.one()], BEYOND_LIFE + faults.dice.uniform(0, 3))


def all_are_paused_beyond_the_life_of_a_token(faults: Faults) -> None:
    _paused(faults, faults.followers, BEYOND_LIFE)


def one_is_late(faults: Faults) -> None:
    _late(faults, [faults.one()], faults.dice.choice([1, 2]))


def all_are_late(faults: Faults) -> None:
    _late(faults, faults.followers, faults.dice.choice([1, 2]))


def one_is_too_late(faults: Faults) -> None:
    _late(faults, [faults.one()], MAX_LAG + 3)


def the_link_is_slow(faults: Faults) -> None:
    link = faults.one().link
    assert link is not None
    link.delay = faults.dice.uniform(0.05, 2)
    faults.wait(faults.dice.uniform(2, 5))
    link.restore()


def the_link_is_cut(faults: Faults) -> None:
    link = faults.one().link
    assert link is not None
    link.cut()
    faults.wait(faults.dice.uniform(1, 6))
    link.restore()


def the_link_stands_still(faults: Faults) -> None:
    link = faults.one().link
    assert link is not None
    link.is_stalled = True
    faults.wait(faults.dice.uniform(1, 6))
    link.restore()


def one_is_killed(faults: Faults) -> None:
    _killed(faults, [faults.one()])


def all_are_killed(faults: Faults) -> None:
    _killed(faults, faults.followers)


def one_is_killed_while_it_is_late(faults: Faults) -> None:
    """Let it come back further behind than it was, if it does not keep what it showed."""
    one = faults.one()
    one.delay(2)
    faults.wait(2)
    one.kill()
    faults.wait(0.3)
    one.start()
    faults.wait(3)
    one.delay(0)


def the_primary_is_killed(faults: Faults) -> None:
    faults.group.primary.kill()
    faults.wait(faults.dice.uniform(0, 1))
    faults.group.primary.start()


def fail_over(faults: Faults) -> None:
    """Promote a replica that has everything, while nobody writes, so that nothing is lost."""
    faults.gate.close()
    try:
        faults.group.fail_over()
    finally:
        faults.gate.open()


KINDS: Final[tuple[Kind, ...]] = (
    nothing,
    one_is_paused,
    all_are_paused,
    one_is_paused_beyond_the_life_of_a_token,
    all_are_paused_beyond_the_life_of_a_token,
    one_is_late,
    all_are_late,
    one_is_too_late,
    the_link_is_slow,
    the_link_is_cut,
    the_link_stands_still,
    one_is_killed,
    all_are_killed,
    one_is_killed_while_it_is_late,
    the_primary_is_killed,
)


def _paused(faults: Faults, machines: list[Machine], seconds: float) -> None:
    for machine in machines:
        machine.pause()
    faults.wait(seconds)
    for machine in machines:
        machine.resume()


def _late(faults: Faults, machines: list[Machine], seconds: float) -> None:
    for machine in machines:
        machine.delay(seconds)
    faults.wait(seconds + faults.dice.uniform(3, 6))
    for machine in machines:
        machine.delay(0)


def _killed(faults: Faults, machines: list[Machine]) -> None:
    for machine in machines:
        machine.kill()
    faults.wait(faults.dice.uniform(0.2, 3))
    for machine in machines:
        machine.start()
