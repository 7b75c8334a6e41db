"""Whatever is asked, the shards answer as one plain database does, or refuse by name.

Random conditions, joins, subqueries and ways of asking over the models of the shop. A case is data, so that a failure
prints as what can be pasted: ``ask(shop, <case>)``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from django.db import transaction
from django.db.models import Avg, Count, Exists, F, Max, Min, Model, OuterRef, Q, QuerySet, Subquery, Sum, Window
from django.db.models.functions import Coalesce, RowNumber
from hypothesis import event, given, settings
from hypothesis import strategies as st

from shardkit.errors import CrossDatabaseQuery, CrossShardQuery
from tests.fix_shop import STATUSES, Outcome, Shop, outcome, plain
from tests.oracle import on_plain_database
from tests.shop.models import (
    Answer,
    Country,
    Customer,
    Document,
    Gadget,
    Label,
    Line,
    Order,
    Parcel,
    Product,
    Profile,
    Reading,
    Room,
    Shipment,
    Tagged,
    Ticket,
)

pytestmark = pytest.mark.django_db(databases="__all__")

Condition = Callable[[Shop, int], Q]


def _customer(shop: Shop, n: int) -> Any:
    return shop.customers[n % 16]


def _order(shop: Shop, n: int) -> Any:
    return shop.orders[n % len(shop.orders)]


#: Conditions that a queryset of each model may have, of a small number that says which row or value is meant.
CONDITIONS: Final[dict[type[Model], dict[str, Condition]]] = {
    Customer: {
        "pk": lambda s, n: Q(pk=_customer(s, n).pk),
        "pks": lambda s, n: Q(pk__in=[_customer(s, n).pk, _customer(s, n + 5).pk]),
        "pks of a shard": lambda s, n: Q(pk__in=[c.pk for c in s.customers[n // 4 * 4 :][:4]]),
        "name": lambda s, n: Q(name=_customer(s, n).name),
        "score": lambda _, n: Q(score__gte=n % 7 - 2),
        "no score": lambda _, _n: Q(score__isnull=True),
        "country": lambda s, n: Q(country__name=s.countries[n % 3].name),
        "no country": lambda _, _n: Q(country=None),
        "referrer": lambda s, n: Q(referrer=_customer(s, n)),
        "referrer's name": lambda s, n: Q(referrer__name=_customer(s, n).name),
        "order": lambda s, n: Q(orders=_order(s, n)),
        "order's status": lambda _, n: Q(orders__status=STATUSES[n % 3]),
        "order's customer": lambda s, n: Q(orders__customer=_customer(s, n)),
        "no order": lambda _, _n: Q(orders__isnull=True),
        "line's order": lambda s, n: Q(orders__lines__order=_order(s, n)),
        "profile": lambda s, n: Q(profile=_customer(s, n).pk),
        "no profile": lambda _, _n: Q(profile__isnull=True),
        "document": lambda s, n: Q(documents=s.documents[n % len(s.documents)].pk),
        "an order's product": lambda s, n: Q(orders__product=s.products[n % 5]),
        "key compared": lambda s, n: Q(pk__lte=_customer(s, n).pk),
        "key of itself": lambda _, _n: Q(pk=F("pk")),
        "key of its order": lambda _, _n: Q(pk=F("orders__customer")),
    },
    Order: {
        "pk": lambda s, n: Q(pk=_order(s, n).pk),
        "pks": lambda s, n: Q(pk__in=[_order(s, n).pk, _order(s, n + 7).pk]),
        "customer": lambda s, n: Q(customer=_customer(s, n)),
        "customers": lambda s, n: Q(customer_id__in=[_customer(s, n).pk, _customer(s, n + 1).pk, None]),
        "customer's name": lambda s, n: Q(customer__name=_customer(s, n).name),
        "customer's profile": lambda s, n: Q(customer__profile=_customer(s, n).pk),
        "customer's country": lambda s, n: Q(customer__country=s.countries[n % 3]),
        "customer's other order": lambda s, n: Q(customer__orders=_order(s, n)),
        "customer's referrer": lambda s, n: Q(customer__referrer=_customer(s, n)),
        "status": lambda _, n: Q(status=STATUSES[n % 3]),
        "number": lambda _, n: Q(number=n % 3),
        "light": lambda _, n: Q(weight__lt=n / 4),
        "no note": lambda _, _n: Q(note__isnull=True),
        "product": lambda s, n: Q(product=s.products[n % 5]),
        "product's price": lambda s, n: Q(product__price__gte=s.products[n % 5].price),
        "no product": lambda _, _n: Q(product__isnull=True),
        "label": lambda s, n: Q(labels=s.labels[n % 4]),
        "no label": lambda _, _n: Q(labels__isnull=True),
        "line": lambda _, n: Q(lines__qty=n % 4),
        "no line": lambda _, _n: Q(lines__isnull=True),
        "shipment's region": lambda s, n: Q(shipments__region=s.shipments[n % len(s.shipments)].region),
        "no shipment": lambda _, _n: Q(shipments__isnull=True),
        "tag": lambda _, n: Q(tags__tag=f"tag-{n % 3}"),
    },
    Line: {
        "pk": lambda s, n: Q(pk=s.lines[n % len(s.lines)].pk),
        "order": lambda s, n: Q(order=_order(s, n)),
        "order's customer": lambda s, n: Q(order__customer=_customer(s, n)),
        "order's customer's pk": lambda s, n: Q(order__customer__pk=_customer(s, n).pk),
        "order's status": lambda _, n: Q(order__status=STATUSES[n % 3]),
        "qty": lambda _, n: Q(qty__gt=n % 4),
        "sibling": lambda s, n: Q(order__lines=s.lines[n % len(s.lines)]),
    },
    Shipment: {
        "pk": lambda s, n: Q(pk=s.shipments[n % len(s.shipments)].pk),
        "region": lambda s, n: Q(region=s.shipments[n % len(s.shipments)].region),
        "regions": lambda s, n: Q(region__in=["north", s.shipments[n % len(s.shipments)].region]),
        "order": lambda s, n: Q(order=_order(s, n)),
        "order's customer": lambda s, n: Q(order__customer=_customer(s, n)),
        "cost": lambda _, n: Q(cost__gt=n % 5),
    },
    Reading: {
        "station": lambda _, n: Q(station=("oslo", "Oslo", "rome", "")[n % 4]),
        "year": lambda _, n: Q(year=2000 + n % 4),
        "years": lambda _, n: Q(year__in=[2000 + n % 4, None, 2001]),
        "no year": lambda _, _n: Q(year__isnull=True),
        "some year": lambda _, _n: Q(year__isnull=False),
        "value": lambda _, n: Q(value__gte=1000 + n / 2),
    },
    Parcel: {
        "zone": lambda _, n: Q(zone=n * 25),
        "from": lambda _, n: Q(zone__gte=n * 30),
        "above": lambda _, n: Q(zone__gt=n * 25 + 0.5),
        "below": lambda _, n: Q(zone__lt=n * 30),
        "up to": lambda _, n: Q(zone__lte=n * 25),
        "between": lambda _, n: Q(zone__range=(n * 20, n * 20 + 90)),
        "zones": lambda _, n: Q(zone__in=[n * 25, 100, 5000]),
        "no zone": lambda _, _n: Q(zone__isnull=True),
        "weight": lambda _, n: Q(weight=n % 7),
        "zone of weight": lambda _, _n: Q(zone__gt=F("weight") * 50),
    },
    Ticket: {
        "queue": lambda s, n: Q(queue=s.tickets[n % 4].queue),
        "pk": lambda s, n: Q(pk=s.tickets[n % 4].pk),
        "pks": lambda s, n: Q(pk__in=[s.tickets[n % 4].pk, s.tickets[0].pk]),
        "answer": lambda _, n: Q(answers__text="abcd"[n % 4]),
        "answer's ticket": lambda s, n: Q(answers__ticket=s.tickets[n % 4]),
        "title": lambda s, n: Q(title=s.tickets[n % 4].title),
    },
    Answer: {
        "ticket": lambda s, n: Q(ticket=s.tickets[n % 4]),
        "ticket's queue": lambda s, n: Q(ticket__queue=s.tickets[n % 4].queue),
        "text": lambda _, n: Q(text="abcd"[n % 4]),
    },
    Country: {
        "code": lambda s, n: Q(pk=s.countries[n % 3].pk),
        "customer": lambda s, n: Q(customer=_customer(s, n)),
        "customer's score": lambda _, n: Q(customer__score=n % 7),
        "no customer": lambda _, _n: Q(customer__isnull=True),
        "order": lambda s, n: Q(customer__orders=_order(s, n)),
    },
    Label: {
        "name": lambda s, n: Q(name=s.labels[n % 4].name),
        "order": lambda s, n: Q(order=_order(s, n)),
        "order's status": lambda _, n: Q(order__status=STATUSES[n % 3]),
        "no order": lambda _, _n: Q(order__isnull=True),
    },
    Product: {
        "name": lambda s, n: Q(name=s.products[n % 5].name),
        "order": lambda s, n: Q(orders=_order(s, n)),
    },
    Room: {
        "pk": lambda _, n: Q(pk=(n % 8, n % 3)),
        "pks": lambda _, n: Q(pk__in=[(n % 8, n % 3), (n % 5, 1)]),
        "tenant": lambda _, n: Q(tenant=n % 8),
        "number": lambda _, n: Q(number=n % 3),
        "name": lambda _, n: Q(name=f"room {n % 5}"),
    },
    Gadget: {
        "maker": lambda _, n: Q(maker=n % 8 - 2),
        "code": lambda _, n: Q(pk=f"g{n}"),
        "price": lambda _, n: Q(price__lt=n % 10),
    },
    Profile: {
        "pk": lambda s, n: Q(pk=_customer(s, n).pk),
        "customer's name": lambda s, n: Q(customer__name=_customer(s, n).name),
        "order": lambda s, n: Q(customer__orders=_order(s, n)),
    },
    Document: {
        "pk": lambda s, n: Q(pk=s.documents[n % len(s.documents)].pk),
        "customer": lambda s, n: Q(customer=_customer(s, n)),
        "order": lambda s, n: Q(customer__orders=_order(s, n)),
    },
    Tagged: {
        "pk": lambda s, n: Q(pk=s.tags[n % len(s.tags)].pk),
        "tag": lambda _, n: Q(tag=f"tag-{n % 3}"),
    },
}

#: Subqueries of each model: the model inside, its column, and the column outside; some are keys and some are not.
SUBQUERIES: Final[dict[type[Model], tuple[tuple[type[Model], str, str], ...]]] = {
    Customer: (
        (Order, "customer", "pk"),
        (Line, "order__customer", "pk"),
        (Profile, "pk", "pk"),
        (Customer, "referrer", "pk"),
        (Customer, "pk", "referrer"),
        (Customer, "pk", "pk"),
        (Document, "customer", "pk"),
        (Country, "pk", "country"),
        (Tagged, "object_id", "pk"),
        (Order, "customer", "orders__customer"),
    ),
    Order: (
        (Line, "order", "pk"),
        (Shipment, "order", "pk"),
        (Customer, "pk", "customer"),
        (Profile, "pk", "customer"),
        (Order, "customer", "customer"),
        (Order, "product", "product"),
        (Document, "customer", "customer"),
        (Product, "pk", "product"),
    ),
    Line: ((Order, "pk", "order"), (Customer, "pk", "order__customer"), (Line, "order", "order")),
    Shipment: ((Order, "pk", "order"), (Shipment, "region", "region"), (Line, "order", "order")),
    Country: ((Customer, "country", "pk"),),
    Ticket: ((Answer, "ticket", "pk"), (Ticket, "queue", "queue"), (Ticket, "queue", "title")),
    Answer: ((Ticket, "pk", "ticket"),),
    Reading: ((Reading, "year", "year"), (Reading, "station", "station")),
    Document: ((Customer, "pk", "customer"), (Order, "customer", "customer")),
}

#: Ways of asking.
ENDS: Final[dict[str, Callable[[QuerySet[Any]], Any]]] = {
    "all": lambda q: q.order_by(),
    "ordered": lambda q: q.order_by("pk"),
    "ordered by default": lambda q: q,
    "reversed": lambda q: q.order_by("-pk"),
    "exists": lambda q: q.exists(),
    "count": lambda q: q.count(),
    "distinct": lambda q: q.order_by().distinct(),
    "count distinct": lambda q: q.distinct().count(),
    "first": lambda q: q.order_by("pk").first(),
    "slice": lambda q: q.order_by("pk").values_list("pk", flat=True)[1:4],
    "pks": lambda q: q.order_by().values_list("pk", flat=True),
    "aggregate": lambda q: q.aggregate(n=Count("pk"), most=Max("pk"), least=Min("pk")),
    "aggregate default": lambda q: q.aggregate(n=Count("pk", distinct=True), s=Coalesce(Max("pk"), None)),
    "window": lambda q: q.order_by().annotate(r=Window(RowNumber(), order_by="pk")),
    "in_bulk": lambda q: q.in_bulk(),
    "annotated exists": lambda q: q.order_by().annotate(x=Exists(q.model._base_manager.filter(pk=OuterRef("pk")))),
    "union": lambda q: q.order_by().union(q.model._base_manager.filter(pk__isnull=True)),
    "union with itself": lambda q: q.order_by().union(q.order_by(), all=True),
    "within itself": lambda q: q.model._base_manager.filter(pk__in=q.order_by().values("pk")),
    "not within itself": lambda q: q.model._base_manager.exclude(pk__in=q.order_by().values("pk")),
    "plain queryset": lambda q: QuerySet(q.model, query=q.order_by().query),
}
#: Ways of asking that only some models know.
MORE_ENDS: Final[dict[type[Model], dict[str, Callable[[QuerySet[Any]], Any]]]] = {
    Customer: {
        "counting orders": lambda q: q.order_by().annotate(n=Count("orders")),
        "having orders": lambda q: q.order_by().alias(n=Count("orders")).filter(n__gte=2),
        "aggregating orders": lambda q: q.aggregate(n=Count("orders"), t=Sum("orders__total")),
        "aggregating referrers": lambda q: q.aggregate(n=Count("referrer__orders")),
        "last order": lambda q: q.order_by().annotate(
            t=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-pk").values("total")[:1])
        ),
        "prefetched": lambda q: q.order_by().prefetch_related("orders__lines", "profile"),
        "by their orders": lambda q: Order.objects.filter(customer__in=q.order_by()),
        "by no orders": lambda q: Order.objects.exclude(customer__in=q.order_by()),
        "referrers": lambda q: Customer.objects.filter(pk__in=q.order_by().values("referrer")),
        "not referrers": lambda q: Customer.objects.exclude(pk__in=q.order_by().values("referrer")),
    },
    Order: {
        "by status": lambda q: q.order_by().values("status").annotate(n=Count("pk"), t=Sum("total")),
        "statuses": lambda q: q.order_by("status").values_list("status", flat=True).distinct(),
        "average": lambda q: q.aggregate(a=Avg("number"), s=Sum("lines__qty")),
        "aggregating shipments": lambda q: q.aggregate(n=Count("shipments")),
        "customers": lambda q: Customer.objects.filter(pk__in=q.order_by().values("customer")),
        "not customers": lambda q: Customer.objects.exclude(pk__in=q.order_by().values("customer")),
        "numbered customers": lambda q: Customer.objects.filter(
            pk__in=q.order_by().alias(r=Window(RowNumber(), order_by="pk")).filter(r__lte=2).values("customer")
        ),
        "best customers": lambda q: Customer.objects.filter(pk__in=q.order_by("-total", "pk").values("customer")[:2]),
        "prefetched": lambda q: q.order_by().prefetch_related("labels", "shipments", "customer"),
        "with customers": lambda q: q.order_by().select_related("customer__country"),
        "ordered by customer": lambda q: q.order_by("customer__name", "pk"),
        "ordered by product": lambda q: q.order_by("product__name", "pk"),
    },
}

OPERATORS: Final[dict[str, Callable[[Q, Q], Q]]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
#: A condition as data: a name of `CONDITIONS` and its number, or what combines others.
Tree = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """A queryset: some of the model's rows, filtered and excluded in turn, asked in one way."""

    model: type[Model]
    steps: tuple[tuple[str, Tree], ...]
    end: str

    def __repr__(self) -> str:
        return f"Case({self.model.__name__}, {self.steps!r}, {self.end!r})"


