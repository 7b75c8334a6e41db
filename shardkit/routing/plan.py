"""On which databases does a statement run, and how do the answers become one?

A plan is a value: making one reads no clock and no row. `why` is for people: it says which part of the query forced
the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shardkit.topology.names import Alias


@dataclass(frozen=True, slots=True)
class Local:
    """No sharded or placed table: Django's own statement on the logical database."""

    why: str = "it names no sharded table"


@dataclass(frozen=True, slots=True)
class Single:
    """Every row that can matter is on one database: the statement unchanged, there."""

    alias: Alias
    why: str


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


@dataclass(frozen=True, slots=True)
class Gather:
    """Rows of several databases have to meet before the statement can be judged."""

    aliases: tuple[Alias, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The tables can never meet: they live on databases that share no copy."""

    tables: tuple[str, ...]
    why: str


Plan = Local | Single | Merge | Gather | Refuse
