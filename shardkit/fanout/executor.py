"""How do many shards run at once?"""

from __future__ import annotations

from collections.abc import Sequence

from shardkit.fanout.jobs import Job


def run(jobs: Sequence[Job]) -> None:
    """Execute the statements of *jobs*, each on its own cursor, and return when all have been executed."""
    for job in jobs:
        job.cursor.execute(job.sql, job.params)
