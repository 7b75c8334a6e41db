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


def test_a_token_takes_the_place_of_those_that_its_request_sent() -> None:
    jar = Jar(tokens=("old", "other"))
    jar.exchange(("old",), "new")

    assert ("other", "new") == jar.tokens


def test_tokens_of_two_responses_at_once_are_both_kept() -> None:
    jar = Jar(tokens=("old",))
    jar.exchange(("old",), "one")
    jar.exchange(("old",), "two")

    assert ("one", "two") == jar.tokens


def test_an_empty_token_means_that_nothing_is_left() -> None:
    jar = Jar(tokens=("old",))
    jar.exchange(("old",), "")

    assert () == jar.tokens
