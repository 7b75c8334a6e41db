"""How are the sources read?

All databases are asked at the same time, each on this thread's own connection, and then read in turn, some rows at a
time: those that wait for their turn go on working until the network holds as much as it can. A database that has
several questions to answer is asked the next one when it has answered the last.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from django.db import Error

from shardkit.consistency.reading import connection_of
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

    @classmethod
    def of(cls, transport: Transport, load: Load, source: Source, budget: Budget) -> _Question:
        cursor = transport.cursor(connection_of(source.alias), load)
        most = budget.rows - budget.spent_rows + 1
        return cls(transport, load, source, Job(source.alias, cursor, *transport.question(source, load, cursor, most)))

    @property
    def is_of_the_coordinator(self) -> bool:
        """Say whether the rows come from where they go to."""
        return connection_of(self.source.alias) is self.transport.connection

    def chunks(self, budget: Budget) -> Iterator[list[Row]]:
        """Yield the answer and spend *budget* on it; a coordinator's own has come before anything else is done."""
        try:
            if self.is_of_the_coordinator:
                yield from list(self._spending(budget))
            else:
                yield from self._spending(budget)
        except Error as error:
            error.add_note(f"The rows came from the database {self.source.alias!r}.")
            error.shardkit_alias = connection_of(self.source.alias).alias  # type: ignore[attr-defined]
            raise
        self.is_answered = True

    def _spending(self, budget: Budget) -> Iterator[list[Row]]:
        if not self.transport.understands(self.job.cursor, self.load):
            self._ask_again(budget)
        for rows, size in self.transport.answer(self.job.cursor):
            budget.spend(self.load.shadow.name, len(rows), size)
            yield rows

    def _ask_again(self, budget: Budget) -> None:
        """Ask in the way that only the answer told."""
        self.transport.abandon(self.job.cursor)
        self.job = self.of(self.transport, self.load, self.source, budget).job
        run([self.job])

    def close(self) -> None:
        """Close the cursor, whatever is left in it."""
        if self.is_answered:
            self.job.cursor.close()
        else:
            self.transport.abandon(self.job.cursor)


def read(transport: Transport, loads: Sequence[Load], budget: Budget) -> Generator[tuple[Load, list[Row]]]:
    """Yield the rows of all sources of *loads*, spending *budget* while they come."""
    for wave in _waves(loads):
        with ExitStack() as stack:
            questions = []
            for load, source in wave:
                questions.append(question := _Question.of(transport, load, source, budget))
                stack.callback(question.close)
            run([question.job for question in questions])
            for question in sorted(questions, key=lambda question: not question.is_of_the_coordinator):
                for rows in question.chunks(budget):
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
