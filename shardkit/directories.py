"""How are keys given their places in a directory, and moved?

For models that declare ``sharding = ByLookup(directory)``.
"""

from __future__ import annotations

from shardkit.catalog.lookups import assign, find, move

__all__ = ["assign", "find", "move"]
