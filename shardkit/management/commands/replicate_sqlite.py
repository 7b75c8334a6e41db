"""Who keeps the replicas of SQLite databases up to date? This command, as long as it runs."""

from __future__ import annotations

import signal
from argparse import ArgumentTypeError
from math import isfinite
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from shardkit.errors import CopyRefused
from shardkit.management.replicating import Copy, copies_of_settings, copy_all, keep_copying
from shardkit.replication.sqlite_replicator import DEFAULT_LAG


class Command(BaseCommand):
    """Copies every SQLite database that has replicas to each of them, again and again."""

    help = (
        "Copies every SQLite database that has replicas to each of them, whenever it has changed, until Ctrl-C. "
        "So the replicas are really behind, by up to --lag seconds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how far behind the replicas are to be, and whether to go on."""
        parser.add_argument(
            "--lag", type=_seconds, default=DEFAULT_LAG, help=f"Seconds between two copies. Default: {DEFAULT_LAG:g}."
        )
        parser.add_argument("--once", action="store_true", help="Copies each database once, and ends.")

    def handle(self, *_args: object, **options: Any) -> None:
        """Copy until somebody interrupts."""
        try:
            copies = copies_of_settings()
        except CopyRefused as error:
            raise CommandError(str(error)) from error
        if not copies:
            raise CommandError("No SQLite database of the settings has a replica. Name one in SHARDKIT['REPLICAS'].")
        if options["once"]:
            self._copy_once(copies)
            return
        stopped = Event()
        for ending in (signal.SIGINT, signal.SIGTERM):  # a shell starts what goes on behind it deaf to the first
            signal.signal(ending, lambda *_: stopped.set())
        self.stdout.write(f"Copying every {options['lag']:g} s, until Ctrl-C.")
        keep_copying(copies, options["lag"], self._tell, stopped)
        self.stdout.write("Stopped.")

    def _copy_once(self, copies: list[Copy]) -> None:
        copy_all(copies, self._tell)
        for copy in copies:
            copy.replicator.stop()
        failed = [copy.replica for copy in copies if copy.problem]
        if failed:
            raise CommandError(f"{len(failed)} of {len(copies)} replicas are not copied: {', '.join(failed)}.")

    def _tell(self, copy: Copy) -> None:
        if copy.problem:
            self.stderr.write(f"{copy.primary} -> {copy.replica}: {copy.problem}")
        else:
            self.stdout.write(f"{copy.primary} -> {copy.replica}: copied")


def _seconds(text: str) -> float:
    """Read a number above zero."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (isfinite(seconds) and seconds > 0):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0.")
    return seconds
