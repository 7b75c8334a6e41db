"""Does a real browser find its way through the admin of a site on several databases?"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from testapp.flights.models import Booking, Flight
from tests import fix_site

pytestmark = [
    pytest.mark.django_db(databases="__all__", transaction=True),
    pytest.mark.skipif(
        os.environ.get("TESTAPP_VENDOR", "sqlite") != "sqlite",
        reason="one vendor is enough for a browser: every vendor's lists are compared without one",
    ),
]


class Staff:
    """Somebody of the staff, who sits before a browser."""

    def __init__(self, browser: Chrome, site: str) -> None:
        self.browser, self.site = browser, site

    def sign_in(self, name: str, password: str) -> None:
        self.browser.get(f"{self.site}/admin/")
        self.type("username", name)
        self.type("password", password)
        self.click("input[type=submit]")

    def type(self, field: str, text: str) -> None:
        box = self.browser.find_element(By.NAME, field)
        box.clear()
        box.send_keys(text)

    def click(self, selector: str) -> None:
        """Click what leads to another page."""
        self._leave_by(self.browser.find_element(By.CSS_SELECTOR, selector))

    def follow(self, text: str) -> None:
        """Follow the first link with this *text*."""
        self._leave_by(self.browser.find_element(By.LINK_TEXT, text))

    def _leave_by(self, what: WebElement) -> None:
        """Click *what*, and wait until the page is another one: that of before may still be read otherwise."""
        page = self.browser.find_element(By.TAG_NAME, "html")
        what.click()
        WebDriverWait(self.browser, 60).until(staleness_of(page))

    def choose(self, title: str, text: str) -> None:
        """Choose the filter called *text*, of those below *title*."""
        self.click(f"#changelist-filter [data-filter-title='{title}'] > summary ~ ul a[href*='{text}']")

    def search(self, words: str) -> None:
        self.type("q", words)
        self.click("#changelist-search input[type=submit]")

    def sort(self, column: str) -> None:
        self.click(f"#result_list th.column-{column} .text a")

    def act(self, action: str, rows: int) -> None:
        """Choose an *action* for the first *rows* of the list."""
        for box in self.browser.find_elements(By.CSS_SELECTOR, ".action-select")[:rows]:
            box.click()
        Select(self.browser.find_element(By.NAME, "action")).select_by_visible_text(action)
        self.click("button[name=index]")

    def column(self, name: str) -> list[str]:
        """Return what the list says in the column of this *name*."""
        return [cell.text for cell in self.browser.find_elements(By.CSS_SELECTOR, f"#result_list .field-{name}")]

    def read(self, selector: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).text


@pytest.fixture
def site(transactional_db: None) -> fix_site.Site:  # noqa: ARG001 - first the databases, then their rows
    """Fill the databases for this test alone: the browser sees only what is committed."""
    return fix_site.fill()


@pytest.fixture
def staff(browser: Chrome, live_server, site: fix_site.Site) -> Staff:
    somebody = Staff(browser, live_server.url)
    somebody.sign_in(site.staff.username, fix_site.PASSWORD)
    return somebody


def worst_first(flights: Iterable[Flight]) -> list[int]:
    return sorted((flight.dep_delay for flight in flights if flight.dep_delay is not None), reverse=True)


def test_the_staff_works_with_the_lists(staff: Staff, site: fix_site.Site):
    staff.follow("Flights")
    assert f"{len(site.flights)} flights" in staff.read(".paginator")

    # Search, and filter what was found.
    staff.search("united")
    found = [flight for flight in site.flights if flight.carrier_id == "UA"]
    assert f"{len(found)} results" in staff.read("#changelist-search")
    staff.choose("origin", "origin__faa__exact=EWR")
    found = [flight for flight in found if flight.origin_id == "EWR"]
    assert {"EWR"} == {*staff.column("origin_id")}

    # Sort, downwards at the second click; and turn to page 2.
    staff.sort("dep_delay")
    staff.sort("dep_delay")
    first = staff.column("dep_delay")
    staff.follow("2")
    delays = [int(delay) for delay in (*first, *staff.column("dep_delay")) if delay != "-"]
    assert worst_first(found) == delays

    # Walk down the hierarchy of dates.
    staff.follow("Flights")
    staff.follow("January 2")
    second = [flight for flight in site.flights if flight.time_hour.date() == dt.date(2013, 1, 2)]
    assert f"{len(second)} flights" in staff.read(".paginator")

    # Act on rows of several shards.
    staff.follow("Bookings")
    staff.choose("status", "status__exact=booked")
    staff.act("Cancel the selected bookings", rows=20)
    assert "20 bookings were cancelled." in staff.read(".messagelist")
    booked = [booking for booking in site.bookings if booking.status == Booking.Status.BOOKED]
    assert len(booked) - 20 == Booking.objects.filter(status=Booking.Status.BOOKED).count()
