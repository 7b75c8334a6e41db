"""How do groups, aggregates and distinct rows that span shards become one database's?

Each shard sends the *partial rows* of its own rows: what the statement groups by, and aggregates of which the whole
can be made. The statement itself, as Django writes it, then runs on `default` over these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardkit.catalog.statements import own_statements
from shardkit.orm._django import SINGLE
from shardkit.orm.aliases import tag
from shardkit.orm.gathering import gather
from shardkit.orm.merging.adding import add_up, adds_up
from shardkit.orm.merging.finishing import Finished, finished, is_around_groups
from shardkit.orm.merging.grouping import NotInParts
from shardkit.orm.parts import describe_as, width_of
from shardkit.orm.planning import require_no_locks
from shardkit.routing.plan import Gather
from shardkit.shadows import Budget, shadowed

if TYPE_CHECKING:
    from shardkit.routing.plan import Merge


def execute(compiler: Any, plan: Merge, result_type: str, chunked_fetch: bool, chunk_size: int) -> Any:  # noqa: FBT001
    """Run the statement of *compiler* on the shards of *plan*, and answer as Django's own method does."""
    require_no_locks(compiler.query, plan, "rows that are only parts of groups")
    tag(compiler.using, None)
    if adds_up(compiler.query) and not is_around_groups(compiler):
        whole = add_up(compiler, plan.aliases)
        if whole is not None:
            return whole if result_type == SINGLE else iter([[whole]])
    try:
        statement = finished(compiler, plan.aliases)
    except NotInParts as reason:
        return gather.execute(compiler, Gather(plan.aliases, str(reason)), result_type, chunked_fetch, chunk_size)
    rows = _rows(compiler, statement)
    if result_type == SINGLE:
        return rows[0] if rows else None
    return iter([rows])


def _rows(compiler: Any, statement: Finished) -> list[Any]:
    """Run the *statement* over its partial rows, and describe its rows as if *compiler* had run it."""
    connection = compiler.connection
    with (
        shadowed(connection, [statement.shadow], Budget.from_settings()) as shadows,
        own_statements(),
        connection.cursor() as cursor,
    ):
        shadows.execute(cursor, statement.sql, statement.params)
        rows = cursor.fetchall()
    describe_as(compiler, statement.compiler)
    width = compiler.col_count if compiler.select is None else width_of(compiler.select)
    return [row[:width] for row in rows]
