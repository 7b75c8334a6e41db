"""Which questions can be asked at random?

Each of `SHAPES` draws whole questions of one sort. A question whose answer would depend on which of some ties comes
first is ordered by a primary key at last, and then joins no table that could repeat its rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Model

from tests.fuzz.code import Call, Chain, call
from tests.fuzz.conditions import NUMBERS, ORDERED, PLAIN, Draw
from tests.fuzz.expressions import Drawing
from tests.fuzz.parts import annotated, columns, filtered, ordered, sliced, totally_ordered
from tests.fuzz.rows import Data
from tests.nasty.models import VENDOR


@dataclass(frozen=True)
class Question:
    """What is asked, and of which sort it is."""

    shape: str
    code: Chain

    def __repr__(self) -> str:
        return repr(self.code)


def draw_question(data: Data, chance: random.Random) -> Question:
    """Draw one question about the rows of *data*."""
    shape = chance.choices(list(SHAPES), weights=list(_WEIGHTS.values()))[0]
    model = chance.choice(data.world.asked)
    draw = Drawing(data, chance, singly=chance.random() < 0.5, depth=chance.choice((0, 0, 1, 1, 2)))
    return Question(shape, SHAPES[shape](draw, model))


# Rows.


def rows(draw: Drawing, model: type[Model]) -> Chain:
    """Rows of a model, whole or in part, perhaps ordered and sliced."""
    chain = annotated(draw, filtered(draw, model), model)
    chain = ordered(draw, chain, model)
    if draw.maybe(0.15):
        chain = chain.then("distinct")
    if draw.maybe(0.12):
        chain = chain.then("reverse")
    chain = columns(draw, chain, model)
    return sliced(draw, chain) if draw.maybe(0.4) else chain


def one_row(draw: Drawing, model: type[Model]) -> Chain:
    """One row, or what is asked about one."""
    draw.singly = True
    chain = totally_ordered(draw, annotated(draw, filtered(draw, model), model), model)
    end = draw.one(("first", "last", "latest", "earliest", "get", "contains", "[n]"))
    match end:
        case "latest" | "earliest":
            path = draw.path(model, ORDERED, own=0.9)
            return chain.then(end, *([path.name] if path else []), "pk")
        case "get":
            column = draw.one([found for found in draw.shape(model).columns if found.kind in PLAIN])
            known = Call("Q", (), ((column.name, draw.value(column)),))
            return Chain(model.__name__).then("get", known)
        case "contains":
            return chain.then("filter", draw.condition(model)).then("exists")
        case "[n]":
            low = draw.one((0, 1, 5))
            return chain.then("[]", low, low + 1)
    return chain.then(end)


def counted(draw: Drawing, model: type[Model]) -> Chain:
    """How many rows, or whether there is one."""
    chain = annotated(draw, filtered(draw, model), model)
    if draw.maybe(0.3):
        chain = columns(draw, ordered(draw, chain, model), model)
    if draw.maybe(0.3):
        chain = chain.then("distinct")
    if draw.maybe(0.25):
        chain = sliced(draw, chain)
    return chain.then(draw.one(("count", "count", "exists")))


def in_bulk(draw: Drawing, model: type[Model]) -> Chain:
    """Rows by their primary keys."""
    draw.singly = True
    chain = filtered(draw, model)
    keys = [row.pk for row in draw.data.rows.get(model, ())]
    if keys and draw.maybe(0.7):
        return chain.then("in_bulk", draw.chance.sample(keys, min(len(keys), 4)))
    return chain.then("in_bulk")


def streamed(draw: Drawing, model: type[Model]) -> Chain:
    """Rows one after the other, chunk by chunk."""
    chain = ordered(draw, filtered(draw, model), model)
    chain = columns(draw, chain, model, prefetch=False)
    return chain.then("iterator", chunk_size=draw.one((1, 2, 7, 1000)))


def days(draw: Drawing, model: type[Model]) -> Chain:
    """The days, months or years that there are."""
    column = draw.one(draw.shape(model).of_kind("date", "datetime") or (None,))
    if column is None:
        return rows(draw, model)
    chain = filtered(draw, model)
    method = "dates" if column.kind == "date" or draw.maybe(0.3) else "datetimes"
    unit = draw.one(("year", "month", "week", "day", *(("hour",) if method == "datetimes" else ())))
    zone = {"tzinfo": call("ZoneInfo", draw.one(("UTC", "Europe/Berlin", "America/New_York")))}
    chain = chain.then(method, column.name, unit, draw.one(("ASC", "DESC")), **(zone if method == "datetimes" else {}))
    return sliced(draw, chain) if draw.maybe(0.2) else chain


def first_of_each(draw: Drawing, model: type[Model]) -> Chain:
    """The first row of each group, which only PostgreSQL has."""
    if VENDOR != "postgresql":
        return rows(draw, model)
    draw.singly = True
    path = draw.path(model, PLAIN, own=0.8)
    if path is None:
        return rows(draw, model)
    chain = filtered(draw, model).then("order_by", path.name, *draw.order(model), "pk").then("distinct", path.name)
    return sliced(draw, chain) if draw.maybe(0.3) else chain


# Aggregates.


def groups(draw: Drawing, model: type[Model]) -> Chain:
    """GROUP BY, in all that may follow it."""
    chain = filtered(draw, model).then("order_by")
    names: list[Any] = []
    for _ in range(draw.one((1, 1, 1, 2, 2, 3))):
        path = draw.path(model, PLAIN, own=0.7)
        if path is not None:
            names.append(path.name)
            draw.annotated[path.name] = path.column.kind
    named = {}
    if draw.maybe(0.25):
        found = draw.expression(model)
        if found is not None and found[1] in PLAIN:
            name = draw.name()
            named[name] = found[0]
            draw.annotated[name] = found[1]
    if draw.maybe(0.05) or not (names or named):
        names.append("pk")
    chain = chain.then("values", *names, **named)
    chain = _aggregated(draw, chain, model)
    return _finished(draw, chain)


def annotated_groups(draw: Drawing, model: type[Model]) -> Chain:
    """Rows with aggregates of what belongs to them."""
    chain = filtered(draw, model)
    if draw.maybe(0.3):
        chain = chain.then("order_by")
    chain = _aggregated(draw, chain, model)
    if draw.maybe(0.4):
        names = [column.name for column in draw.shape(model).of_kind(*PLAIN)]
        chosen = draw.chance.sample(names, min(len(names), 2))
        chain = chain.then(draw.one(("values", "values_list")), *chosen, *draw.annotated)
        draw.annotated = {**draw.annotated, **dict.fromkeys(chosen, "int")}
    return _finished(draw, chain)


def totals(draw: Drawing, model: type[Model]) -> Chain:
    """One row of aggregates over all rows, over some, over slices, distinct rows, groups or annotations."""
    roll = draw.chance.random()
    if roll < 0.5:
        chain = filtered(draw, model)
        return chain.then("aggregate", **_some_aggregates(draw, model))
    if roll < 0.65:
        return _over_slice(draw, model)
    if roll < 0.85:
        return _over_groups(draw, model)
    draw.singly = True
    number = draw.number(model)
    if number is None or _has_huge(number[0]):
        return counted(draw, model)
    chain = filtered(draw, model).then("annotate", x=number[0])
    functions = ("Sum", "Min", "Max", "Count", "Avg")
    return chain.then("aggregate", **{f"of_{name}": call(name, "x") for name in draw.chance.sample(functions, 2)})


def _has_huge(code: Any) -> bool:
    return "huge" in repr(code)


def _over_slice(draw: Drawing, model: type[Model]) -> Chain:
    draw.singly = True
    chain = totally_ordered(draw, filtered(draw, model), model)
    chain = chain.then("distinct") if draw.maybe(0.2) else chain
    chain = sliced(draw, chain)
    return chain.then("aggregate", **_some_aggregates(draw, model))


def _over_groups(draw: Drawing, model: type[Model]) -> Chain:
    path = draw.path(model, PLAIN)
    if path is None:
        return counted(draw, model)
    inner = draw.aggregate(model)
    chain = filtered(draw, model).then("order_by").then("values", path.name)
    if inner is None or inner[1] not in {"int", "decimal"}:
        return chain.then("distinct").then("count")
    chain = chain.then("annotate", x=inner[0])
    if draw.maybe(0.3):
        return chain.then("filter", Call("Q", (), (("x__gte", 1),))).then("count")
    names = draw.chance.sample(("Sum", "Min", "Max", "Count"), 2)
    return chain.then("aggregate", **{f"of_{name}": call(name, "x") for name in names})


def _some_aggregates(draw: Drawing, model: type[Model]) -> dict[str, Any]:
    found = {}
    for _ in range(draw.one((1, 1, 2, 3))):
        aggregate = draw.over_aggregates(model) if draw.maybe(0.2) else draw.aggregate(model)
        if aggregate is not None:
            found[draw.name("a")] = aggregate[0]
    return found or {"n": call("Count", "*")}


def _aggregated(draw: Drawing, chain: Chain, model: type[Model]) -> Chain:
    named = {}
    for _ in range(draw.one((1, 1, 2, 3))):
        found = draw.over_aggregates(model) if draw.maybe(0.15) else draw.aggregate(model)
        if found is not None:
            name = draw.name("a")
            named[name] = found[0]
            draw.annotated[name] = found[1]
    return chain.then("annotate", **named) if named else chain


def _finished(draw: Drawing, chain: Chain) -> Chain:
    """Add HAVING, an order and a slice."""
    exact = [name for name, kind in draw.annotated.items() if kind in PLAIN]
    numbers = [name for name in exact if draw.annotated[name] in NUMBERS and "__" not in name]
    if numbers and draw.maybe(0.35):
        lookup = draw.one(("__gt", "__gte", "", "__lt", "__isnull"))
        value: Any = draw.maybe(0.5) if lookup == "__isnull" else draw.one((0, 1, 2, 3))
        chain = chain.then(
            draw.one(("filter", "filter", "exclude")), Call("Q", (), ((draw.one(numbers) + lookup, value),))
        )
    if exact and draw.maybe(0.6):
        chosen = draw.chance.sample(exact, min(len(exact), draw.one((1, 1, 2, 3))))
        chain = chain.then("order_by", *(draw.one(("", "-")) + name for name in chosen))
    if draw.maybe(0.15):
        chain = chain.then("distinct")
    return sliced(draw, chain) if draw.maybe(0.3) else chain


# Combinations.


def combined(draw: Drawing, model: type[Model]) -> Chain:
    """UNION, INTERSECT, EXCEPT."""
    names = [column.name for column in draw.shape(model).of_kind(*PLAIN)]
    chosen = draw.chance.sample(names, min(len(names), draw.one((1, 2, 3)))) if draw.maybe(0.6) else None
    parts = []
    for _ in range(draw.one((2, 2, 3))):
        part = filtered(draw, model).then("order_by")
        parts.append(part if chosen is None else part.then("values_list", *chosen))
    method = draw.one(("union", "union", "intersection", "difference"))
    options = {"all": True} if method == "union" and draw.maybe(0.4) else {}
    chain = parts[0].then(method, *parts[1:], **options)
    if draw.maybe(0.5):
        by = draw.chance.sample(chosen or names, 1)
        chain = chain.then("order_by", *(draw.one(("", "-")) + name for name in by))
        chain = sliced(draw, chain) if draw.maybe(0.5) else chain
    return chain.then("count") if draw.maybe(0.15) else chain


def filtered_relations(draw: Drawing, model: type[Model]) -> Chain:
    """Joins that have a condition of their own."""
    relation = draw.relation(model)
    if relation is None:
        return rows(draw, model)
    inside = Draw(draw.data, draw.chance, singly=True, depth=0)
    columns = inside.shape(relation.model).of_kind(*PLAIN)
    column = draw.one(columns)
    condition = Call("Q", (), ((f"{relation.name}__{column.name}", draw.value(column)),))
    chain = filtered(draw, model).then("annotate", chosen=call("FilteredRelation", relation.name, condition=condition))
    other = draw.one(columns)
    if draw.maybe(0.4):
        chain = chain.then("filter", Call("Q", (), ((f"chosen__{other.name}__isnull", draw.maybe(0.5)),)))
    if draw.maybe(0.4):
        return chain.then("annotate", n=call("Count", f"chosen__{other.name}"))
    own = [found.name for found in draw.shape(model).of_kind(*PLAIN)]
    return chain.then("values_list", draw.one(own), f"chosen__{other.name}")


def raw_parts(draw: Drawing, model: type[Model]) -> Chain:
    """SQL of one's own among what is selected and demanded."""
    table, pk = model._meta.db_table, model._meta.pk_fields[0].column
    chain = filtered(draw, model)
    quote = "`" if VENDOR == "mysql" else '"'
    column = f"{quote}{table}{quote}.{quote}{pk}{quote}"
    sql = draw.one(
        (
            f"CASE WHEN {column} IS NULL THEN 1 ELSE 2 END",
            f"(SELECT COUNT(*) FROM {quote}{table}{quote})",  # noqa: S608
            f"(SELECT COUNT(*) FROM {quote}{table}{quote} u WHERE u.{quote}{pk}{quote} <= {column})",  # noqa: S608
        )
    )
    if draw.maybe(0.3):
        path = draw.path(model, PLAIN, own=0.3)
        return chain.then("extra", order_by=[*([] if path is None else [path.name]), "pk"])
    if draw.maybe(0.4):
        return chain.then("extra", where=[f"{sql} > 1"])
    return chain.then("annotate", x=call("RawSQL", sql, ()))


SHAPES: Final[Mapping[str, Callable[[Drawing, type[Model]], Chain]]] = {
    "rows": rows,
    "one row": one_row,
    "counted": counted,
    "in_bulk": in_bulk,
    "streamed": streamed,
    "days": days,
    "first of each": first_of_each,
    "groups": groups,
    "annotated groups": annotated_groups,
    "totals": totals,
    "combined": combined,
    "filtered relations": filtered_relations,
    "raw parts": raw_parts,
}
_WEIGHTS: Final[Mapping[str, int]] = {
    "rows": 34,
    "one row": 8,
    "counted": 7,
    "in_bulk": 2,
    "streamed": 4,
    "days": 2,
    "first of each": 2,
    "groups": 15,
    "annotated groups": 8,
    "totals": 10,
    "combined": 5,
    "filtered relations": 2,
    "raw parts": 2,
}