def as_q(model: type[Model], tree: Tree, shop: Shop) -> Q:
    match tree:
        case ("not", inside):
            found = ~as_q(model, inside, shop)
        case (("and" | "or" | "xor") as connector, left, right):
            found = OPERATORS[connector](as_q(model, left, shop), as_q(model, right, shop))
        case ("exists", number, inside):
            found = _exists(model, number, inside, shop)
        case ("in", number, inside):
            other, column, outer = SUBQUERIES[model][number]
            found = Q(**{f"{outer}__in": _rows(other, inside, shop).values(column)})
        case (name, number):
            found = CONDITIONS[model][name](shop, number)
        case _:
            raise AssertionError(tree)
    return found


def _exists(model: type[Model], number: int, inside: Tree, shop: Shop) -> Q:
    other, column, outer = SUBQUERIES[model][number]
    return Q(Exists(_rows(other, inside, shop).filter(**{column: OuterRef(outer)})))


def _rows(model: type[Model], tree: Tree, shop: Shop) -> QuerySet[Any]:
    return model._base_manager.filter(as_q(model, tree, shop)).order_by()


def ask(shop: Shop, case: Case) -> Any:
    queryset = case.model._base_manager.all()
    for step, tree in case.steps:
        queryset = getattr(queryset, step)(as_q(case.model, tree, shop))
    return {**ENDS, **MORE_ENDS.get(case.model, {})}[case.end](queryset)


