"""What are the tables of the catalog called?

Known without the models: the logical connection reads the catalog, and a model asks its connection while its class is
being made.
"""

from __future__ import annotations

from typing import Final

SHARD_MAP_TABLE: Final = "shardkit_shardmapversion"
ID_RANGE_TABLE: Final = "shardkit_idrange"
DIRECTORY_TABLE: Final = "shardkit_directoryentry"
