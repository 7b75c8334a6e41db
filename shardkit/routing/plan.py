"""On which databases does a statement run, and how do the answers become one?

A plan is a value: making one reads no clock and no row. `why` is for people: it says which part of the query forced
the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shardkit.topology.names import Alias


@dataclass(frozen=True, slots=True)
class Local:
    """No sharded or placed table: Django's own statement on the logical database."""

    why: str = "it names no sharded table"
    #: Where primaries that have replicas are read, and why; `queryset.route()` knows it.
    reads: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return "\n".join([f"Local: the statement runs on default\n  because {self.why}", *_indented(self.reads)])


@dataclass(frozen=True, slots=True)
class Single:
    """Every row that can matter is on one database: the statement unchanged, there."""

    alias: Alias
    why: str
    #: Where primaries that have replicas are read, and why; `queryset.route()` knows it.
    reads: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        first = f"Single: the statement runs on {self.alias}\n  because {self.why}"
        return "\n".join([first, *_indented(self.reads)])


class Recipe(Enum):
    """How the answers of several shards become one."""

    #: Each row of the result is made by one shard; what is left is their order.
    ROWS = "rows"
    #: Groups, aggregates or distinct rows span shards; each shard sends its part of them.
    GROUPS = "groups"


@dataclass(frozen=True, slots=True)
class Merge:
    """Each shard can answer for its own rows, and the answers make one."""

    aliases: tuple[Alias, ...]
    why: str
    recipe: Recipe = Recipe.ROWS
    #: What each shard does of the statement, in words for people; whoever announces the plan knows it.
    pushed: tuple[str, ...] = field(default=(), compare=False, repr=False)
    #: What is done with what they send, in words too.
    finish: str = field(default="", compare=False, repr=False)
    #: Where primaries that have replicas are read, and why; `queryset.route()` knows it.
    reads: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        finish = {
            Recipe.ROWS: "their rows become one sequence here",
            Recipe.GROUPS: "a database makes whole groups and aggregates of their parts",
        }
        return _described("Merge", self, self.finish or finish[self.recipe])


@dataclass(frozen=True, slots=True)
class Gather:
    """Rows of several databases have to meet before the statement can be judged."""

    aliases: tuple[Alias, ...]
    why: str
    #: What each shard does of the statement, in words for people; whoever announces the plan knows it.
    pushed: tuple[str, ...] = field(default=(), compare=False, repr=False)
    #: What is done with what they send, in words too.
    finish: str = field(default="", compare=False, repr=False)
    #: Where primaries that have replicas are read, and why; `queryset.route()` knows it.
    reads: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return _described("Gather", self, self.finish or "the statement runs over their rows")


@dataclass(frozen=True, slots=True)
class Refuse:
    """The tables can never meet: they live on databases that share no copy."""

    tables: tuple[str, ...]
    why: str
    #: What to do, where that is not to ask each database on its own.
    remedy: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"Refuse: {', '.join(self.tables)}\n  because {self.why}"


def _described(name: str, plan: Merge | Gather, finish: str) -> str:
    lines = [f"{name}: {', '.join(plan.aliases) or 'no shard'}", f"  because {plan.why}", *_indented(plan.reads)]
    if plan.pushed:
        lines.append(f"  each shard: {', '.join(plan.pushed)}")
    return "\n".join([*lines, f"  then {finish}"])


def _indented(lines: tuple[str, ...]) -> list[str]:
    return [f"  {line}" for line in lines]


Plan = Local | Single | Merge | Gather | Refuse
