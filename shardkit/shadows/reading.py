"""How are the sources read?

All databases are asked at the same time, each on this thread's own connection, and then read in turn, some rows at a
time: those that wait for their turn go on working until the network holds as much as it can. A database that has
several questions to answer is asked the next one when it has answered the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from django.db import connections

from shardkit.fanout import Job, run
from shardkit.shadows.budget import Budget
from shardkit.shadows.shapes import Source
from shardkit.shadows.transport import Load, Row, Transport


@dataclass(slots=True)
class _Question:
    transport: Transport
    load: Load
    source: Source
    job: Job
    is_answered: bool = False

    def chunks(self) -> Iterator[tuple[list[Row], int]]:
        """Yield the answer; ask again when only the answer tells how it has to be asked for."""
        cursor = self.job.cursor
        if not self.transport.understands(cursor, self.load):
            self.transport.abandon(cursor)
            cursor = self.job.cursor = self.transport.cursor(connections[self.source.alias], self.load)
            cursor.execute(*self.transport.question(self.source, self.load))
        yield from self.transport.answer(cursor)
        self.is_answered = True

    def close(self) -> None:
        """Close the cursor, whatever is left in it."""
        if self.is_answered:
            self.job.cursor.close()
        else:
            self.transport.abandon(self.job.cursor)


def read(transport: Transport, loads: Sequence[Load], budget: Budget) -> Iterator[tuple[Load, list[Row]]]:
    """Yield the rows of all sources of *loads*, spending *budget* while they come."""
    for wave in _waves(loads):
        with ExitStack() as stack:
            questions = []
            for load, source in wave:
                cursor = transport.cursor(connections[source.alias], load)
                job = Job(source.alias, cursor, *transport.question(source, load))
                questions.append(question := _Question(transport, load, source, job))
                stack.callback(question.close)
            run([question.job for question in questions])
            for question in questions:
                yield from _spending(question, budget)


def _spending(question: _Question, budget: Budget) -> Iterator[tuple[Load, list[Row]]]:
    for rows, size in question.chunks():
        budget.spend(question.load.shadow.name, len(rows), size)
        yield question.load, rows


def _waves(loads: Sequence[Load]) -> list[list[tuple[Load, Source]]]:
    """Sort the sources so that each database occurs once in a wave."""
    waves: list[dict[str, tuple[Load, Source]]] = []
    for load in loads:
        for source in load.shadow.sources:
            wave = next((wave for wave in waves if source.alias not in wave), None)
            if wave is None:
                waves.append(wave := {})
            wave[source.alias] = (load, source)
    return [list(wave.values()) for wave in waves]
