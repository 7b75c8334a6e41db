"""How do the rows of several shards become one database's rows?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardkit.orm._django import SINGLE
from shardkit.orm.aliases import tag
from shardkit.orm.parts import open_parts
from shardkit.orm.planning import refuse
from shardkit.routing.narrowing import Narrowing
from shardkit.routing.plan import Merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shardkit.orm.parts import Part


def execute(compiler: Any, plan: Merge, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* on the shards of *plan*, and answer as Django's own method does."""
    reason = _why_not(compiler)
    if reason is not None:
        compiler.as_sql()
        refuse(Merge(plan.aliases, f"{reason} and {plan.why}"), compiler.query.model, "reading")
    queries = Narrowing(compiler.query)
    parts = open_parts(
        ((alias, queries.on(alias).get_compiler(alias, elide_empty=compiler.elide_empty)) for alias in plan.aliases),
        chunked_fetch=chunked_fetch,
        chunk_size=chunk_size,
    )
    for name in ("select", "klass_info", "annotation_col_map", "col_count"):
        setattr(compiler, name, getattr(parts[0].compiler, name, None))
    if result_type == SINGLE:
        rows = [row for part in parts for row in list(part.rows())[:1]]
        return rows[0] if rows else None
    return _chunks(compiler, parts)


def _why_not(compiler: Any) -> str | None:
    query = compiler.query
    if query.low_mark > 0:
        return "it has an offset"
    setup = query.clone().get_compiler(connection=compiler.connection, elide_empty=compiler.elide_empty)
    _, order_by, _ = setup.pre_sql_setup()
    return "it orders rows" if order_by else None


def _chunks(compiler: Any, parts: list[Part]) -> Iterator[Any]:
    """Yield the shards' chunks of rows until the limit of the query is reached, each tagged with its shard."""
    left: int | None = compiler.query.high_mark
    for part in parts:
        for chunk in part.chunks():
            tag(compiler.using, part.alias)
            yield chunk if left is None else chunk[:left]
            left = None if left is None else left - len(chunk[:left])
