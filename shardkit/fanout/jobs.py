"""What is one of the statements that run at the same time?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shardkit.topology.names import Alias


@dataclass(slots=True)
class Job:
    """A statement, and the cursor that the calling thread opened for it on its own connection."""

    alias: Alias
    #: Django's cursor wrapper; after `shardkit.fanout.run` the rows are fetched from it.
    cursor: Any
    sql: str
    params: Any
