"""Does every database of the cluster have its migrations? After this command it does."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as DjangoMigrate

from shardkit import conf
from shardkit.management.migrating import Outcome, State, migrate_all
from shardkit.management.reporting import LiveProgress, as_json, failures, plans, summary
from shardkit.management.targets import Target, targets_named


class Command(DjangoMigrate):
    """Migrates `default`, every shard and every placed database."""

    help = (
        "Migrates every database of the cluster: default, then the shards and the placed databases in parallel. "
        "Where one fails the others go on; run it again, and only what is missing runs."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Let arguments replace those of `migrate`: here --database may be repeated, and without it all are meant."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the arguments of `migrate`, and say which databases, how many at once, and how to report."""
        super().add_arguments(parser)
        parser.add_argument(
            "--database",
            action="append",
            dest="databases",
            metavar="ALIAS",
            default=[],
            help="Migrates this database only; may be repeated. Without it: all of the cluster.",
        )
        parser.add_argument(
            "--workers",
            type=_positive,
            help="How many databases to work on at once. Default: SHARDKIT['MIGRATE_WORKERS'].",
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="Writes the outcome as JSON.")

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Ask no database before the work begins: one that is down must not stop the others."""
        return super().get_check_kwargs({**options, "database": None}) | {"databases": []}

    def handle(self, *_args: object, **options: Any) -> None:
        """Migrate the databases and report."""
        targets = targets_named(options["databases"])
        outcomes = self._migrate(targets, options)
        if options["as_json"]:
            self.stdout.write(as_json(outcomes))
        else:
            self._report(outcomes, options)
        self._exit(outcomes)

    def _migrate(self, targets: Sequence[Target], options: dict[str, Any]) -> list[Outcome]:
        """Do the work, in the order in which it ends, and return the outcomes in the order of *targets*."""
        shown = 0 if options["as_json"] or options["plan"] or options["check_unapplied"] else options["verbosity"]
        progress = LiveProgress(self.stdout, self.style, total=len(targets), verbosity=shown)
        workers = options["workers"] or conf.get_settings().migrate_workers
        outcomes: dict[Target, Outcome] = {}
        for outcome in migrate_all(targets, options, workers=workers, progress=progress.step):
            outcomes[outcome.target] = outcome
            progress.finish(outcome)
        return [outcomes[target] for target in targets]

    def _report(self, outcomes: Sequence[Outcome], options: dict[str, Any]) -> None:
        """Show plans, the table, and what went wrong."""
        if options["plan"]:
            self.stdout.write("\n".join(plans(each for each in outcomes if not each.error)))
        if options["verbosity"]:
            self.stdout.write("\n" + summary(outcomes))
        for failure in failures(outcomes):
            self.stderr.write(failure)

    def _exit(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the shell that something failed, or is missing."""
        failed = [each.target.alias for each in outcomes if each.state is State.FAILED]
        if failed:
            raise CommandError(
                f"{len(failed)} of {len(outcomes)} databases failed: {', '.join(failed)}. "
                "Repair the cause and run this again: only what is missing runs."
            )
        if any(each.state is State.PENDING for each in outcomes):
            sys.exit(1)


def _positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0.")
    return int(text)
