"""Does an instance that was given another primary key stand for that row, wherever it is?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from shardkit.errors import ShardKeyImmutable
from tests.fix_shop import Shop
from tests.fix_writes import refused_write, same_write
from tests.shop.models import Customer, Gadget

pytestmark = pytest.mark.django_db(databases="__all__")


def _fetched() -> Gadget:
    return Gadget.objects.get(code="g1")


def _saved() -> Gadget:
    gadget = Gadget(code="g1", maker=Gadget.objects.get(code="g1").maker)
    gadget.save()
    return gadget


def _created() -> Gadget:
    return Gadget.objects.create(code="mine", maker=_fetched().maker)


def _created_in_bulk() -> Gadget:
    return Gadget.objects.bulk_create([Gadget(code="mine", maker=_fetched().maker)])[0]


SOURCES: Final[dict[str, Callable[[], Gadget]]] = {
    "fetched": _fetched,
    "saved": _saved,
    "created": _created,
    "created in bulk": _created_in_bulk,
}


def _elsewhere() -> Any:
    """Return the code of a gadget on another shard than g1."""
    return next(found.code for found in Gadget.objects.all() if found.shard != _fetched().shard)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_saving_it_does_not_make_a_second_row_of_that_key(shop: Shop, source: Callable[[], Gadget]) -> None:
    del shop
    gadget, code = source(), _elsewhere()
    gadget.code = code

    refused_write(gadget.save, ShardKeyImmutable)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_copy_under_a_new_key_is_saved(shop: Shop, source: Callable[[], Gadget]) -> None:
    del shop

    def copy() -> None:
        gadget = source()
        gadget.code = "new"
        gadget.save()
        gadget.price = 7
        gadget.save()

    same_write(copy)


def test_bulk_update_finds_that_row(shop: Shop) -> None:
    code = _elsewhere()

    def write(row: Any, other: Any, field: str) -> Any:
        row.pk = other
        setattr(row, field, 99)
        return type(row)._default_manager.bulk_update([row], [field])

    same_write(lambda: write(_fetched(), code, "price"))
    first, second = (shop.customer_on(shard).pk for shard in (0, 3))
    same_write(lambda: write(Customer.objects.get(pk=first), second, "score"))


def _made_again(use: Callable[[Gadget], Any]) -> list[Any]:
    """Use an instance of a row that others delete, and make again with another shard key."""
    gadget = Gadget.objects.get(code="g3")
    answers = []
    for maker in range(8):
        Gadget.objects.filter(code="g3").delete()
        Gadget.objects.create(code="g3", maker=maker, price=100 + maker)
        answers.append((use(gadget), gadget.price))
    return answers


def _reloaded(gadget: Gadget) -> None:
    gadget.refresh_from_db()


def _deferred(gadget: Gadget) -> Any:
    del gadget.price
    return gadget.price


def _bulk_updated(gadget: Gadget) -> Any:
    gadget.price = gadget.maker + 500
    return Gadget.objects.bulk_update([gadget], ["price"]), Gadget.objects.get(code="g3").price


def _updated_where(gadget: Gadget) -> Any:
    gadget.price = 7
    return Gadget.objects.filter(price__gt=103).bulk_update([gadget], ["price"])


@pytest.mark.parametrize("use", [_reloaded, _deferred, _bulk_updated, _updated_where])
@pytest.mark.usefixtures("shop")
def test_a_row_that_was_made_again_elsewhere_is_found(use: Callable[[Gadget], Any]) -> None:
    same_write(lambda: _made_again(use))


def test_a_row_that_is_gone_is_not_found() -> None:
    gadget = Gadget.objects.create(code="gone", maker=1)
    Gadget.objects.filter(code="gone").delete()

    with pytest.raises(Gadget.DoesNotExist):
        gadget.refresh_from_db()
    assert 0 == Gadget.objects.bulk_update([gadget], ["price"])
