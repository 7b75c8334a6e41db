"""Is the whole cluster empty after `flush`? Yes, unless one database is named; or nothing is, where a shard is missing.

The records of migrations, the shard map and the id ranges stay. Directories go, and what caches remember of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.flush import Command as DjangoFlush

from shardkit import conf
from shardkit.catalog import lookupcache, store
from shardkit.catalog.lookups import directories
from shardkit.errors import CatalogError, ShardMapMissing, UnknownShard
from shardkit.management.targets import all_targets
from shardkit.topology.names import LOGICAL, Alias


class Command(DjangoFlush):
    """Django's `flush`, over the whole cluster unless one database is named."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Tell a database that is named from none."""
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def handle(self, **options: Any) -> None:
        """Flush the database that is named, or all."""
        if options["database"] is not None:
            self._flush(options["database"], options)
        else:
            self._flush_all([target.alias for target in all_targets()], options)

    def _flush_all(self, aliases: Sequence[Alias], options: dict[str, Any]) -> None:
        """Flush all databases of the cluster, which one question is about."""
        _require_all_shards()
        if len(aliases) == 1:
            self._flush(LOGICAL, options)
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


def _require_all_shards() -> None:
    """Refuse to flush a part: a shard that owns buckets and is not in the settings would keep its rows."""
    try:
        if conf.get_settings().active:
            store.read_map()
    except ShardMapMissing:
        return
    except (CatalogError, UnknownShard) as error:
        raise CommandError(str(error)) from error


def _confirmed(aliases: Sequence[str]) -> bool:
    """Ask whether everything may go."""
    answer = input(
        "You have requested a flush of the whole cluster.\n"
        f"This will IRREVERSIBLY DESTROY all data in: {', '.join(aliases)}.\n"
        "Type 'yes' to continue, or 'no' to cancel: "
    )
    return answer == "yes"
