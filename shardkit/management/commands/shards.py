"""Is the cluster well, and what lives where?"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from shardkit import conf
from shardkit.management.coordinating import coordinate
from shardkit.management.copies import Difference, copied_models, differences, repair
from shardkit.management.replicas import ReplicaStatus, replica_statuses
from shardkit.management.status import ClusterStatus, DatabaseStatus, cluster_status
from shardkit.management.tabulating import counted, table


class Command(BaseCommand):
    """Shows the state of every database and the shard map, or the replicas; sets up the coordinator, or the copies."""

    help = (
        "Shows every database of the cluster: its buckets, rows and missing migrations. Exits with 1 when a database "
        "does not answer, lacks migrations or tables, or has other reference rows than default, or the shard map is "
        "missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how much to count and how to report."""
        parser.add_argument(
            "action",
            nargs="?",
            choices=["coordinator", "copies", "replicas"],
            help="In place of showing all that: coordinator creates or updates the tables of "
            "SHARDKIT['GATHER_COORDINATOR'], copies says which reference rows differ from those of default, and "
            "replicas says how far behind each replica is, and whether it is read.",
        )
        parser.add_argument(
            "--repair", action="store_true", help="With copies: makes every copy what default has, row by row."
        )
        parser.add_argument("--rows", action="store_true", help="Shows the rows of each model too.")
        parser.add_argument("--no-rows", action="store_false", dest="count_rows", help="Counts no rows: faster.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Writes all of it as JSON.")

    def handle(self, *_args: object, **options: Any) -> None:
        """Ask, show, and tell the shell."""
        if options["repair"] and options["action"] != "copies":
            raise CommandError("--repair is about reference rows: write `manage.py shards copies --repair`.")
        match options["action"]:
            case "coordinator":
                self._coordinate()
            case "copies":
                self._compare_copies(mends=options["repair"])
            case "replicas":
                self._show_replicas(as_json=options["as_json"])
            case _:
                self._show_all(options)

    def _coordinate(self) -> None:
        made = coordinate()
        databases = counted(len(made.databases), "database")
        self.stdout.write(f"{made.alias} reads {counted(len(made.tables), 'table')} of {databases}.")

    def _compare_copies(self, *, mends: bool) -> None:
        """Say which copies differ, and mend them if that is asked for."""
        models, aliases = copied_models(), conf.get_settings().topology.primaries
        try:
            found = differences(models, aliases)
            if mends:
                repair(found)
        except DatabaseError as error:
            raise CommandError(f"Not every copy could be read, or mended: {str(error).strip()}") from error
        self._tell(found, mended=mends)
        if not found:
            tables, shards = counted(len(models), "reference table"), counted(len(aliases), "shard")
            self.stdout.write(f"{tables}: the same rows on {shards} as on default.")

    def _tell(self, found: list[Difference], *, mended: bool) -> None:
        for difference in found:
            self.stdout.write(f"{difference}{': mended' if mended else ''}.")
        if found and not mended:
            raise CommandError("Copies differ from default. `manage.py shards copies --repair` makes them like it.")

    def _show_replicas(self, *, as_json: bool) -> None:
        """Say how each replica stands."""
        found = replica_statuses()
        if as_json:
            self.stdout.write(json.dumps([status.as_dict() for status in found], indent=2))
        elif found:
            cells = [(each.primary, each.replica, _use(each), each.why, each.position) for each in found]
            self.stdout.write(table(("primary", "replica", "read", "why", "position"), cells))
        else:
            self.stdout.write("SHARDKIT names no replicas.")
        if not conf.get_settings().reads_replicas:
            self.stderr.write("No replica is read, since REPLICA_READS is False.")
        if not all(status.is_read for status in found):
            sys.exit(1)

    def _show_all(self, options: dict[str, Any]) -> None:
        status = cluster_status(count_rows=options["count_rows"], workers=conf.get_settings().migrate_workers)
        if options["as_json"]:
            self.stdout.write(json.dumps(status.as_dict(), indent=2))
        else:
            self._show(status, per_model=options["rows"])
        if status.problems:
            sys.exit(1)

    def _show(self, status: ClusterStatus, *, per_model: bool) -> None:
        """Write tables for people."""
        self.stdout.write(_headline(status))
        self.stdout.write(_databases(status))
        if per_model:
            self.stdout.write("\n" + _rows_per_model(status))
        for problem in status.problems:
            self.stderr.write(problem)


def _headline(status: ClusterStatus) -> str:
    """Say what the map says."""
    if not conf.get_settings().topology.shards:
        return "SHARDKIT names no shards."
    version = "missing" if status.map_version is None else f"version {status.map_version}"
    return f"Shard map {version}, {counted(status.buckets, 'bucket')}."


def _databases(status: ClusterStatus) -> str:
    """Draw one line per database."""
    return table(
        ("database", "role", "shard", "buckets", "rows", "unapplied", "replicas", "state", "place"),
        (_line(each) for each in status.databases),
    )


def _line(each: DatabaseStatus) -> tuple[object, ...]:
    """Return the cells of one database."""
    answers = not each.reading.error
    return (
        each.target.alias,
        each.target.part,
        each.shard or "-",
        each.buckets,
        each.total_rows,
        len(each.reading.unapplied) if answers else None,
        len(each.replicas),
        _state(each),
        each.place,
    )


def _use(each: ReplicaStatus) -> str:
    return "yes" if each.is_read else "no"


def _state(each: DatabaseStatus) -> str:
    if each.reading.error:
        return "down"
    if each.differing:
        return "differs"
    return "incomplete" if each.problem else "well"


def _rows_per_model(status: ClusterStatus) -> str:
    """Draw one line per model, with a column for each database."""
    counts = {each.target.alias: {**each.reading.rows, **each.reading.copies} for each in status.databases}
    labels = sorted({label for rows in counts.values() for label in rows})
    return table(("model", *counts), ((label, *(rows.get(label) for rows in counts.values())) for label in labels))
