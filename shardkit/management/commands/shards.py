"""Is the cluster well, and what lives where?"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from shardkit import conf
from shardkit.management.coordinating import coordinate
from shardkit.management.status import ClusterStatus, DatabaseStatus, cluster_status
from shardkit.management.tabulating import counted, table


class Command(BaseCommand):
    """Shows the topology, the shard map and the state of every database; or sets up the coordinator."""

    help = (
        "Shows every database of the cluster: its buckets, rows and missing migrations. "
        "Exits with 1 when a database does not answer, lacks migrations or tables, or the shard map is missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how much to count and how to report."""
        parser.add_argument(
            "action",
            nargs="?",
            choices=["coordinator"],
            help="Creates or updates the tables of SHARDKIT['GATHER_COORDINATOR'], in place of showing anything.",
        )
        parser.add_argument("--rows", action="store_true", help="Shows the rows of each model too.")
        parser.add_argument("--no-rows", action="store_false", dest="count_rows", help="Counts no rows: faster.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Writes all of it as JSON.")

    def handle(self, *_args: object, **options: Any) -> None:
        """Ask, show, and tell the shell."""
        if options["action"] == "coordinator":
            made = coordinate()
            databases = counted(len(made.databases), "database")
            self.stdout.write(f"{made.alias} reads {counted(len(made.tables), 'table')} of {databases}.")
            return
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
        "down" if not answers else "incomplete" if each.problem else "well",
        each.place,
    )


def _rows_per_model(status: ClusterStatus) -> str:
    """Draw one line per model, with a column for each database."""
    counts = {each.target.alias: {**each.reading.rows, **each.reading.copies} for each in status.databases}
    labels = sorted({label for rows in counts.values() for label in rows})
    return table(("model", *counts), ((label, *(rows.get(label) for rows in counts.values())) for label in labels))
