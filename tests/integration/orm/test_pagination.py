"""Do pages by cursor hold the rows of one database, each once, whatever happens between them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import signing
from django.core.exceptions import BadRequest
from django.core.paginator import InvalidPage
from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import Length, Lower, Random, RowNumber, TruncDate
from django.test import override_settings

from shardkit.errors import CursorInvalid, OrderNotPageable
from shardkit.orm.paging.cursors import SALT, CursorPage, page_of
from tests.fix_queries import queries_by_database
from tests.fix_shop import Shop, pks, same
from tests.shop.models import Answer, Customer, Document, Gadget, Line, Order, Profile, Reading, Room, Shipment

pytestmark = pytest.mark.django_db(databases="__all__")

ORDERS: dict[str, Callable[[], QuerySet[Any, Any]]] = {
    "the primary key alone": Order.objects.all,
    "Meta.ordering": Answer.objects.all,
    "reversed": Answer.objects.reverse,
    "text with ties": lambda: Customer.objects.order_by("name"),
    "text, descending": lambda: Customer.objects.order_by("-name"),
    "NULLs": lambda: Customer.objects.order_by("score"),
    "NULLs, descending": lambda: Customer.objects.order_by("-score"),
    "NULLs last": lambda: Customer.objects.order_by(F("score").asc(nulls_last=True)),
    "NULLs first, descending": lambda: Customer.objects.order_by(F("score").desc(nulls_first=True)),
    "two directions": lambda: Order.objects.order_by("status", "-total", "number"),
    "NULLs behind another key": lambda: Order.objects.order_by("status", "weight"),
    "NULL text": lambda: Order.objects.order_by("note", "-status"),
    "decimals": lambda: Order.objects.order_by("-total"),
    "an expression of decimals": lambda: Order.objects.order_by(F("total") / 3),
    "floats": lambda: Order.objects.order_by("weight"),
    "microseconds": lambda: Order.objects.order_by("-created"),
    "dates": lambda: Order.objects.order_by(TruncDate("created")),
    "a UUID": lambda: Document.objects.order_by("pk"),
    "a foreign key": lambda: Order.objects.order_by("customer"),
    "a colocated row's column": lambda: Order.objects.order_by("customer__name", "-number"),
    "a column of the same name there": lambda: Order.objects.order_by("customer__id", "id"),
    "a copied row's column, or none": lambda: Customer.objects.order_by("country__name"),
    "an expression": lambda: Customer.objects.order_by(Lower("name").desc(), Length("email")),
    "an annotation": lambda: Customer.objects.annotate(size=Length("name")).order_by("size", "-email"),
    "an annotation by alias()": lambda: Customer.objects.alias(size=Length("name")).order_by("-size"),
    "a count": lambda: Customer.objects.annotate(n=Count("orders")).order_by("-n"),
    "a count among conditions": lambda: Customer.objects.annotate(n=Count("orders")).filter(n__gt=0).order_by("n"),
    "a composite primary key": lambda: Room.objects.order_by("name"),
    "a composite primary key alone": lambda: Room.objects.order_by("-pk"),
    "a foreign key as the primary key": lambda: Profile.objects.order_by("-bio"),
    "a natural primary key": lambda: Gadget.objects.order_by("price"),
    "another key's rows": lambda: Shipment.objects.order_by("-cost"),
    "conditions": lambda: Order.objects.filter(status__in=["new", "paid"], total__gt=3).order_by("-number"),
    "distinct": lambda: Order.objects.filter(lines__qty__gt=0).distinct().order_by("-created"),
    "deferred": lambda: Customer.objects.only("email").order_by("name"),
    "related rows": lambda: Line.objects.select_related("order__customer").order_by("order__customer__email", "sku"),
    "values": lambda: Customer.objects.values("email", "name").order_by("score"),
    "values_list": lambda: Customer.objects.values_list("email", "score").order_by("-name"),
    "a flat list": lambda: Customer.objects.values_list("email", flat=True).order_by("name"),
    "no row": lambda: Customer.objects.none().order_by("name"),
    "floats of a composite key": lambda: Reading.objects.order_by("year", "-value"),
}


def pages_of(rows: QuerySet[Any, Any], size: int) -> list[CursorPage[Any]]:
    """Turn the pages until there is no next one."""
    pages = [page_of(rows, size=size)]
    while pages[-1].next_cursor:
        assert len(pages) < 100
        pages.append(page_of(rows, size=size, cursor=pages[-1].next_cursor))
    return pages


def pages_before(rows: QuerySet[Any, Any], size: int, last: CursorPage[Any]) -> list[CursorPage[Any]]:
    """Turn the pages back from *last* until there is no previous one."""
    pages = [last]
    while pages[0].previous_cursor:
        assert len(pages) < 100
        pages.insert(0, page_of(rows, size=size, cursor=pages[0].previous_cursor))
    return pages


def walk(make: Callable[[], QuerySet[Any, Any]], size: int) -> Any:
    """Return all rows, page by page there, and demand the same on the way back."""
    pages = pages_of(make(), size)
    rows = [row for page in pages for row in page]
    assert all(len(page) == size for page in pages[:-1])
    assert rows == [row for page in pages_before(make(), size, pages[-1]) for row in page]
    assert Counter(map(repr, rows)) == Counter(map(repr, make()))
    return rows


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("name", ORDERS)
def test_there_and_back_in_the_order_of_one_database(shop: Shop, name: str, size: int) -> None:
    del shop

    same(lambda: walk(ORDERS[name], size), ordered=True)


def test_a_page_is_a_page_as_django_makes_them(shop: Shop) -> None:
    del shop
    rows = Customer.objects.order_by("name")

    first = rows.cursor_page(size=5)
    second = rows.cursor_page(size=5, cursor=first.next_cursor)

    assert list(first) == first.object_list == first[:5] == list(rows[:5])
    assert len(first) == 5
    assert first[0] == rows[0]
    assert repr(first) == "<CursorPage of 5 rows>"
    assert (first.has_previous(), first.has_next(), first.has_other_pages()) == (False, True, True)
    assert first.previous_cursor is None
    assert (second.has_previous(), second.has_next(), second.has_other_pages()) == (True, True, True)
    assert not rows.filter(name="Zoe").cursor_page(size=50).has_other_pages()


def test_what_it_selects_beside_the_rows_stays_hidden(shop: Shop) -> None:
    del shop
    page = Order.objects.order_by(Lower("status"), F("total") / 3).cursor_page(size=3)

    assert not [name for row in page for name in vars(row) if "cursor" in name]


@pytest.mark.parametrize("order", [["name", "pk"], ["-score", "-pk"], ["pk"]], ids=str)
def test_rows_that_come_and_go_elsewhere_move_nothing(shop: Shop, order: list[str]) -> None:
    del shop
    rows = Customer.objects.order_by(order[0])
    first = rows.cursor_page(size=6)
    gone, last = first[2], first[5]

    Order.objects.filter(customer=gone).delete()
    gone.delete()
    Customer.objects.create(name=first[0].name, score=first[0].score, email="ahead@example.org")
    second = rows.cursor_page(size=6, cursor=first.next_cursor)
    back = rows.cursor_page(size=6, cursor=second.previous_cursor)

    expected = list(rows.order_by(*order))
    assert list(second) == expected[expected.index(last) + 1 :][:6]
    assert list(back) == expected[: expected.index(last) + 1][-6:]


def test_next_to_a_row_or_its_cursor(shop: Shop) -> None:
    del shop
    rows = Customer.objects.order_by(Lower("name"), "-score")
    expected = list(rows.order_by(Lower("name"), "-score", "-pk"))
    page = rows.cursor_page(size=4)

    assert expected[7:9] == list(rows.cursor_page(size=2, after=expected[6]))
    assert expected[4:6] == list(rows.cursor_page(size=2, before=expected[6]))
    assert expected[2:4] == list(rows.cursor_page(size=2, after=page.cursor_at(1)))
    assert expected[1:3] == list(rows.cursor_page(size=2, before=page.cursor_at(3)))


def test_a_place_is_given_once_and_is_a_place(shop: Shop) -> None:
    rows = Customer.objects.order_by("name")
    some = rows.first()
    assert some is not None

    with pytest.raises(TypeError, match="give one of them"):
        rows.cursor_page(size=2, after=some, before=some)
    with pytest.raises(TypeError, match="cursor or a saved"):
        rows.cursor_page(size=2, after=Customer(name="new"))
    with pytest.raises(ValueError, match="at least one row"):
        rows.cursor_page(size=0)
    with pytest.raises(CursorInvalid, match="none of its rows"):
        Customer.objects.order_by(Lower("name")).filter(pk=shop.customers[1].pk).cursor_page(
            size=2, after=shop.customers[0]
        )


def test_a_page_whose_rows_are_gone_knows_its_neighbours(shop: Shop) -> None:
    del shop
    rows = Reading.objects.order_by("-value", "pk")
    everything = list(rows)
    last = pages_of(rows, 5)[-2]
    Reading.objects.filter(pk__in=pks(everything[15:])).delete()

    empty = rows.cursor_page(size=5, cursor=last.next_cursor)
    back = rows.cursor_page(size=5, cursor=empty.previous_cursor)

    assert (list(empty), empty.has_next(), empty.has_previous()) == ([], False, True)
    assert list(back) == everything[10:15]
    Reading.objects.filter(pk__in=pks(everything[:10])).delete()
    start = rows.cursor_page(size=5, cursor=back.previous_cursor)
    assert (list(start), start.has_next(), start.has_previous()) == ([], True, False)
    assert list(rows.cursor_page(size=5, cursor=start.next_cursor)) == everything[10:15]


def test_async_twin(shop: Shop) -> None:
    del shop

    async def read() -> list[str]:
        page = await Customer.objects.order_by("email").acursor_page(size=2)
        return [row.email for row in await Customer.objects.order_by("email").acursor_page(size=2, after=page[1])]

    assert async_to_sync(read)() == [row.email for row in Customer.objects.order_by("email")[2:4]]


# What it costs.


def test_any_page_is_one_statement_on_each_shard_that_reads_no_more_than_a_page(shop: Shop) -> None:
    del shop
    rows = Order.objects.order_by("-created")
    middle = pages_of(rows, 4)[2]

    with queries_by_database() as seen:
        rows.cursor_page(size=4, cursor=middle.next_cursor)

    assert set(seen.values()) == {1}
    assert "default" not in seen
    assert all("LIMIT 5" in sql and "OFFSET" not in sql for _, sql in seen.texts)


def test_a_page_of_one_shards_rows_asks_that_shard(shop: Shop) -> None:
    customer = shop.customer_on(2, 3)
    rows = Order.objects.filter(customer=customer).order_by("-number")
    first = rows.cursor_page(size=1)

    with queries_by_database() as seen:
        second = rows.cursor_page(size=1, cursor=first.next_cursor)

    assert {"shard_2": 1} == dict(seen)
    assert [row.number for row in (*first, *second)] == sorted((row.number for row in rows), reverse=True)[:2]


def test_rows_without_a_value_are_a_second_range(shop: Shop) -> None:
    """An OR over both would let no database walk its index to the page."""
    del shop
    rows = Customer.objects.order_by(F("score").asc(nulls_last=True))
    valued = Customer.objects.filter(score__isnull=False).count()
    at_the_end = pages_of(rows, valued)[0].cursor_at(valued - 1)

    with queries_by_database() as near:
        rows.cursor_page(size=2, after=rows[0])
    with queries_by_database() as across:
        rows.cursor_page(size=2, after=at_the_end)

    assert not [sql for _, sql in near.texts if "IS NULL" in sql.partition(" ORDER BY ")[0]]
    assert [sql for _, sql in across.texts if "IS NULL" in sql.partition(" ORDER BY ")[0]]


# What is no cursor.


@pytest.mark.parametrize("token", ["x", "a:b", "é:ü", ".:.", "\x00", "WyIiXQ:abc", b"bytes", 7])
def test_a_forged_cursor_is_refused(shop: Shop, token: Any) -> None:
    del shop

    with pytest.raises(CursorInvalid, match="damaged") as raised:
        Customer.objects.order_by("name").cursor_page(size=2, cursor=token)

    assert isinstance(raised.value, InvalidPage)
    assert isinstance(raised.value, BadRequest)


@pytest.mark.parametrize(
    "content", [7, [], ["x", False, False], ["x", False, False, [["spell", "abracadabra"]]], [1, 2, 3, 4]]
)
def test_signed_nonsense_is_refused(shop: Shop, content: Any) -> None:
    del shop
    token = signing.Signer(salt=SALT).sign_object(content)

    with pytest.raises(CursorInvalid):
        Customer.objects.order_by("name").cursor_page(size=2, cursor=token)


def test_a_changed_cursor_or_one_signed_for_something_else_is_refused(shop: Shop) -> None:
    del shop
    rows = Customer.objects.order_by("name")
    token = str(rows.cursor_page(size=2).next_cursor)
    content = signing.Signer(salt=SALT).unsign_object(token)

    for forged in (token[:-1], token[1:], token + "A", signing.Signer(salt="other").sign_object(content)):
        with pytest.raises(CursorInvalid):
            rows.cursor_page(size=2, cursor=forged)


def test_a_cursor_fits_its_own_query_and_order_only(shop: Shop) -> None:
    del shop
    rows = Customer.objects.order_by("name")
    token = rows.cursor_page(size=2).next_cursor

    for other in (
        Customer.objects.order_by("-name"),
        Customer.objects.order_by("email"),
        Customer.objects.order_by("name", "email"),
        Customer.objects.order_by(F("name").asc(nulls_last=True)),
        Customer.objects.filter(score=1).order_by("name"),
        Customer.objects.exclude(country__name="France").order_by("name"),
        Gadget.objects.order_by("price"),
    ):
        with pytest.raises(CursorInvalid, match="another query"):
            page_of(other, size=2, cursor=token)


def test_a_cursor_goes_on_when_the_values_of_conditions_change(shop: Shop) -> None:
    """Lists of what a reader may see, and times until now, are other ones by the next request."""
    few, more = ([customer.pk for customer in shop.customers[:count]] for count in (5, 9))
    token = Customer.objects.filter(pk__in=few, email__lt="x").order_by("email").cursor_page(size=2).next_cursor
    rows = Customer.objects.filter(pk__in=more, email__lt="y").order_by("email")

    assert list(rows.cursor_page(size=9, cursor=token)) == list(rows)[2:]
    assert list(rows.filter(pk__in=[]).cursor_page(size=9)) == []
    assert (
        list(Customer.objects.filter(pk__in=[], email__lt="y").order_by("email").cursor_page(size=9, cursor=token))
        == []
    )


def test_another_secret_key_makes_other_cursors_and_a_former_one_still_counts(shop: Shop) -> None:
    del shop
    rows = Customer.objects.order_by("name")
    with override_settings(SECRET_KEY="former"):  # noqa: S106 - it opens nothing
        token = rows.cursor_page(size=2).next_cursor

    with pytest.raises(CursorInvalid):
        rows.cursor_page(size=2, cursor=token)
    with override_settings(SECRET_KEY_FALLBACKS=["former"]):
        assert list(rows.cursor_page(size=2, cursor=token)) == list(rows)[2:4]


# What has no order to go on from.

UNORDERED: dict[str, tuple[Callable[[], QuerySet[Any, Any]], str]] = {
    "random": (lambda: Customer.objects.order_by("?"), "Random"),
    "a random annotation": (lambda: Customer.objects.annotate(r=Random()).order_by("r"), "Random"),
    "groups": (lambda: Order.objects.values("status").annotate(n=Count("pk")).order_by("status"), "groups"),
    "distinct values": (lambda: Order.objects.values("status").distinct().order_by("status"), "groups"),
    "a union": (lambda: Customer.objects.filter(score=1).union(Customer.objects.filter(score=2)), "union"),
    "a window": (lambda: Customer.objects.annotate(n=Window(RowNumber())).order_by("name"), "window"),
    "DISTINCT ON": (lambda: Customer.objects.order_by("name").distinct("name"), "DISTINCT ON"),
    "extra": (lambda: Customer.objects.extra(order_by=["shop_customer.name"]), "extra"),
    "named tuples": (lambda: Customer.objects.values_list("name", named=True), "NamedValuesListIterable"),
    "dates": (lambda: Order.objects.dates("created", "month"), "groups"),
}


@pytest.mark.parametrize("name", UNORDERED)
def test_what_has_no_order_of_its_own_is_refused(shop: Shop, name: str) -> None:
    del shop
    make, why = UNORDERED[name]

    with pytest.raises(OrderNotPageable, match=why):
        page_of(make(), size=2)


def test_a_slice_is_refused_as_django_does(shop: Shop) -> None:
    del shop

    with pytest.raises(TypeError, match="slice"):
        Customer.objects.order_by("name")[:5].cursor_page(size=2)


def test_a_row_that_joins_repeat_is_refused_where_a_page_ends_in_it(shop: Shop) -> None:
    del shop
    repeated = Order.objects.filter(lines__qty__gte=0).order_by("number", "pk")
    sizes = [size for size in range(1, 12) if _ends_in_repetition(list(repeated), size)]
    assert sizes

    for size in sizes:
        with pytest.raises(OrderNotPageable, match="distinct"):
            page_of(repeated, size=size)
        assert len(page_of(repeated.distinct(), size=size)) == size


def _ends_in_repetition(rows: list[Any], size: int) -> bool:
    return bool(rows[size - 1] == rows[size])
