"""What is shadowed: which rows, from where, as which columns of which relation?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shardkit.topology.names import Alias


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a shadow."""

    name: str
    #: The SQL type that the column has on this vendor. Without one the column is what the sources' statements return;
    #: on SQLite, where values have types and columns do not, it then converts nothing.
    type: str | None = None
    #: The collation of text, when it is not the database's default.
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One SELECT on one database, whose columns are the shadow's in their order."""

    alias: Alias
    sql: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Shadow:
    """A relation that holds the rows of all *sources* under the name by which a statement mentions them."""

    name: str
    columns: tuple[Column, ...]
    sources: tuple[Source, ...]
    #: The name of the column by which rows are told apart.
    primary_key: str | None = None
    #: The columns of each further index that a table for the rows should have.
    indexes: tuple[tuple[str, ...], ...] = ()
