"""Does the browser of a soak run keep cookies as browsers do?"""

from __future__ import annotations

from tests.soak.browser import Jar


def test_cookies_of_several_names_are_sent_together() -> None:
    jar = Jar()
    jar.take("one=1; Path=/; Max-Age=60")
    jar.take("two=2; Path=/")

    assert "one=1; two=2" == jar.header()


def test_a_cookie_whose_age_is_nothing_is_forgotten() -> None:
    jar = Jar()
    jar.take("one=1; Path=/")
    jar.take('one=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/')

    assert "" == jar.header()


def test_a_value_comes_back_as_it_was_sent() -> None:
    jar = Jar()
    jar.take("one=AbC_-.:1~; Path=/; HttpOnly; SameSite=Lax")

    assert "one=AbC_-.:1~" == jar.header()
