"""How do all databases of the cluster get their migrations?

Each by Django's own `migrate`, which records there what it has applied: so a run that failed on one database is simply
repeated, and does only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import Any, Final

from django.core.management import call_command
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.transaction import TransactionManagementError

from shardkit.errors import ShardkitError
from shardkit.management.parallel import KeptError, on_each
from shardkit.management.reference_writes import settle, watched
from shardkit.management.targets import Target
from shardkit.routing.data_migrations import Migrating, current
from shardkit.topology.names import LOGICAL, Alias

#: What Django's `migrate` is told on every database.
PASSED_ON: Final = (
    "verbosity",
    "interactive",
    "fake",
    "fake_initial",
    "plan",
    "run_syncdb",
    "check_unapplied",
    "prune",
)
#: What Django's progress callback calls the beginning of a migration, and its end.
BEGINNINGS: Final = {"apply_start": "applying", "unapply_start": "unapplying"}
ENDINGS: Final = frozenset({"apply_success", "unapply_success"})

Progress = Callable[[Alias, str], None]


class State(StrEnum):
    """How it ended on one database."""

    MIGRATED = "migrated"
    CURRENT = "up to date"
    PLANNED = "planned"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened on one database."""

    target: Target
    state: State
    #: The migrations applied, or taken back, in this run: also those before a failure.
    applied: tuple[str, ...]
    seconds: float
    error: str = ""
    #: What Django's command wrote.
    output: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON says."""
        return {
            "database": self.target.alias,
            "role": self.target.part.value,
            "state": self.state.value,
            "applied": list(self.applied),
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }


def migrate_all(
    targets: Sequence[Target], options: Mapping[str, Any], *, workers: int, progress: Progress
) -> Iterator[Outcome]:
    """Migrate *targets*, `default` first and the others together, and yield each outcome when it is there."""
    by_alias = {target.alias: target for target in targets}

    def work(alias: Alias) -> Outcome:
        return migrate_one(by_alias[alias], options, progress)

    for together in ([LOGICAL], [alias for alias in by_alias if alias != LOGICAL]):
        for _alias, outcome in on_each([alias for alias in together if alias in by_alias], work, workers=workers):
            yield outcome


def migrate_one(target: Target, options: Mapping[str, Any], progress: Progress) -> Outcome:
    """Run Django's `migrate` on *target* and keep what it says, and its error."""
    command = _Migrate(target.alias, progress)
    output, began = StringIO(), time.monotonic()
    labels = [options[name] for name in ("app_label", "migration_name") if options.get(name)]
    passed = {name: options[name] for name in PASSED_ON if name in options}
    pending = False
    with KeptError() as kept:
        try:
            call_command(command, *labels, database=target.alias, stdout=output, stderr=output, no_color=True, **passed)
        except SystemExit:  # how Django says that --check found something
            pending = True
    return Outcome(
        target=target,
        state=_state(kept, command, options, pending=pending),
        applied=tuple(command.applied),
        seconds=time.monotonic() - began,
        error=kept.reason,
        output=output.getvalue(),
    )


def unapplied(alias: Alias) -> list[str]:
    """Name the migrations that the database called *alias* has not had."""
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [str(migration) for migration, _backwards in plan]


def unapplied_or_error(alias: Alias) -> tuple[list[str], str]:
    """Name the migrations that are missing, and what went wrong while asking."""
    missing: list[str] = []
    with KeptError() as kept:
        missing = unapplied(alias)
    return missing, kept.reason


@contextmanager
def only(alias: Alias) -> Iterator[Migrating]:
    """Refuse, inside the block, what would reach another database than *alias*, or one copy of reference rows only."""
    running = Migrating(alias)
    token = current.set(running)
    try:
        with watched(running):
            yield running
    finally:
        current.reset(token)


@contextmanager
def _named_errors() -> Iterator[None]:
    """Raise what a migration raised: on SQLite, Django asks once more in the transaction which that has broken."""
    try:
        yield
    except TransactionManagementError as error:
        if isinstance(error.__context__, ShardkitError):
            raise error.__context__ from None
        raise


class MigrateOne(DjangoMigrate):
    """Django's own command on one database, in which no migration reaches another."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, and let what was written to copies of reference models be equal on all."""
        with _named_errors(), only(options["database"]) as running:
            super().handle(*args, **options)
            settle(running)

    def migration_progress_callback(
        self,
        action: str,
        migration: Migration | None = None,
        fake: bool = False,  # noqa: FBT001, FBT002 (Django's)
    ) -> None:
        """Note which migration runs."""
        super().migration_progress_callback(action, migration, fake)
        running = current.get()
        if running is not None and migration is not None:
            running.question = None
            running.migration = (migration.app_label, migration.name) if action in BEGINNINGS else None
            running.is_backwards, running.has_run_on_default = action == "unapply_start", False


class _Migrate(MigrateOne):
    """The same, and it tells us how far it is."""

    def __init__(self, alias: Alias, progress: Progress) -> None:
        super().__init__()
        self.alias, self.progress = alias, progress
        self.applied: list[str] = []

    def migration_progress_callback(
        self,
        action: str,
        migration: Migration | None = None,
        fake: bool = False,  # noqa: FBT001, FBT002 (Django's)
    ) -> None:
        """Pass on and note what Django reports."""
        super().migration_progress_callback(action, migration, fake)
        if action in BEGINNINGS:
            self.progress(self.alias, f"{BEGINNINGS[action]} {migration}")
        elif action in ENDINGS:
            self.applied.append(str(migration))


def _state(kept: KeptError, command: _Migrate, options: Mapping[str, Any], *, pending: bool) -> State:
    """Name the end."""
    if kept.error is not None:
        return State.FAILED
    if pending:
        return State.PENDING
    if options.get("plan"):
        return State.PLANNED
    return State.MIGRATED if command.applied else State.CURRENT
