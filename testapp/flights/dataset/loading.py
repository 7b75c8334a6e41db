"""How do the rows of the files get into the databases?

A row that is there already is left alone, so a load that was interrupted is finished by running it again, and running
it once more adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from testapp.flights.dataset.files import Part, Row, SourceTable
from testapp.flights.dataset.stored import digest_of, is_copied, stored_digests

#: How many rows are written, and held in memory, at a time.
BATCH_SIZE: Final = 5000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one table."""

    in_source: int
    written: int


def load_table(
    table: SourceTable, folder: Path, months: Collection[int], *, advance: Callable[[int], None] = lambda _rows: None
) -> Loaded:
    """Write the rows of *months* that are missing, telling *advance* how many rows more are dealt with."""
    in_source = written = 0
    for part in table.parts(folder, months):
        there = stored_digests(part)
        for batch in batches(row for _, row in part.rows):
            missing = [row for row in batch if digest_of(row) not in there]
            write(part, missing)
            in_source += len(batch)
            written += len(missing)
            advance(len(batch))
    return Loaded(in_source, written)


def write(part: Part, rows: Iterable[Row]) -> None:
    """Insert *rows*; of a table with many copies some may have the row already."""
    model, attnames = part.table.model, part.table.attnames
    instances = [model(**dict(zip(attnames, row, strict=True))) for row in rows]
    model._default_manager.bulk_create(instances, ignore_conflicts=is_copied(model))  # noqa: SLF001 - of any model


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut *rows* into lists of `BATCH_SIZE`."""
    rest = iter(rows)
    while batch := list(islice(rest, BATCH_SIZE)):
        yield batch
