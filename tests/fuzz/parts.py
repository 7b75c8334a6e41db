"""What are random questions about rows made of: conditions, annotations, an order, columns and a slice?"""

from __future__ import annotations

from django.db.models import Model

from tests.fuzz.code import Call, Chain, Step
from tests.fuzz.conditions import PLAIN
from tests.fuzz.expressions import Drawing


def filtered(draw: Drawing, model: type[Model]) -> Chain:
    chain = Chain(model.__name__)
    for _ in range(draw.one((0, 0, 1, 1, 1, 2))):
        chain = chain.then(draw.one(("filter", "filter", "filter", "exclude")), draw.condition(model))
    return chain


def annotated(draw: Drawing, chain: Chain, model: type[Model]) -> Chain:
    for _ in range(draw.one((0, 0, 0, 1, 1, 2))):
        found = draw.expression(model)
        if found is None:
            continue
        name = draw.name()
        chain = chain.then(draw.one(("annotate", "annotate", "alias")), **{name: found[0]})
        if chain.steps[-1].method == "annotate":
            draw.annotated[name] = found[1]
        if draw.maybe(0.3) and found[1] in {"int", "decimal", "float"}:
            chain = chain.then("filter", Call("Q", (), ((f"{name}__{draw.one(('gt', 'lte'))}", draw.one((0, 1, 2))),)))
    return chain


def ordered(draw: Drawing, chain: Chain, model: type[Model]) -> Chain:
    roll = draw.chance.random()
    if roll < 0.25:
        return chain
    if roll < 0.32:
        return chain.then("order_by")
    if roll < 0.35:
        return chain.then("order_by", "?")
    terms = draw.order(model)
    if draw.maybe(0.5):
        terms.append(draw.one(("pk", "-pk")))
    return chain.then("order_by", *terms)


def totally_ordered(draw: Drawing, chain: Chain, model: type[Model]) -> Chain:
    terms = draw.order(model) if draw.maybe(0.6) else []
    return chain.then("order_by", *terms, draw.one(("pk", "-pk")))


def columns(draw: Drawing, chain: Chain, model: type[Model], *, prefetch: bool = True) -> Chain:
    """Choose what is selected of each row."""
    names = [column.name for column in draw.shape(model).columns]
    chosen = draw.chance.sample(names, min(len(names), draw.one((1, 1, 2, 3))))
    roll = draw.chance.random()
    if roll < 0.35:
        return chain
    if roll < 0.6:
        path = draw.path(model, PLAIN, own=0.3)
        more = [path.name] if path is not None and path.name not in chosen else []
        annotations = [name for name in draw.annotated if "__" not in name and draw.maybe(0.7)]
        method = draw.one(("values", "values_list"))
        return chain.then(method, *chosen, *more, *annotations)
    if roll < 0.66:
        return chain.then("values_list", chosen[0], flat=True)
    if roll < 0.76:
        plain = [name for name in chosen if not is_part_of_key(model, name)]
        return chain.then(draw.one(("only", "defer")), *plain) if plain else chain
    return related(draw, chain, model, prefetch=prefetch and roll > 0.88)


def is_part_of_key(model: type[Model], name: str) -> bool:
    return any(field.name == name for field in model._meta.pk_fields)


def related(draw: Drawing, chain: Chain, model: type[Model], *, prefetch: bool) -> Chain:
    relations = draw.shape(model).relations
    fit = [found for found in relations if prefetch or found.selectable]
    if not fit:
        return chain
    relation = draw.one(fit)
    name = relation.accessor if prefetch else relation.name
    further = [found for found in draw.shape(relation.model).relations if prefetch or found.selectable]
    if further and draw.maybe(0.35):
        second = draw.one(further)
        name += f"__{second.accessor if prefetch else second.name}"
    return chain.then("prefetch_related" if prefetch else "select_related", name)


def sliced(draw: Drawing, chain: Chain) -> Chain:
    low = draw.one((None, None, 0, 1, 2, 5))
    high = draw.one((None, 1, 2, 3, 5, 10, 50))
    if high is not None and low is not None:
        high += low
    if low is None and high is None:
        high = 3
    return Chain(chain.model, (*chain.steps, Step("[]", (low, high))))
