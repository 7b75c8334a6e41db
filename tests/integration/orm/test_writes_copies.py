"""Does a write to a reference model reach every copy, with one and the same result?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Exists, F, OuterRef, Subquery, Value
from django.db.models.functions import Concat, Length, Now, Random, Upper

from shardkit.errors import CrossDatabaseQuery
from shardkit.routing import owners
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop
from tests.fix_writes import content_of_shards, refused_write, same_write, unrouted
from tests.shop.models import Country, Customer, Fare, Label, Notice, Order, Product

pytestmark = pytest.mark.django_db(databases="__all__")

WRITES: dict[str, Callable[[], Any]] = {
    "create": lambda: Label.objects.create(name="new"),
    "create with a natural key": lambda: Country.objects.create(code="NO", name="Norge"),
    "create with a primary key": lambda: Label.objects.create(pk=500, name="new"),
    "create what is there": lambda: Country.objects.create(code="DE", name="again"),
    "save with an expression": lambda: Country(code="NO", name=Upper(Value("norge"))).save(),
    "save again": lambda: _saved(Country.objects.get(code="DE"), name="D"),
    "save of some fields": lambda: _saved(Country.objects.get(code="DE"), ["name"], name="D"),
    "save an F": lambda: _saved(Country.objects.get(code="DE"), name=Concat(F("name"), F("code"))),
    "save of a deferred instance": lambda: _saved(Country.objects.only("code").get(code="DE"), name="D"),
    "save of what is gone": lambda: Country(code="DE", name="by hand").save(),
    "bulk_create": lambda: _names(Label.objects.bulk_create([Label(name=f"n{n}") for n in range(7)], batch_size=3)),
    "bulk_create with keys": lambda: _names(Country.objects.bulk_create([Country(code=c, name=c) for c in "ABC"])),
    "bulk_create ignoring conflicts": lambda: _names(
        Country.objects.bulk_create([Country(code=c, name=c) for c in ("A", "DE", "B")], ignore_conflicts=True)
    ),
    "bulk_create ignoring conflicts, numbered": lambda: _names(
        Label.objects.bulk_create([Label(name="a"), Label(name="b")], ignore_conflicts=True)
    ),
    "bulk_create updating on conflict": lambda: _names(
        Country.objects.bulk_create(
            [Country(code=c, name=f"new {c}") for c in ("A", "DE", "B")],
            update_conflicts=True,
            update_fields=["name"],
            **_unique("code"),
        )
    ),
    "bulk_create updating on conflict, numbered": lambda: _names(
        Label.objects.bulk_create(
            [Label(name="a"), Label(pk=1, name="b")], update_conflicts=True, update_fields=["name"], **_unique("id")
        )
    ),
    "bulk_create by a plain queryset": lambda: _names(unrouted(Label).bulk_create([Label(name="n")])),
    "bulk_create with expressions": lambda: len(
        Country.objects.bulk_create([Country(code="A", name=Upper(Value("a"))), Country(code="B", name="b")])
    ),
    "bulk_update": lambda: Country.objects.bulk_update(
        [_with(country, name=f"{country.name}!") for country in Country.objects.all()], ["name"]
    ),
    "update": lambda: Country.objects.update(name="x"),
    "update of some": lambda: Country.objects.filter(name__startswith="F").update(name="x"),
    "update with F": lambda: Country.objects.update(name=Concat("name", Value(" "), "code")),
    "update with a function": lambda: Country.objects.update(name=Upper("name")),
    "update by a function": lambda: Country.objects.annotate(n=Length("name")).filter(n__gt=5).update(name="long"),
    "update through a copied subquery": lambda: Country.objects.filter(
        pk__in=Country.objects.filter(name="France").values("pk")
    ).update(name="x"),
    "update through a global table": lambda: Label.objects.filter(
        Exists(Product.objects.filter(name__endswith="1", pk__gte=OuterRef("pk")))
    ).update(name="x"),
    "update from a global table": lambda: Label.objects.update(
        name=Subquery(Product.objects.order_by("pk").values("name")[:1])
    ),
    "update of none": lambda: Country.objects.none().update(name="x"),
    "delete": lambda: Label.objects.get(name="unused").delete(),
    "delete of some": lambda: Label.objects.filter(name__in=["gift", "unused"]).delete(),
    "delete of all": lambda: Label.objects.all().delete(),
    "get_or_create": lambda: Label.objects.get_or_create(name="new"),
    "update_or_create": lambda: Country.objects.update_or_create(code="DE", defaults={"name": "x"}),
    "a default of the database": lambda: Fare.objects.create(name="new").price,
    "defaults of the database, in bulk": lambda: _names(
        Fare.objects.bulk_create([Fare(name="a"), Fare(name="b", price=9)])
    ),
    "a generated column": lambda: Fare.objects.create(name="new", price=21).twice,
    "an update of a generated column": lambda: [
        Fare.objects.create(name="new", price=21).pk > 0,
        Fare.objects.update(price=F("price") + 1),
    ],
}


def _saved(instance: Any, fields: list[str] | None = None, **values: Any) -> None:
    _with(instance, **values).save(update_fields=fields)


def _with(instance: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(instance, name, value)
    return instance


def _names(made: Any) -> list[str]:
    return [one.name for one in made]


def _unique(*names: str) -> dict[str, Any]:
    return {"unique_fields": names} if connection.features.supports_update_conflicts_with_target else {}


@pytest.mark.parametrize("name", WRITES)
def test_it_equals_one_database_on_every_copy(shop: Shop, name: str) -> None:
    del shop

    same_write(WRITES[name])


@pytest.mark.parametrize("value", [Now, Random], ids=["Now", "Random"])
def test_what_a_database_evaluates_is_evaluated_once(shop: Shop, value: Callable[[], Any]) -> None:
    del shop
    text = Concat(value(), Value(""), output_field=models.CharField())

    Country.objects.create(code="A", name=text)
    Country.objects.bulk_create([Country(code="B", name=text)])
    Country.objects.filter(code__in=["DE", "FR"]).update(name=text)

    content_of_shards()  # which insists that the copies are equal


def test_rows_that_a_database_chose_are_chosen_once(shop: Shop) -> None:
    del shop

    Country.objects.annotate(dice=Random()).filter(dice__lt=0.5).update(name="chosen")
    if connection.features.allow_sliced_subqueries_with_in:
        Country.objects.filter(pk__in=Country.objects.order_by("?").values("pk")[:1]).update(name="the chosen one")
        assert 1 == Country.objects.filter(name="the chosen one").count()

    content_of_shards()


def test_rows_chosen_by_sharded_ones(shop: Shop) -> None:
    """Which rows those are needs every shard."""
    del shop

    same_write(lambda: Label.objects.filter(order__number=1).update(name="x"))
    same_write(lambda: Label.objects.filter(order__number=1).delete())


def test_values_from_sharded_rows_reach_every_copy(shop: Shop) -> None:
    del shop

    same_write(lambda: Country.objects.update(name=Subquery(Customer.objects.order_by("pk").values("name")[:1])))


def test_a_violation_on_one_copy_undoes_all(shop: Shop) -> None:
    """A copy that differs, by whatever accident, makes the write fail instead of differing more."""
    del shop
    unrouted(Country).using("shard_2").bulk_create([Country(code="NO", name="only here")])

    with pytest.raises(IntegrityError), transaction.atomic():
        Country.objects.create(code="NO", name="everywhere")

    assert [0, 0, 0, 1, 0] == [
        models.QuerySet(Country, using=alias).filter(code="NO").count() for alias in ("default", *owners.all_aliases())
    ]


def test_reading_asks_one_copy(shop: Shop) -> None:
    customer = shop.customers[6]

    with queries_by_database() as seen:
        list(Country.objects.all())
        list(Customer.objects.filter(pk=customer.pk, country__name="Germany"))

    assert {"default": 1, "shard_1": 1} == dict(seen)


def test_a_copied_row_created_through_a_sharded_one_is_everywhere(shop: Shop) -> None:
    pk = shop.orders[3].pk

    same_write(lambda: Order.objects.get(pk=pk).labels.create(name="made there"))


def test_async_twins(shop: Shop) -> None:
    del shop

    async def write() -> Any:
        made = await Label.objects.acreate(name="async")
        made.name = "saved"
        await made.asave()
        return [
            await Label.objects.filter(name="saved").aupdate(name="updated"),
            (await Label.objects.filter(name="updated").adelete())[0],
            len(await Label.objects.abulk_create([Label(name="bulk")])),
        ]

    same_write(async_to_sync(write))


@pytest.mark.parametrize(
    "write",
    [
        lambda: Notice.everything.create(text="x"),
        lambda: Notice.everything.bulk_create([Notice(text="x"), Notice(text="y")]),
        lambda: Notice.everything.bulk_create([Notice(pk=1, text="x")], ignore_conflicts=True),
        lambda: unrouted(Notice).bulk_create([Notice(text="x")]),
    ],
    ids=["create", "bulk_create", "ignoring conflicts", "plain queryset"],
)
def test_a_time_that_python_takes_is_taken_once(write: Callable[[], Any]):
    write()

    assert content_of_shards()["shop.Notice"]


def test_what_each_copy_would_evaluate_for_itself_is_refused_beside_conflicts():
    refused_write(
        lambda: Country.objects.bulk_create([Country(code="A", name=Upper(Value("a")))], ignore_conflicts=True),
        error=CrossDatabaseQuery,
    )