def answer(shop: Shop, case: Case) -> Any:
    """Ask behind a savepoint: after an error PostgreSQL answers nothing more in the same transaction."""
    with transaction.atomic():
        return plain(ask(shop, case))


def trees(model: type[Model], depth: int = 2) -> st.SearchStrategy[Tree]:
    leaves: st.SearchStrategy[Tree] = st.tuples(st.sampled_from(sorted(CONDITIONS[model])), st.integers(0, 15))
    if depth == 0:
        return leaves
    parts = [leaves, leaves, _combined(model, depth)]
    if model in SUBQUERIES:
        parts.append(_nested(model, depth))
    return st.one_of(parts)


def _combined(model: type[Model], depth: int) -> st.SearchStrategy[Tree]:
    inside = st.deferred(lambda: trees(model, depth - 1))
    two = st.tuples(st.sampled_from(["and", "and", "or", "or", "xor"]), inside, inside)
    return st.one_of(two, two, st.tuples(st.just("not"), inside))


def _nested(model: type[Model], depth: int) -> st.SearchStrategy[Tree]:
    numbers = st.integers(0, len(SUBQUERIES[model]) - 1)
    return numbers.flatmap(
        lambda number: st.tuples(
            st.sampled_from(["exists", "in"]), st.just(number), trees(SUBQUERIES[model][number][0], depth - 1)
        )
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    models: list[type[Model]] = [*CONDITIONS, Customer, Order, Customer, Order, Line]
    model = draw(st.sampled_from(models))
    step = st.tuples(st.sampled_from(["filter", "filter", "exclude"]), trees(model))
    steps = draw(st.lists(step, min_size=0, max_size=3).map(tuple))
    end = draw(st.sampled_from([*ENDS, *MORE_ENDS.get(model, {})]))
    return Case(model, steps, end)


@given(case=cases())
@settings(max_examples=settings.default.max_examples * 5)  # type: ignore[union-attr]
def test_an_answer_is_that_of_one_database_or_a_named_refusal(shop: Shop, case: Case) -> None:
    here = outcome(lambda: answer(shop, case))
    with on_plain_database():
        there = outcome(lambda: answer(shop, case))

    event(_told(here, there))


def _told(here: Outcome, there: Outcome) -> str:
    """Compare, and say how it went."""
    match here.error, there.error:
        case ((CrossShardQuery() | CrossDatabaseQuery()), None):
            assert not here.seen, here.seen.texts  # refused before anything was asked
            return "refused"
        case None, None:
            assert there.value == here.value, here.seen.texts
            return f"answered by {len(here.seen)}"
        case _, error if error is not None:
            assert isinstance(here.error, (type(error), CrossShardQuery)), here.error
            return "an error in both worlds"
        case error, _:
            raise AssertionError("only the shards fail") from error
