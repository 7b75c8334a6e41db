"""How does what runs later see what its caller wrote and saw?"""

from __future__ import annotations

from shardkit.consistency.jobs.carrying import Consistency, Restored, acarry, brought_by, carry, restored

__all__ = ["Consistency", "Restored", "acarry", "brought_by", "carry", "restored"]
