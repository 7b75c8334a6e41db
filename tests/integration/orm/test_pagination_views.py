"""Do Django's list views and the views of Django REST framework page by cursor?"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import RequestFactory
from django.views.generic import ListView
from rest_framework.filters import OrderingFilter
from rest_framework.generics import ListAPIView
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.serializers import ModelSerializer

from shardkit.errors import CursorInvalid
from shardkit.pagination import CursorPageMixin, CursorPagination, CursorPaginator
from tests.fix_shop import Shop, same
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(databases="__all__")


class Customers(CursorPageMixin, ListView):  # type: ignore[type-arg,misc]
    queryset = Customer.objects.order_by("name")
    paginate_by = 6

    def render_to_response(self, context: dict[str, Any], **_options: Any) -> HttpResponse:
        page = context["page_obj"]
        assert list(context["object_list"]) == list(page)
        return HttpResponse(str(context["is_paginated"]), headers=_headers(page))


def _headers(page: Any) -> dict[str, str]:
    return {"rows": " ".join(row.email for row in page), "next": page.next_cursor or ""}


class CustomerSerializer(ModelSerializer):  # type: ignore[type-arg]
    class Meta:
        model = Customer
        fields = ["email", "score"]


class ByEmail(CursorPagination):
    page_size = 5
    ordering = "email"
    page_size_query_param = "size"
    max_page_size = 7


class Unlimited(CursorPagination):
    page_size = 0


class CustomerApi(ListAPIView):  # type: ignore[type-arg]
    queryset = Customer.objects.all()
    serializer_class = CustomerSerializer
    pagination_class: Any = ByEmail
    filter_backends = [OrderingFilter]
    ordering_fields = ["score", "name"]
    permission_classes = []
    authentication_classes = []
    renderer_classes = [JSONRenderer]


def ask(url: str, view: Any = CustomerApi) -> Any:
    response = view.as_view()(RequestFactory().get(url))
    return response.render() if hasattr(response, "render") else response


def all_results(url: str | None) -> list[Any]:
    found: list[Any] = []
    while url is not None:
        data = ask(url).data
        found.append(data["results"])
        url = data["next"]
    return found


@pytest.mark.parametrize("query", ["", "?ordering=score", "?ordering=-name&size=3", "?size=100"])
def test_an_api_gives_all_rows_in_the_order_of_one_database(shop: Shop, query: str) -> None:
    del shop

    pages = same(lambda: all_results(f"/{query}"), ordered=True)

    assert len(pages) > 1


def test_an_api_links_back(shop: Shop) -> None:
    del shop
    first = ask("/?ordering=score").data
    second = ask(first["next"]).data

    assert first["previous"] is None
    assert ask(second["previous"]).data["results"] == first["results"]
    assert "ordering=score" in second["previous"]


@pytest.mark.parametrize(("query", "size"), [("", 5), ("?size=3", 3), ("?size=100", 7), ("?size=x", 5), ("?size=0", 5)])
def test_a_client_may_choose_the_size_within_limits(shop: Shop, query: str, size: int) -> None:
    del shop

    assert len(ask(f"/{query}").data["results"]) == size


def test_a_wrong_cursor_is_not_found(shop: Shop) -> None:
    del shop

    for wrong in ("x", ask("/?ordering=score").data["next"].partition("cursor=")[2].partition("&")[0]):
        response = ask(f"/?cursor={wrong}")
        assert (response.status_code, str(response.data["detail"])) == (404, "Invalid cursor")


def test_without_a_size_there_are_no_pages(shop: Shop) -> None:
    class Unpaged(CustomerApi):
        pagination_class = Unlimited

    assert len(ask("/", Unpaged).data) == len(shop.customers)


def test_the_browsable_api_shows_the_links(shop: Shop) -> None:
    del shop

    class Browsable(CustomerApi):
        renderer_classes = [BrowsableAPIRenderer]

    html = ask("/", Browsable).content.decode()

    assert "cursor=" in html
    assert "Next" in html or "&raquo;" in html


def test_the_schema_names_its_parameters() -> None:
    parameters = ByEmail().get_schema_operation_parameters(None)
    schema = ByEmail().get_paginated_response_schema({"type": "array"})

    assert [parameter["name"] for parameter in parameters] == ["cursor", "size"]
    assert [parameter["name"] for parameter in CursorPagination().get_schema_operation_parameters(None)] == ["cursor"]
    assert set(schema["properties"]) == {"next", "previous", "results"}
    assert ByEmail().get_results({"results": [1]}) == [1]


def test_a_list_view_shows_page_after_page(shop: Shop) -> None:
    del shop

    def walk() -> list[str]:
        seen, url = [], "/"
        while True:
            response = ask(url, Customers)
            seen += response["rows"].split()
            if not response["next"]:
                return seen
            url = f"/?cursor={response['next']}"

    _, found = same(walk)

    assert found == [row.email for row in Customer.objects.order_by("name", "pk")]


def test_a_wrong_cursor_of_a_list_view_is_a_bad_request(shop: Shop) -> None:
    del shop

    with pytest.raises(CursorInvalid):  # which Django's handler answers with 400
        ask("/?cursor=x", Customers)


def test_any_queryset_can_be_paged(shop: Shop) -> None:
    del shop
    User.objects.bulk_create(User(username=f"user {number}") for number in range(5))
    paginator = CursorPaginator(User.objects.order_by("-username"), 2)
    first = paginator.page()

    assert [user.username for user in paginator.page(first.next_cursor)] == ["user 2", "user 1"]
    assert list(paginator.get_page("x")) == list(first)
