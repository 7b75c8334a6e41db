"""Which plan does this query get?

The query comes *dissected*: every join that ordering and select_related make is in it. When in doubt the answer is
Gather.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardkit.routing import owners, registry
from shardkit.routing.graph import Level, levels_of, link_semi_joins, read_level
from shardkit.routing.plan import Gather, Local, Merge, Plan, Recipe, Refuse, Single
from shardkit.routing.recipes import recipe_of, recipe_over
from shardkit.routing.registry import Kind
from shardkit.routing.selects import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shardkit.routing.selects import Select
    from shardkit.topology.names import Alias


def analyse(select: Select) -> Plan:
    """Return the plan of the statement *select*."""
    plan = _by_tables(select)
    if plan is None or isinstance(plan, Gather):
        strangers = {name for level in select.levels() for name in level.strangers}
        plan = _refused(strangers) if strangers else plan
    if plan is not None:
        return plan
    if getattr(select.query, "inner_query", None) is not None or select.query.combinator:
        return _of_parts(select)
    return _by_components(select)


def sole_component(select: Select) -> tuple[Level, set[str]] | None:
    """Return the table aliases whose one shard has all that *select* reads, None when it may be in several places."""
    kinds = {None if found is None else found.kind for found in map(registry.placement_of_table, tables(select))}
    if not kinds <= {Kind.SHARDED, Kind.REFERENCE} or getattr(select.query, "inner_query", None) is not None:
        return None
    if select.query.combinator:
        return None
    top = read_level(select)
    levels = [top, *_nested(top)]
    if len(top.components) != 1 or _hidden(levels):
        return None
    (sole,) = top.components
    everything = [component for level in levels for component in level.components]
    return (top, sole.aliases) if all(component.leader is sole for component in everything) else None


def _by_tables(select: Select) -> Plan | None:
    """Decide by the tables alone, where that is enough."""
    names = tables(select)
    placements = {name: registry.placement_of_table(name) for name in names}
    sharded = {name for name, found in placements.items() if found is not None and found.kind is Kind.SHARDED}
    placed = {
        name: found.alias for name, found in placements.items() if found is not None and found.kind is Kind.PLACED
    }
    everywhere = {name for name, found in placements.items() if found is not None and found.kind is Kind.REFERENCE}
    local = names - sharded - placed.keys() - everywhere
    if placed:
        return _by_placed(placed, others=sorted(names - placed.keys()))
    if not sharded:
        return Local()
    if local:
        why = f"it joins {_list(sharded)} with {_list(local)}, which is only on 'default'"
        return _gather(levels_of(select), why)
    return None


def _refused(strangers: set[str]) -> Refuse:
    """Refuse text that reads what may be a view of sharded tables: each database has its own, of its own rows."""
    return Refuse(
        tuple(sorted(strangers)),
        "text reads it beside sharded tables, and no model says where its rows are",
        "Declare it by an unmanaged model of one of shardkit.models (without a schema in its db_table), or name a "
        "database with using().",
    )


def _by_placed(placed: dict[str, Alias], others: list[str]) -> Plan:
    aliases = set(placed.values())
    if len(aliases) == 1 and not others:
        (alias,) = aliases
        return Single(alias, f"{_list(placed)} is placed there")
    where = [f"{table} (on {alias!r})" for table, alias in sorted(placed.items())]
    return Refuse((*where, *others), "they live on databases that share no copy")


def _of_parts(select: Select) -> Plan:
    """Plan a combination, or an aggregate over a subquery: one shard if all parts are on it, or on every shard."""
    query = select.query
    parts = [plan for plan in map(analyse, select.inside) if not isinstance(plan, Local)]  # those are of copies
    first = parts[0]
    if isinstance(first, Single) and all(isinstance(part, Single) and part.alias == first.alias for part in parts):
        return first
    if query.combinator:
        return _gather(levels_of(select), f"{query.combinator.upper()} of several shards has to see all rows")
    if len(select.inside) > 1:
        return _gather(levels_of(select), "it aggregates over a subquery, beside another one")
    return _over_subquery(select, first)


def _over_subquery(select: Select, plan: Plan) -> Plan:
    """Plan an aggregate, *select*, over the rows of the subquery inside of it, whose own *plan* is known."""
    if not isinstance(plan, Merge):
        return _gather(levels_of(select), f"it aggregates over a subquery, and {plan.why}")
    if plan.recipe is Recipe.GROUPS:
        return plan  # its rows are made on one database, and so is whatever is made of them
    recipe = recipe_over(select.query, select.inside[0].query)
    if isinstance(recipe, str):
        return Gather(plan.aliases, recipe)
    why = _why_one_database(select)
    return Merge(plan.aliases, plan.why, recipe) if why is None else Gather(plan.aliases, why)


def _by_components(select: Select) -> Plan:
    top = read_level(select)
    levels = [top, *_nested(top)]
    hidden = _hidden(levels)
    if hidden:
        return _gather(levels, f"raw SQL reads {_list(hidden)}")
    components = [component for level in levels for component in level.components]
    pinned = [component.shards for component in components]
    shards = {alias for pin in pinned if pin is not None for alias in pin}
    if all(pin is not None for pin in pinned) and len(shards) <= 1:
        return _single(shards, top)
    return _by_anchor(top, levels)


def _single(shards: set[Alias], top: Level) -> Plan:
    if shards:
        (alias,) = shards
        return Single(alias, f"its conditions leave the shard key of {_keys(top)} one shard")
    return Single(owners.all_aliases()[0], "its conditions contradict each other, so that any shard can say so")


def _by_anchor(top: Level, levels: list[Level]) -> Plan:
    """Plan by the one component that every row has a row of."""
    why = _why_together(top, levels)
    if why is not None:
        return _gather(levels, why)
    (anchor,) = top.components
    if anchor.pin is not None and len(anchor.pin) <= 1:
        return _single(set(anchor.pin), top)
    recipe = recipe_of(top, anchor)
    if isinstance(recipe, str):
        return _gather(levels, recipe)
    why = _why_one_database(top.select)
    if why is not None:
        return _gather(levels, why)
    aliases = owners.all_aliases() if anchor.pin is None else owners.in_order(anchor.pin)
    missing = "does not say" if anchor.pin is None else "leaves several shards for"
    return Merge(aliases, f"it {missing} the shard key of {_keys(top)}", recipe)


def _why_one_database(select: Select) -> str | None:
    """Say why one database has to evaluate what *select* selects or is ordered by, None when several may."""
    if select.opaque:
        return "raw SQL among what it selects may have to see all rows"
    if any(level.tells_time for level in select.levels()):
        return "it shows the time, and each shard has its own"
    return None


def _why_together(top: Level, levels: list[Level]) -> str | None:
    """Say why a row can only be judged beside rows of other shards, None when each shard can judge its own."""
    if len(top.components) > 1:
        return f"it joins {_tables_of(top)} by columns that are not their shard keys"
    if not any(component.anchors for component in top.components):
        base = top.query.model
        return f"rows of {base._meta.db_table} are on every shard" if base else "its row is of no shard"
    (anchor,) = top.components
    nested = [component for level in levels[1:] for component in level.components]
    if any(component.leader is not anchor for component in nested):
        return "a subquery reads rows that are not on the shard of the row it is for"
    return None


def _gather(levels: Iterable[Level], why: str) -> Gather:
    """Plan to bring rows together, from each shard on which one that matters can be."""
    found: set[Alias] = set()
    for level in levels:
        shards = [component.shards for component in level.components]
        if None in shards or _hidden([level]):
            return Gather(owners.all_aliases(), why)
        found = found.union(*(pin for pin in shards if pin is not None))
    return Gather(owners.in_order(found), why)


def _nested(outer: Level) -> Iterator[Level]:
    for select in outer.select.inside:
        level = read_level(select, outer)
        link_semi_joins(outer, level)
        yield level
        yield from _nested(level)


def _hidden(levels: list[Level]) -> set[str]:
    """Return the tables that raw SQL reads and that are not copied to every database."""
    named = {name for level in levels for name in level.select.hidden}
    placements = {name: registry.placement_of_table(name) for name in named}
    return {name for name, found in placements.items() if found is None or found.kind is not Kind.REFERENCE}


def _tables_of(level: Level) -> str:
    return _list({level.placements[alias].model._meta.label for found in level.components for alias in found.aliases})


def _keys(level: Level) -> str:
    placements = [level.placements[alias] for found in level.components for alias in found.aliases]
    return _list({f"{placement.model._meta.label} ({placement.key_label})" for placement in placements})


def _list(names: object) -> str:
    return ", ".join(sorted(names))  # type: ignore[call-overload]
