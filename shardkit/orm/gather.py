"""How is a statement answered that has to see rows of several databases side by side?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardkit.orm.planning import refuse

if TYPE_CHECKING:
    from shardkit.routing.plan import Gather


def execute(compiler: Any, plan: Gather, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* over the gathered rows, and answer as Django's own method does."""
    del result_type, chunked_fetch, chunk_size
    compiler.as_sql()
    refuse(plan, compiler.query.model, "reading")
