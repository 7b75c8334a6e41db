"""How do groups, aggregates and distinct rows that span shards become one database's?

Each shard sends the *partial rows* of its own rows: what the statement groups by, and aggregates of which the whole
can be made. The statement itself, as Django writes it, then runs on `default` over these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardkit.orm import gather
from shardkit.orm._django import SINGLE
from shardkit.orm.aliases import tag
from shardkit.orm.finishing import finishing_compiler
from shardkit.orm.partials import NotInParts, Partials
from shardkit.routing.plan import Gather
from shardkit.shadows import Budget, shadowed

if TYPE_CHECKING:
    from shardkit.routing.plan import Merge


def execute(compiler: Any, plan: Merge, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* on the shards of *plan*, and answer as Django's own method does."""
    try:
        partials = Partials(compiler, plan.aliases)
        finishing = finishing_compiler(compiler, partials)
        sql, params = finishing.as_sql()
    except NotInParts as reason:
        return gather.execute(compiler, Gather(plan.aliases, str(reason)), result_type, chunked_fetch, chunk_size)
    rows = _rows(compiler, partials.shadow(), sql, params)
    for name in ("select", "klass_info", "annotation_col_map", "col_count"):
        setattr(compiler, name, getattr(finishing, name, None))
    tag(compiler.using, None)
    found = [row[: finishing.col_count] for row in rows]
    if result_type == SINGLE:
        return found[0] if found else None
    return iter([found])


def _rows(compiler: Any, shadow: Any, sql: str, params: Any) -> list[Any]:
    """Run the statement over the partial rows."""
    connection = compiler.connection
    with shadowed(connection, [shadow], Budget.from_settings()) as shadows, connection.cursor() as cursor:
        shadows.execute(cursor, sql, params)
        rows: list[Any] = cursor.fetchall()
        return rows
