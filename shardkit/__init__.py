"""Which names does a project need before Django's apps are loaded? The models are in `shardkit.models`.

The plans are what `queryset.route()` returns and the signal `query_planned` sends.
"""

from __future__ import annotations

from shardkit.consistency.reading import use_primary
from shardkit.environment import from_env
from shardkit.routing.plan import Gather, Local, Merge, Refuse, Single

__all__ = ["Gather", "Local", "Merge", "Refuse", "Single", "from_env", "use_primary"]
