"""What does a statement over several shards do, in words, and in those of their databases?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connections

from shardkit import conf
from shardkit.consistency.reading import Reading
from shardkit.consistency.wishes import Wish
from shardkit.orm.gathering import coordinator, gather
from shardkit.orm.merging.adding import adds_up
from shardkit.orm.merging.finishing import finished, is_around_groups
from shardkit.orm.merging.grouping import NotInParts
from shardkit.orm.parts import compiler_on
from shardkit.orm.planning import refuse
from shardkit.orm.reaching import reach
from shardkit.orm.wishes import wish_of
from shardkit.routing.narrowing import Narrowing
from shardkit.routing.plan import Gather, Local, Merge, Recipe, Refuse, Single
from shardkit.routing.registry import Kind, placement_of
from shardkit.signals import announce, query_planned
from shardkit.topology.names import LOGICAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

    from shardkit.routing.plan import Plan
    from shardkit.shadows import Shadow
    from shardkit.topology.names import Alias

#: Operations that change rows.
WRITES: Final = frozenset({"insert", "update", "delete"})


def tell(compiler: Any, model: type[Model] | None, plan: Plan, operation: str) -> None:
    """Announce the *plan* of the statement of *compiler*, in words for those who listen."""
    if query_planned.receivers:
        announce(model, in_words(plan, compiler, operation), operation)


def in_words(plan: Plan, compiler: Any, operation: str = "select") -> Plan:
    """Return *plan* with what each shard does of the statement of *compiler*, and what is done with that."""
    if not isinstance(plan, (Merge, Gather)):
        return plan
    pushed, finish = (_of_write if operation in WRITES else _of_read)(plan, compiler)
    return replace(plan, pushed=pushed, finish=finish)


def _of_read(plan: Merge | Gather, compiler: Any) -> tuple[tuple[str, ...], str]:
    if isinstance(plan, Gather):
        return ("the conditions that it can judge", "only the columns that are needed"), ""
    if plan.recipe is Recipe.ROWS:
        return tuple(_pushed_rows(compiler.query)), ""
    return (_filters(compiler.query), _parts(compiler)), _finish(compiler)


def _of_write(plan: Merge | Gather, compiler: Any) -> tuple[tuple[str, ...], str]:
    is_copied = placement_of(compiler.query.get_meta().model).kind is Kind.REFERENCE
    if is_copied and LOGICAL in plan.aliases:
        return ("the same write",), "every copy is the same"
    if is_copied or isinstance(plan, Gather):
        pushed, _ = _of_read(plan, compiler)
        return pushed, "the keys of the rows are found over these, and the rows are written wherever they are"
    return (_filters(compiler.query),), "the numbers of their rows are added"


def reading_from(plan: Plan, query: Any, *, is_read: bool) -> Plan:
    """Return *plan* with where each primary that has replicas is read at this moment, and why."""
    replicas = conf.get_settings().replicas
    if not replicas or isinstance(plan, Refuse):
        return plan
    elsewhere = coordinator.coordinator_over(connections[LOGICAL]) if isinstance(plan, Gather) else None
    if isinstance(plan, Gather) and elsewhere is not None:
        whys = {name: (name, coordinator.why(elsewhere)) for name in coordinator.primaries_of(plan)}
    else:
        whys = _whys(plan, query, is_read=is_read and not query.select_for_update)
    reads = (f"{primary} is read from {alias}: {why}" for primary, (alias, why) in whys.items())
    return replace(plan, reads=tuple(reads))


def _whys(plan: Local | Single | Merge | Gather, query: Any, *, is_read: bool) -> dict[Alias, tuple[Alias, str]]:
    """Return for each primary with replicas from where it would be read, and why."""
    replicas = conf.get_settings().replicas
    only_primary = frozenset((LOGICAL,)) if isinstance(plan, (Merge, Gather)) else frozenset()
    reading = Reading(wish_of(query) if is_read else Wish(primary=True), only_primary)
    asked = (LOGICAL,) if isinstance(plan, Local) else (plan.alias,) if isinstance(plan, Single) else plan.aliases
    choices = {primary: reading.looked_up(primary) for primary in asked if primary in replicas}
    return {primary: (choice.alias, choice.why) for primary, choice in choices.items()}


def _pushed_rows(query: Any) -> Iterator[str]:
    yield _filters(query)
    if query.group_by is not None:
        yield "whole groups"
    if query.distinct:
        yield "distinct rows"
    if query.order_by or (query.default_ordering and query.get_meta().ordering):
        yield "the order"
    if query.high_mark is not None:
        yield "the first row" if query.high_mark == 1 else f"the first {query.high_mark} rows"


def _filters(query: Any) -> str:
    inner = getattr(query, "inner_query", None)
    return "the conditions" if (inner or query).where else "all rows"


def _parts(compiler: Any) -> str:
    """Name what each shard sends of the groups that span shards."""
    query = compiler.query.inner_query if is_around_groups(compiler) else compiler.query
    if query.group_by is not None:
        return "its part of each group and aggregate"
    return "its distinct rows" if query.distinct else "its part of each aggregate"


def _finish(compiler: Any) -> str:
    """Say who puts the parts together; the plan itself knows that a database does."""
    return "their parts become the whole here" if adds_up(compiler.query) and not is_around_groups(compiler) else ""


def explained(compiler: Any, plan: Merge | Gather | Refuse) -> Iterator[str]:
    """Yield the plans of the databases for what they do of the statement of *compiler*, each under its heading."""
    match plan:
        case Merge(recipe=Recipe.ROWS):
            yield from _explained_rows(compiler, plan)
        case Merge():
            try:
                shadow = finished(_unexplained(compiler), plan.aliases).shadow
            except NotInParts as reason:
                yield from _explained_gather(compiler, Gather(plan.aliases, str(reason)))
            else:
                yield from _explained_sources(compiler.query, shadow, "its part of the groups")
        case Gather():
            yield from _explained_gather(compiler, plan)
        case Refuse():
            refuse(plan, compiler.query.model, "explain()")


def _explained_rows(compiler: Any, plan: Merge) -> Iterator[str]:
    queries = Narrowing(compiler.query)
    for alias in plan.aliases:
        query = queries.on(alias)
        query.low_mark = 0  # what is skipped is skipped after the merge
        reach(alias)
        yield f"-- {alias}"
        yield from compiler_on(alias, query, elide_empty=compiler.elide_empty).explain_query()


def _explained_gather(compiler: Any, plan: Gather) -> Iterator[str]:
    try:
        shadows, _ = gather.shadows_for(gather.original_of(_unexplained(compiler)), plan)
    except EmptyResultSet:
        return
    for shadow in shadows:
        yield from _explained_sources(compiler.query, shadow, f"rows of {shadow.name}")
    yield "-- default: the statement over these rows"


def _explained_sources(query: Any, shadow: Shadow, what: str) -> Iterator[str]:
    for source in shadow.sources:
        yield f"-- {source.alias}: {what}"
        yield from _explained_text(query, source.alias, source.sql, source.params)


def _explained_text(query: Any, alias: Alias, sql: str, params: Any) -> Iterator[str]:
    """Ask one database for its plan, and write it as Django does."""
    connection, asked = reach(alias), query.explain_info
    write = json.dumps if asked.format and asked.format.lower() == "json" else str
    with connection.cursor() as cursor:
        cursor.execute(f"{connection.ops.explain_query_prefix(asked.format, **asked.options)} {sql}", params)
        for row in cursor.fetchall():
            yield " ".join(write(value) for value in row)


def _unexplained(compiler: Any) -> Any:
    """Return a compiler of the same statement, which runs it."""
    query = compiler.query.clone()
    query.explain_info = None
    return query.get_compiler(compiler.using, elide_empty=compiler.elide_empty)
