"""Which statement went to which database, and why? Which rows are new?

The plans come from shardkit's signal, the statements from the connections themselves, and where a new row lives from
asking every database for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connections, models
from django.db.models.signals import m2m_changed, post_save

from shardkit.routing.plan import Gather, Local, Merge, Plan, Refuse, Single
from shardkit.routing.registry import Kind, placement_of_table
from shardkit.signals import query_planned
from shardkit.topology.names import LOGICAL

#: What opens and closes transactions asks a database nothing.
BOOKKEEPING: Final = re.compile(r"\s*(SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|START|SET|PRAGMA)\b", re.IGNORECASE)
#: The verb of a statement, and the first table that it names.
STATEMENT: Final = re.compile(
    r"\s*(?=(?P<verb>\w+)).*?\b(?:FROM|INTO|UPDATE)\s+[\"`]?(?P<table>\w+)", re.IGNORECASE | re.DOTALL
)
#: Why there are statements that no query of the site asks for.
CATALOG: Final = {
    "shardkit_idrange": "the next range of ids, for this process alone",
    "shardkit_shardmapversion": "the shard map, which a process reads once",
}


@dataclass(frozen=True)
class Statement:
    """What a database was asked, in short."""

    alias: str
    verb: str
    table: str
    why: str


@dataclass(frozen=True)
class NewRow:
    """How to find rows of *model* that were not there before."""

    model: type[models.Model]
    lookup: Mapping[str, Any]


@dataclass
class Seen:
    """All that happened while somebody watched."""

    statements: Counter[Statement] = field(default_factory=Counter)
    new_rows: list[NewRow] = field(default_factory=list)
    #: The first table of each statement that was planned, and its plan.
    plans: list[tuple[str, Plan]] = field(default_factory=list)

    @property
    def by_database(self) -> Counter[str]:
        """Count the statements of each database."""
        counts: Counter[str] = Counter()
        for statement, times in self.statements.items():
            counts[statement.alias] += times
        return counts

    def note_plan(self, *, sender: type[models.Model] | None, plan: Plan, **_signal: object) -> None:
        """Remember *plan*, which is made before its statements run."""
        self.plans.append(("" if sender is None else sender._meta.db_table, plan))

    def note_statement(self, alias: str, sql: str) -> None:
        """Remember a statement, with the reason of the newest plan that it can belong to."""
        found = STATEMENT.match(sql)
        if BOOKKEEPING.match(sql) or found is None:
            return
        verb, table = found["verb"].upper(), found["table"]
        self.statements[Statement(alias, verb, table, self._why(alias, table))] += 1

    def note_saved(self, *, instance: models.Model, created: bool, **_signal: object) -> None:
        """Remember a row that is new."""
        if created:
            self.new_rows.append(NewRow(type(instance), {"pk": instance.pk}))

    def note_linked(
        self, *, sender: type[models.Model], instance: models.Model, action: str, pk_set: set[Any], **_signal: object
    ) -> None:
        """Remember the rows of a many-to-many table that link *instance* to others."""
        if action != "post_add" or not pk_set:
            return
        sides = [side for side in sender._meta.local_fields if isinstance(side, models.ForeignKey)]
        sides.sort(key=lambda side: not isinstance(instance, side.related_model))
        mine, others = sides
        self.new_rows.append(NewRow(sender, {mine.attname: instance.pk, f"{others.attname}__in": pk_set}))

    def _why(self, alias: str, table: str) -> str:
        for planned, plan in reversed(self.plans):
            if planned == table and alias in aliases_of(plan):
                return plan.why
        placement = placement_of_table(table)
        if placement is not None and placement.kind is Kind.REFERENCE:
            return "a copy, which changes as the one on default does"
        return CATALOG.get(table, "no plan: somebody asked this database by its name")


def aliases_of(plan: Plan) -> tuple[str, ...]:
    """Return the databases that *plan* names."""
    match plan:
        case Local():
            return (LOGICAL,)
        case Single(alias):
            return (alias,)
        case Merge(aliases) | Gather(aliases):
            return aliases
        case Refuse():
            return ()


@contextmanager
def watching() -> Iterator[Seen]:
    """Watch every database inside the block."""
    seen = Seen()
    listeners = ((query_planned, seen.note_plan), (post_save, seen.note_saved), (m2m_changed, seen.note_linked))
    with ExitStack() as stack:
        for signal, listener in listeners:
            signal.connect(listener)
            stack.callback(signal.disconnect, listener)
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(_noting(seen, alias)))
        yield seen


def _noting(seen: Seen, alias: str) -> Callable[..., Any]:
    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        seen.note_statement(alias, sql)
        return execute(sql, params, many, context)

    return note
