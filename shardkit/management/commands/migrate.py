"""Can `migrate` leave a cluster half migrated? Not in silence.

Without ``--database`` it is `migrate_shards`. With it, it is Django's own command, as the test runner calls it.
"""

from __future__ import annotations

from typing import Any

from django.core import mail
from django.core.management.base import CommandParser

from shardkit import conf
from shardkit.management.commands.migrate_shards import Command as MigrateShards
from shardkit.management.migrating import MigrateOne, unapplied_or_error
from shardkit.management.parallel import on_each
from shardkit.management.tabulating import counted
from shardkit.management.targets import all_targets
from shardkit.topology.names import LOGICAL, Alias


class Command(MigrateOne):
    """Django's `migrate`, over the whole cluster unless one database is named."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Tell a database that is named from none."""
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Check the database that is named."""
        return super().get_check_kwargs({**options, "database": options["database"] or LOGICAL})

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate the database that is named, or all."""
        if options["database"] is None and len(all_targets()) > 1:
            self._migrate_all(options)
            return
        alias = Alias(options["database"] or LOGICAL)
        super().handle(*args, **{**options, "database": alias})
        if options["database"] == LOGICAL and options["verbosity"] and not _in_tests() and not _asks_only(options):
            self._name_what_is_missing()

    def _migrate_all(self, options: dict[str, Any]) -> None:
        """Hand over to `migrate_shards`, which writes where this command does."""
        command = MigrateShards()
        command.stdout, command.stderr, command.style = self.stdout, self.stderr, self.style
        command.handle(**{**options, "databases": [], "workers": None, "as_json": False})

    def _name_what_is_missing(self) -> None:
        """Say which other databases of the cluster still lack migrations."""
        others = [target.alias for target in all_targets() if target.alias != LOGICAL]
        found = dict(on_each(others, unapplied_or_error, workers=conf.get_settings().migrate_workers))
        behind = [alias for alias in others if any(found[alias])]
        for alias in behind:
            missing, error = found[alias]
            said = f"does not say: {error}" if error else f"lacks {counted(len(missing), 'migration')}"
            self.stdout.write(self.style.WARNING(f"{alias} {said}."))
        if behind:
            self.stdout.write(self.style.WARNING("Run migrate_shards, or migrate without --database."))


def _in_tests() -> bool:
    """Say whether a test runner is at work, which migrates one database after the other."""
    return hasattr(mail, "outbox")


def _asks_only(options: dict[str, Any]) -> bool:
    """Say whether the command was only asked what it would do."""
    return bool(options["plan"] or options["check_unapplied"] or options["prune"])
