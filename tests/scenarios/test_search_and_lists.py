"""Are the pages with lists the same on four shards as on one plain database: filtered, sorted, searched, and paged?"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings

from tests.fix_site import PER_PAGE, Site, TwoWorlds

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.skipif(not settings.SHARDKIT, reason="one plain database has nothing to be compared with"),
]

SORTS = ["flight", "date", "from", "to", "airline", "plane", "distance", "delay"]
SEARCHES: list[dict[str, object]] = [
    {},
    {"origin": "JFK"},
    {"dest": "sju"},
    {"carrier": "UA", "sort": "-delay"},
    {"date": "2013-01-01", "page": 3},
    {"date": "2013-01-02"},
    {"late": 60, "sort": "-delay"},
    {"late": -5, "origin": "LGA", "sort": "distance", "page": 2},
    {"origin": "EWR", "dest": "IAH", "carrier": "UA"},
    {"sort": "nonsense", "page": "last"},
    {"late": "x", "date": "yesterday"},
    {"page": 99},
]


def address(path: str, query: dict[str, object]) -> str:
    return f"{path}?{urlencode(query)}"


class TestTheSearch:
    @pytest.mark.parametrize("query", SEARCHES, ids=urlencode)
    def test_it_finds_the_same_flights(self, worlds: TwoWorlds, query):
        page = worlds.get(address("/flights/", query))

        assert page.status == (404 if query.get("page") == 99 else 200)

    @pytest.mark.parametrize("sort", SORTS)
    def test_every_column_sorts_as_one_database_does(self, worlds: TwoWorlds, sort):
        worlds.get(address("/flights/", {"sort": sort}))
        worlds.get(address("/flights/", {"sort": f"-{sort}", "page": 20}))
        worlds.get(address("/flights/", {"sort": f"-{sort}", "page": "last"}))

    def test_the_pages_together_show_every_flight_once(self, worlds: TwoWorlds, site: Site):
        found: list[int] = []
        following: str | None = "/flights/?carrier=AA&sort=-delay"
        while following is not None:
            page = worlds.get(following)
            found += [flight.pk for flight in page.response.context["flights"]]
            linked = re.search(r'href="(\?[^"]*)">Next', page.text)
            following = linked and "/flights/" + linked[1].replace("&amp;", "&")

        assert sorted(flight.pk for flight in site.flights if flight.carrier_id == "AA") == sorted(found)

    def test_the_worst_delays_come_first(self, worlds: TwoWorlds, site: Site):
        flights = worlds.get("/flights/?sort=-delay").response.context["flights"]

        worst = sorted((flight.dep_delay for flight in site.flights if flight.dep_delay is not None), reverse=True)
        assert worst[:PER_PAGE] == [flight.dep_delay for flight in flights]

    def test_it_sums_up_what_it_found(self, worlds: TwoWorlds, site: Site):
        context = worlds.get("/flights/?origin=JFK").response.context

        found = [flight for flight in site.flights if flight.origin_id == "JFK"]
        delays = [flight.dep_delay for flight in found if flight.dep_delay is not None]
        assert len(found) == context["page_obj"].paginator.count
        assert (max(delays), len(found) - len(delays)) == (context["summary"]["worst"], context["summary"]["cancelled"])
        assert float(context["summary"]["delay"]) == pytest.approx(sum(delays) / len(delays), abs=1e-4)

    def test_a_page_takes_few_rows_of_each_shard(self, worlds: TwoWorlds):
        page = worlds.get("/flights/?sort=-delay")

        lists = [sql for alias, sql in page.seen.texts if alias.startswith("shard_") and f"LIMIT {PER_PAGE}" in sql]
        assert len(lists) == 4


ADMIN_LISTS = {
    "airline": ["", "q=air", "o=-2"],
    "airport": ["", "q=international", "tzone=America/Chicago", "o=3.-1", "_facets=1"],
    "plane": [
        "",
        "q=boeing+737",
        "manufacturer=BOEING",
        "speed__isempty=1",
        "engine=Turbo-fan&o=-5.2",
        "p=3",
        "o=4&p=2",
        "o=-4&all=",
        "_facets=1",
    ],
    "flight": [
        "",
        "q=united",
        "q=1545",
        "q=N14228",
        "q=boeing+bush",
        "punctuality=late",
        "punctuality=very-late&o=-8",
        "punctuality=cancelled",
        "origin__faa__exact=JFK&o=8&p=2",
        "carrier__carrier__exact=UA",
        "plane__isempty=1",
        "time_hour__year=2013",
        "time_hour__year=2013&time_hour__month=1",
        "time_hour__year=2013&time_hour__month=1&time_hour__day=1&p=3",
        "o=3.-8",
        "_facets=1",
        "_facets=1&punctuality=late",
    ],
    "weather": ["", "q=kennedy", "origin__faa__exact=LGA&o=4.-3", "wind_gust__isempty=0", "time_hour__year=2013"],
    "traveller": [
        "",
        "q=ann",
        "q=united",
        "o=2",
        "o=-2.1",
        "o=-5.2",
        "home__tzone=America/Chicago",
        "home__faa__exact=JFK",
        "home__isnull=True",
        "_facets=1",
    ],
    "booking": [
        "",
        "q=united",
        "q=ann",
        "q=2B",
        "status__exact=booked",
        "flight__origin__faa__exact=EWR&o=6.2",
        "traveller__home__faa__exact=JFK",
        "o=4.-6",
        "o=3",
        "made_at__year=2013",
        "made_at__year=2013&made_at__month=2",
        "_facets=1",
    ],
    "auditlog": ["", "q=seat", "action=booked", "o=2.-1"],
}


class TestTheAdmin:
    @pytest.mark.parametrize(
        ("model", "query"), [(model, query) for model, queries in ADMIN_LISTS.items() for query in queries]
    )
    def test_a_list_shows_the_same_rows(self, worlds: TwoWorlds, model, query):
        page = worlds.get(f"/admin/flights/{model}/?{query}")

        assert page.status == 200

    def test_the_pages_of_a_list_together_show_every_row_once(self, worlds: TwoWorlds, site: Site):
        found: list[int] = []
        expected = [flight.pk for flight in site.flights if flight.carrier_id == "AA"]
        for number in range(1, 2 + (len(expected) - 1) // PER_PAGE):
            page = worlds.get(f"/admin/flights/flight/?carrier__carrier__exact=AA&o=8&p={number}")
            found += [flight.pk for flight in page.response.context["cl"].result_list]

        assert sorted(expected) == sorted(found)

    def test_the_popup_of_a_raw_id_lists_the_same_rows(self, worlds: TwoWorlds):
        assert worlds.get("/admin/flights/flight/?_to_field=id&_popup=1&q=united").status == 200


API_LISTS = {
    "": [""],
    "airlines": ["", "search=air"],
    "airports": ["", "tzone=America/Chicago&ordering=-alt", "search=intl&page_size=3&page=2"],
    "planes": [
        "ordering=-speed",
        "ordering=year,-seats&page=3",
        "manufacturer__icontains=air",
        "year__isnull=true",
        "flown=true&ordering=model",
        "flown=false",
        "search=boeing&seats__gte=200",
    ],
    "flights": [
        "",
        "page=7",
        "page=99",
        "page_size=200&page=4",
        "ordering=-dep_delay",
        "ordering=carrier__name,-distance",
        "ordering=arr_delay&page=30",
        "ordering=-arr_delay&page=30",
        "carrier=UA,AA&origin=JFK",
        "dest=SJU,IAH",
        "tailnum=N14228",
        "tailnum=N14228,N804JB,N24211",
        "manufacturer=airbus&ordering=-dep_delay",
        "date=2013-01-01&delay_min=60",
        "departs_after=2013-01-01T12:00:00Z&departs_before=2013-01-01T14:00:00Z",
        "cancelled=true",
        "search=united+bush",
        "delay_min=x",
        "format=api&page=2",
    ],
    "flights/delays": ["", "by=origin", "by=dest&page=2", "by=month&carrier=UA", "by=dest&search=jetblue", "by=x"],
    "timetable": ["", "carrier=UA&page_size=7", "format=api"],
    "feed": ["", "ordering=-dep_delay", "ordering=plane__manufacturer,-distance&carrier=AA", "cursor=x", "format=api"],
    "weather": ["", "origin=JFK&ordering=-temp", "temp__gte=30&ordering=wind_speed", "precip__gt=0", "search=newark"],
    "bookings": [
        "",
        "status=booked&ordering=price",
        "origin=JFK&ordering=flight__time_hour",
        "carrier=UA,B6&ordering=traveller__name,-seat",
        "home=JFK&late=0",
        "search=ann",
        "search=united&page_size=5&page=2",
        "price__gte=100.50",
    ],
}


class TestTheApi:
    @pytest.mark.parametrize(
        ("name", "query"), [(name, query) for name, queries in API_LISTS.items() for query in queries]
    )
    def test_a_list_says_the_same(self, worlds: TwoWorlds, name, query):
        page = worlds.get(f"/api/{name}/?{query}".replace("//", "/"))

        assert page.status in {200, 400, 404}

    @pytest.mark.parametrize("start", ["/api/flights/?page_size=100", "/api/timetable/?page_size=100"])
    def test_the_pages_together_list_every_flight_once(self, worlds: TwoWorlds, site: Site, start):
        found: list[int] = []
        pages = self.pages(worlds, start, "next")
        for page in pages:
            found += [flight["id"] for flight in page["results"]]

        expected = sorted(site.flights, key=lambda flight: (flight.time_hour, flight.minute, flight.pk))
        assert [flight.pk for flight in expected] == found
        assert len(pages) == (len(expected) + 99) // 100

    def test_a_cursor_leads_back_to_where_it_came_from(self, worlds: TwoWorlds):
        forth = self.pages(worlds, "/api/timetable/?page_size=100", "next")

        back = self.pages(worlds, forth[-2]["next"], "previous")

        assert [page["results"] for page in forth] == [page["results"] for page in reversed(back)]

    @pytest.mark.parametrize("ordering", ["dep_delay", "-dep_delay", "carrier__name,-distance", "-plane__manufacturer"])
    def test_a_feed_lists_every_flight_once_in_any_order_and_leads_back(self, worlds: TwoWorlds, site: Site, ordering):
        forth = self.pages(worlds, f"/api/feed/?origin=EWR&carrier=UA&ordering={ordering}", "next")
        back = self.pages(worlds, forth[-2]["next"], "previous")

        found = [flight["id"] for page in forth for flight in page["results"]]
        expected = [flight.pk for flight in site.flights if (flight.origin_id, flight.carrier_id) == ("EWR", "UA")]
        assert sorted(expected) == sorted(found)
        assert [page["results"] for page in forth] == [page["results"] for page in reversed(back)]

    def pages(self, worlds: TwoWorlds, start: str, link: str) -> list[dict[str, Any]]:
        """Follow the *link* of each page to the end, the same in both worlds."""
        found: list[dict[str, Any]] = []
        following: str | None = start
        while following is not None:
            found.append(worlds.get(following).response.json())
            following = found[-1][link]
        return found

    @pytest.mark.parametrize(
        "path", ["flights/{flight}/", "planes/{plane}/", "bookings/{booking}/", "airlines/UA/", "airports/JFK/"]
    )
    def test_one_row_is_described(self, worlds: TwoWorlds, site: Site, path):
        booking = site.bookings[0]
        plane = next(flight.plane_id for flight in site.flights if flight.plane_id)

        page = worlds.get(f"/api/{path.format(flight=site.flights[0].pk, plane=plane, booking=booking.pk)}")

        assert page.status in {200, 404}
