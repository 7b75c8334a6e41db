"""Is the whole cluster empty after `flush`? Yes, unless one database is named.

The records of migrations, the shard map and the id ranges stay. Directories go, and what caches remember of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.flush import Command as DjangoFlush

from shardkit.catalog import lookupcache
from shardkit.catalog.lookups import directories
from shardkit.management.targets import all_targets
from shardkit.topology.names import LOGICAL


class Command(DjangoFlush):
    """Django's `flush`, over the whole cluster unless one database is named."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Tell a database that is named from none."""
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def handle(self, **options: Any) -> None:
        """Flush the database that is named, or all."""
        aliases = [target.alias for target in all_targets()]
        if options["database"] is not None or len(aliases) == 1:
            self._flush(options["database"] or LOGICAL, options)
            return
        if options["interactive"] and not _confirmed(aliases):
            self.stdout.write("Flush cancelled.")
            return
        failed = []
        for alias in aliases:
            try:
                self._flush(alias, {**options, "interactive": False})
            except CommandError as error:
                self.stderr.write(f"{alias}: {error}")
                failed.append(alias)
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} databases were not flushed: {', '.join(failed)}.")

    def _flush(self, alias: str, options: dict[str, Any]) -> None:
        """Flush one database, and with `default` what caches remember of its directories."""
        emptied = directories() if alias == LOGICAL else []
        super().handle(**{**options, "database": alias})
        for directory in emptied:
            lookupcache.reopen(directory)


def _confirmed(aliases: Sequence[str]) -> bool:
    """Ask whether everything may go."""
    answer = input(
        "You have requested a flush of the whole cluster.\n"
        f"This will IRREVERSIBLY DESTROY all data in: {', '.join(aliases)}.\n"
        "Type 'yes' to continue, or 'no' to cancel: "
    )
    return answer == "yes"
