"""How do groups, aggregates and distinct rows that span shards become one database's?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardkit.orm.planning import refuse

if TYPE_CHECKING:
    from shardkit.routing.plan import Merge


def execute(compiler: Any, plan: Merge, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* on the shards of *plan*, and answer as Django's own method does."""
    del result_type, chunked_fetch, chunk_size
    compiler.as_sql()
    refuse(plan, compiler.query.model, "reading")
