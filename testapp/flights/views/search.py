"""Which flights does a visitor find, and in which order?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Avg, Count, F, Max, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.views.generic import ListView

from testapp.flights.forms import SearchForm
from testapp.flights.models import Flight

#: How many airlines the summary names.
BUSIEST: Final = 5
DEFAULT_SORT: Final = "date"
#: What the columns sort by.
SORTS: Final[Mapping[str, tuple[str, ...]]] = {
    "flight": ("carrier", "number"),
    "date": ("time_hour", "minute"),
    "from": ("origin",),
    "to": ("dest",),
    "airline": ("carrier__name",),
    "plane": ("plane__manufacturer", "plane__model"),
    "distance": ("distance",),
    "delay": ("dep_delay",),
}
#: What decides between flights that are equal in that.
TIES: Final = ("time_hour", "minute", "id")


@dataclass(frozen=True)
class Column:
    """A column's title, and what its link sorts by; `arrow` says how the page is sorted by it."""

    title: str
    sort: str
    arrow: str
    is_number: bool


class SearchView(ListView):
    """Flights that fit the form, page by page, and what they have in common."""

    template_name = "flights/search.html"
    context_object_name = "flights"
    paginate_by = 25

    def get_queryset(self) -> QuerySet[Flight]:
        self.form = SearchForm(self.request.GET)
        self.found = self.form.find() if self.form.is_valid() else Flight.objects.none()
        return self.found.select_related("carrier", "dest", "plane").order_by(*self.chosen_order())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        flights = self.found.order_by()
        return {
            **context,
            "form": self.form,
            "columns": list(self.columns()),
            "summary": flights.aggregate(
                worst=Max("dep_delay"), delay=Avg("dep_delay"), cancelled=Count("id", filter=Q(dep_time=None))
            ),
            "airlines": flights.values("carrier__name")
            .annotate(flights=Count("id"), delay=Avg("dep_delay"))
            .order_by("-flights", "carrier__name")[:BUSIEST],
        }

    def chosen_order(self) -> Iterator[OrderBy]:
        """Yield what the flights are sorted by; those of which it is not known come last."""
        name, is_descending = self.chosen_sort()
        for path in SORTS[name]:
            yield F(path).desc(nulls_last=True) if is_descending else F(path).asc(nulls_last=True)
        yield from (F(path).asc() for path in TIES if path not in SORTS[name])

    def chosen_sort(self) -> tuple[str, bool]:
        """Return the column that the page is sorted by, and whether downwards."""
        sort = self.request.GET.get("sort", DEFAULT_SORT)
        name = sort.removeprefix("-")
        return (name, sort.startswith("-")) if name in SORTS else (DEFAULT_SORT, False)

    def columns(self) -> Iterator[Column]:
        """Yield the columns; the link of the one that the page is sorted by turns the order round."""
        chosen, is_descending = self.chosen_sort()
        for name in SORTS:
            turns_round = name == chosen and not is_descending
            arrow = ("↓" if is_descending else "↑") if name == chosen else ""
            yield Column(name.title(), f"-{name}" if turns_round else name, arrow, name in {"distance", "delay"})
