"""How do many shards run at once? `run` tells."""

from __future__ import annotations

from shardkit.fanout.executor import run
from shardkit.fanout.jobs import Job

__all__ = ["Job", "run"]
