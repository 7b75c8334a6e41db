"""Which shard did statements of this text go to, given their parameters?

Two statements with one text differ in their parameters alone. Where the analysis of the first found that one
``key = %s`` names the shard of everything that it reads, the shard of the next follows from that parameter, without
looking at the query again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db.models.expressions import Col

from shardkit import conf
from shardkit.routing import owners
from shardkit.routing.analysis import sole_component
from shardkit.routing.pins import conditions, is_exact
from shardkit.routing.registry import Kind, placement_of_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shardkit.routing.registry import Locator
    from shardkit.routing.selects import Select
    from shardkit.topology.names import Alias

#: Types of keys that reach the database as they are.
_PLAIN: Final = (int, str)
#: How many texts are remembered; then all are forgotten, as in a cache that is too small whatever it keeps.
MAX_SHAPES: Final = 4096

#: The locator of the key and the position of its parameter; None for a text whose shard this cannot say.
Rule = tuple["Locator", int] | None
_rules: dict[str, Rule] = {}
conf.settings_reset.append(_rules.clear)


def may_name_shard(query: Any) -> bool:
    """Say quickly whether *query* could be one of those: it demands that some key has a value."""
    return any(True for _ in _keys(query))


def recall(sql: str, params: Sequence[Any]) -> Alias | None:
    """Return the shard of the statement, None when it has to be analysed."""
    rule = _rules.get(sql)
    if rule is None:
        return None
    locator, position = rule
    value = params[position]
    return owners.find(locator, (value,)) if type(value) in _PLAIN else None


def learn(sql: str, params: Sequence[Any], select: Callable[[], Select], connection: Any) -> None:
    """Remember by which parameter the statement, which one shard answers, names it."""
    if sql in _rules:
        return
    if len(_rules) >= MAX_SHAPES:
        _rules.clear()
    component = sole_component(select())
    if component is None:
        _rules[sql] = None
        return
    level, aliases = component
    for lookup, locator in _keys(level.query):
        value = lookup.rhs
        prepared = lookup.lhs.target.get_db_prep_value(value, connection, prepared=True)
        found = [position for position, param in enumerate(params) if type(param) is type(value) and param == value]
        if lookup.lhs.alias in aliases and prepared == value and len(found) == 1:
            _rules[sql] = (locator, found[0])
            return


def _keys(query: Any) -> Iterator[tuple[Any, Locator]]:
    """Yield each lookup ``key = value`` that every row of *query* satisfies, with the locator that the key is."""
    lookup: Any
    for lookup in conditions(query.where):
        if not is_exact(lookup) or type(lookup.lhs) is not Col or type(lookup.rhs) not in _PLAIN:
            continue
        table = query.alias_map.get(lookup.lhs.alias)
        placement = None if table is None else placement_of_table(table.table_name)
        if placement is None or placement.kind is not Kind.SHARDED:
            continue
        for locator in placement.locators:
            if locator.columns == (lookup.lhs.target.column,):
                yield lookup, locator
