"""How many times longer does ours take than plain Django?

Only ratios mean something: the two sides take turns in short batches, each pair gives one ratio, and of these we
report the median and the quartiles. The garbage collector waits outside the batches.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Final

#: How long a batch takes: short enough that what else the machine does hits both sides of a pair alike.
BATCH_NS: Final = 4_000_000
ROUNDS: Final = 300

Clock = Callable[[], int]
#: For what waits for no disk and no server: whoever else uses the processor is not counted.
CPU: Final[Clock] = time.process_time_ns
WALL: Final[Clock] = time.perf_counter_ns


@dataclass(frozen=True, slots=True)
class Side:
    """One of two ways to do the same."""

    call: Callable[[], object]
    #: What must be so around a batch; entering and leaving are not timed.
    world: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Timing:
    """What a call costs on both sides, in nanoseconds, and the ratio of each pair of batches."""

    plain: float
    ours: float
    ratios: list[float] = field(repr=False)

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def medians(self) -> tuple[float, float]:
        return self.plain, self.ours

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = quantiles(self.ratios, n=4)
        return low, high


def compare(plain: Side, ours: Side, *, clock: Clock = CPU, calls: int = 0, rounds: int = ROUNDS) -> Timing:
    """Time the two sides in turn. *calls* make a batch; 0 takes as many as last `BATCH_NS`."""
    calls = calls or _calls_per_batch(plain, clock)
    times: dict[Side, list[float]] = {plain: [], ours: []}
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        for side in (plain, ours) if number % 2 else (ours, plain):
            times[side].append(_time_batch(side, calls, clock) / calls)
    gc.unfreeze()
    ratios = [ours / plain for plain, ours in zip(times[plain], times[ours], strict=True)]
    return Timing(median(times[plain]), median(times[ours]), ratios)


def medians(sides: Sequence[Side], *, clock: Clock = WALL, calls: int = 1, rounds: int = ROUNDS) -> list[float]:
    """Time *sides* in turn, and return what a call of each costs, in nanoseconds."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, taken in zip(sides, times, strict=True):
            taken.append(_time_batch(side, calls, clock) / calls)
    return [median(taken) for taken in times]


def _calls_per_batch(side: Side, clock: Clock) -> int:
    _time_batch(side, 20, clock)
    return max(1, round(BATCH_NS * 20 / _time_batch(side, 20, clock)))


def _time_batch(side: Side, calls: int, clock: Clock) -> int:
    gc.collect()
    with side.world():
        gc.disable()
        try:
            call, repeat = side.call, range(calls)
            begin = clock()
            for _ in repeat:
                call()
            return clock() - begin
        finally:
            gc.enable()


def count_calls(side: Side) -> int:
    """Count the functions that one call of *side* calls, Python's and C's: the same in every run."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    with side.world():
        for _ in range(3):  # caches fill
            side.call()
        sys.setprofile(note)
        side.call()
        sys.setprofile(None)
    return count


def measured_memory(call: Callable[[], object]) -> tuple[object, int]:
    """Return what *call* returns, and the bytes that Python's objects took at the peak."""
    gc.collect()
    tracemalloc.start()
    try:
        found = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return found, peak
