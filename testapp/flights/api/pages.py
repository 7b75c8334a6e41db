"""How does a program read on, page by page?"""

from __future__ import annotations

from rest_framework.pagination import CursorPagination, PageNumberPagination


class NumberedPages(PageNumberPagination):
    """Any page at once, and how many there are."""

    page_size = 25
    page_size_query_param = "page_size"
    max_page_size = 200


class TimetablePages(CursorPagination):
    """The next page and the one before, as quick far behind as in front."""

    page_size = 25
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering = ("time_hour", "minute", "id")
