"""Do the rules by which positions are stored keep what a user wrote, in every order that things can happen in?

Two requests of one user write, two read, two replicas advance whenever they like, and each step of a request that
another process could see is a step here. A rule is the steps of a writer and those of a reader; `explore` takes every
interleaving. A state violates when a reader that began after a write was answered has read an older position.

Two steps are one where a pause between them could only help: a reader begins when it looks into the store, and reads
when it has chosen. States that differ only in which replica or which request of a kind is which count as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

REPLICAS: Final = 2
#: Stands where a position stood that all replicas have.
PASSED: Final = 0
#: A number was given away, and the position that will stand there does not yet.
HOLE: Final = None

_State = TypeVar("_State")


class World(NamedTuple):
    """What all processes share."""

    primary: int = 0
    replicas: tuple[int, ...] = (0,) * REPLICAS
    #: What the store holds: one position, or one for each number that was given away.
    store: Any = 0
    #: The latest position of which a response has said that it is written.
    answered: int = 0
    #: How far the primary was when the store began; none when it has forgotten even that.
    born: int | None = -1
    #: How often the store may still lose everything, and how often it has.
    faults: int = 0
    losses: int = 0


class Process(NamedTuple):
    """A request, with the steps before it and what it knows."""

    steps: tuple[str, ...]
    #: What had been answered when it began, so that it must see it.
    floor: int = 0
    written: int = 0
    #: What it found in the store, and its number there where that has numbers.
    found: Any = 0
    number: int = 0
    #: How often the store had lost everything when it looked: numbers of before are others than those of after.
    losses: int = 0
    #: The position that it will store, or the one that a replica must have.
    position: int = 0
    #: Whether what it found is all that there was.
    is_sure: bool = True
    #: What it has read.
    value: int | None = None


class Model(NamedTuple):
    """Everything at one moment."""

    world: World
    processes: tuple[Process, ...]


#: What a step may lead to: the world and the process after it.
Outcome = Iterator[tuple[World, Process]]


def explore(start: _State, successors: Callable[[_State], Iterable[_State]]) -> set[_State]:
    """Return every state that can be reached."""
    reached, ahead = {start}, [start]
    while ahead:
        for state in successors(ahead.pop()):
            if state not in reached:
                reached.add(state)
                ahead.append(state)
    return reached


def successors(model: Model) -> Iterator[Model]:
    """Yield what can happen next."""
    world, processes = model
    for at, process in enumerate(processes):
        if process.steps:
            step, rest = process.steps[0], process._replace(steps=process.steps[1:])
            for changed, moved in STEPS[step](world, rest):
                yield _same(changed, (*processes[:at], moved, *processes[at + 1 :]))
    for at, position in enumerate(world.replicas):
        if position < world.primary:
            further = (*world.replicas[:at], position + 1, *world.replicas[at + 1 :])
            yield _same(world._replace(replicas=further), processes)
    if world.faults:
        forgotten = () if isinstance(world.store, tuple) else 0
        lost = world._replace(store=forgotten, born=None, faults=world.faults - 1, losses=world.losses + 1)
        yield Model(lost, processes)


def _same(world: World, processes: tuple[Process, ...]) -> Model:
    """Return the one model that stands for all in which replicas or processes have changed their places."""
    replicas = tuple(sorted(world.replicas))
    return Model(world._replace(replicas=replicas), tuple(sorted(processes, key=hash)))


def violates(model: Model) -> bool:
    """Say whether somebody has read less than had been answered when it began."""
    return any(process.value is not None and process.value < process.floor for process in model.processes)


# ---- what every rule shares


def commit(world: World, process: Process) -> Outcome:
    yield world._replace(primary=world.primary + 1), process._replace(written=world.primary + 1)


def capture(world: World, process: Process) -> Outcome:
    yield world, process._replace(position=world.primary)


def respond(world: World, process: Process) -> Outcome:
    yield world._replace(answered=max(world.answered, process.written)), process


def choose(world: World, process: Process) -> Outcome:
    """Read any replica that has what was found, the primary when none has; go on to forget it when all have."""
    ready = [position for position in world.replicas if position >= process.position and process.is_sure]
    if len(ready) < REPLICAS or not process.position:
        process = process._replace(steps=())
    for value in ready or [world.primary]:
        yield world, process._replace(value=value)


# ---- one position for each user, as others store it


def load(world: World, process: Process) -> Outcome:
    yield world, process._replace(floor=world.answered, found=world.store, position=world.store)


def overwrite(world: World, process: Process) -> Outcome:
    yield world._replace(store=process.position), process


def overwrite_all(world: World, process: Process) -> Outcome:
    """Store a dictionary that was loaded when the request began, as a session of Django does."""
    yield world._replace(store=max(process.found, process.position)), process


def keep_maximum(world: World, process: Process) -> Outcome:
    yield world._replace(store=max(world.store, process.position)), process


def delete(world: World, process: Process) -> Outcome:
    yield world._replace(store=0), process


def compare_and_delete(world: World, process: Process) -> Outcome:
    yield world._replace(store=0 if world.store == process.found else world.store), process


# ---- a new number for each position, as shardkit stores it


def load_numbers(world: World, process: Process) -> Outcome:
    """See how many numbers were given away, and whether the store may have forgotten some."""
    is_sure = world.born is not None and min(world.replicas) >= world.born
    for marked, looked in mark(world, process._replace(floor=world.answered)):
        yield marked, looked._replace(number=len(world.store), is_sure=is_sure)


def load_numbers_trusting(world: World, process: Process) -> Outcome:
    """See how many numbers were given away, and take a store that forgot for one of a user who wrote nothing."""
    yield world, process._replace(floor=world.answered, number=len(world.store), losses=world.losses)


def mark(world: World, process: Process) -> Outcome:
    """See under which mark the numbers are counted, and put up one where there is none."""
    if world.born is None:
        world = world._replace(born=world.primary)
    yield world, process._replace(losses=world.losses)


def load_positions(world: World, process: Process) -> Outcome:
    """Join what stands at these numbers, and see whether something is missing.

    It is where nothing stands yet, or no more; and where something was joined into a number beyond these.
    """
    found = _standing(world, process)
    is_sure = process.is_sure and all(each is not HOLE and -each <= process.number for each in found)
    yield world, _joined(process, found)._replace(is_sure=is_sure)


def load_positions_hoping(world: World, process: Process) -> Outcome:
    """Join what stands at these numbers, and think nothing of what does not."""
    yield world, _joined(process, _standing(world, process))


def _standing(world: World, process: Process) -> list[int | None]:
    if world.losses != process.losses:
        return [HOLE] * process.number
    return list(world.store[: process.number])


def _joined(process: Process, found: list[int | None]) -> Process:
    present = tuple((at, each) for at, each in enumerate(found) if each and each > 0)
    return process._replace(found=present, position=max((each for _at, each in present), default=0))


def take_number(world: World, process: Process) -> Outcome:
    if world.losses == process.losses:
        process = process._replace(number=len(world.store))
        world = world._replace(store=(*world.store, HOLE))
    yield world, process


def append(world: World, process: Process) -> Outcome:
    if world.losses == process.losses:
        before, after = world.store[: process.number], world.store[process.number + 1 :]
        world = world._replace(store=(*before, process.position, *after))
    yield world, process


def point(world: World, process: Process) -> Outcome:
    """Let each position that was found and joined say so, and name the number (below zero, counted from one)."""
    yield _replaced(world, process, -process.number - 1), process


def bury(world: World, process: Process) -> Outcome:
    """Take away exactly the positions that were found."""
    yield _replaced(world, process, PASSED), process


def _replaced(world: World, process: Process, value: int) -> World:
    if world.losses != process.losses:
        return world
    gone = dict(process.found)
    return world._replace(
        store=tuple(value if each and gone.get(at) == each else each for at, each in enumerate(world.store))
    )


STEPS: Final[Mapping[str, Callable[[World, Process], Outcome]]] = {
    step.__name__: step
    for step in (
        *(commit, capture, respond, choose),
        *(load, overwrite, overwrite_all, keep_maximum, delete, compare_and_delete),
        *(load_numbers, load_numbers_trusting, load_positions, load_positions_hoping),
        *(mark, take_number, append, point, bury),
    )
}
