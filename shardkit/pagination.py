"""How does a project page by cursor: in its views, and in the API of Django REST framework?

Neither class needs shards, nor a model of shardkit: pages of a plain database are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from shardkit.errors import CursorInvalid
from shardkit.orm.paging.cursors import CursorPage, page_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet
    from django.http import HttpRequest

__all__ = ["CursorPage", "CursorPageMixin", "CursorPagination", "CursorPaginator"]


class CursorPaginator:
    """Pages of a queryset by cursor (what Django's `Paginator` is by number; nothing is counted)."""

    def __init__(self, object_list: QuerySet[Any, Any], per_page: int, **_options: object) -> None:
        """Take what Django's own takes; orphans and an empty first page mean nothing here."""
        self.object_list, self.per_page = object_list, int(per_page)

    def page(self, cursor: str | None = None) -> CursorPage[Any]:
        """Return the page of *cursor*, the first one without any, or raise `CursorInvalid`."""
        return page_of(self.object_list, size=self.per_page, cursor=cursor)

    def get_page(self, cursor: str | None = None) -> CursorPage[Any]:
        """Return the page of *cursor*, the first one where that is no cursor."""
        try:
            return self.page(cursor)
        except CursorInvalid:
            return self.page()


class CursorPageMixin:
    """A `ListView` whose pages are named by ``?cursor=``."""

    page_kwarg = "cursor"
    paginator_class = CursorPaginator

    if TYPE_CHECKING:
        request: HttpRequest
        kwargs: Mapping[str, Any]

    def paginate_queryset(
        self, queryset: QuerySet[Any, Any], page_size: int
    ) -> tuple[CursorPaginator, CursorPage[Any], list[Any], bool]:
        """Return the paginator, the page, its rows, and whether there are others; a wrong cursor is answered 400."""
        paginator = self.paginator_class(queryset, page_size)
        page = paginator.page(self.kwargs.get(self.page_kwarg) or self.request.GET.get(self.page_kwarg))
        return paginator, page, page.object_list, page.has_other_pages()


class CursorPagination:
    """A ``pagination_class`` for Django REST framework, which is imported only when it answers.

    It pages in the order of the view's queryset, so that ordering filters work; `ordering` is for a view without one.
    """

    page_size: int | None = None
    page_size_query_param: str | None = None
    max_page_size: int | None = None
    cursor_query_param = "cursor"
    cursor_query_description = "The place of the page, as a page before it gave it."
    page_size_query_description = "How many results a page has."
    invalid_cursor_message = "Invalid cursor"
    ordering: str | tuple[str, ...] | None = None
    template = "rest_framework/pagination/previous_and_next.html"
    display_page_controls = False
    #: The page that was read last.
    page: CursorPage[Any]
    _url: str

    #: What a page of results looks like.
    _links: ClassVar[dict[str, Any]] = {"type": "string", "nullable": True, "format": "uri"}

    def paginate_queryset(self, queryset: QuerySet[Any, Any], request: Any, view: Any = None) -> list[Any] | None:
        """Return the rows of the page that *request* names; None where pages have no size, so that there are none."""
        del view
        size = self.get_page_size(request)
        if not size:
            return None
        if self.ordering and not queryset.ordered:
            queryset = queryset.order_by(*([self.ordering] if isinstance(self.ordering, str) else self.ordering))
        try:
            self.page = page_of(queryset, size=size, cursor=request.query_params.get(self.cursor_query_param))
        except CursorInvalid as error:
            from rest_framework.exceptions import NotFound

            raise NotFound(self.invalid_cursor_message) from error
        self._url = request.build_absolute_uri()
        self.display_page_controls = self.page.has_other_pages()
        return self.page.object_list

    def get_page_size(self, request: Any) -> int | None:
        """Return what the request asks for, as far as that is allowed, or else `page_size`."""
        from rest_framework.settings import api_settings

        size = self.page_size if self.page_size is not None else api_settings.PAGE_SIZE
        if self.page_size_query_param:
            asked = str(request.query_params.get(self.page_size_query_param, ""))
            if asked.isdecimal() and int(asked) > 0:
                size = min(int(asked), self.max_page_size or int(asked))
        return size

    def get_next_link(self) -> str | None:
        """Return the address of the next page, if there is one."""
        return self._link(self.page.next_cursor)

    def get_previous_link(self) -> str | None:
        """Return the address of the previous page, if there is one."""
        return self._link(self.page.previous_cursor)

    def _link(self, cursor: str | None) -> str | None:
        from rest_framework.utils.urls import replace_query_param

        return None if cursor is None else str(replace_query_param(self._url, self.cursor_query_param, cursor))

    def get_paginated_response(self, data: Any) -> Any:
        """Return a response with the results and the addresses of the pages beside them."""
        from rest_framework.response import Response

        return Response({"next": self.get_next_link(), "previous": self.get_previous_link(), "results": data})

    def get_results(self, data: Mapping[str, Any]) -> Any:
        """Return the results of a response."""
        return data["results"]

    def to_html(self) -> str:
        """Return the links of the browsable API."""
        from django.template import loader

        context = {"previous_url": self.get_previous_link(), "next_url": self.get_next_link()}
        return str(loader.get_template(self.template).render(context))

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a response whose results are of *schema*."""
        links = {"next": self._links, "previous": self._links}
        return {"type": "object", "required": ["results"], "properties": {**links, "results": schema}}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """List the parameters of a request for a page."""
        del view
        named = [(self.cursor_query_param, self.cursor_query_description, "string")]
        if self.page_size_query_param:
            named.append((self.page_size_query_param, self.page_size_query_description, "integer"))
        return [
            {"name": name, "required": False, "in": "query", "description": about, "schema": {"type": kind}}
            for name, about, kind in named
        ]
