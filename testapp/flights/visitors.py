"""Who is looking at the site?"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from testapp.flights.models import Traveller

#: Where the session remembers who signed in.
SESSION_KEY: Final = "traveller"

P = ParamSpec("P")


def sign_in(request: HttpRequest, traveller: Traveller) -> None:
    """Remember *traveller* for the coming requests of this session."""
    request.session.cycle_key()
    request.session[SESSION_KEY] = traveller.pk


def sign_out(request: HttpRequest) -> None:
    """Forget who signed in."""
    request.session.pop(SESSION_KEY, None)


def current_traveller(request: HttpRequest) -> Traveller | None:
    """Return who signed in, if somebody did and still exists."""
    pk = request.session.get(SESSION_KEY)
    return None if pk is None else Traveller.objects.filter(pk=pk).first()


def traveller(request: HttpRequest) -> dict[str, Any]:
    """Let every template know who signed in; those that do not ask cost no query."""
    return {"me": SimpleLazyObject(lambda: current_traveller(request))}


def traveller_required(
    view: Callable[Concatenate[HttpRequest, Traveller, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Call *view* with the traveller who signed in, or ask the visitor to sign in first."""

    @wraps(view)
    def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        me = current_traveller(request)
        if me is None:
            return redirect(f"{reverse('sign-in')}?{urlencode({'next': request.get_full_path()})}")
        return view(request, me, *args, **kwargs)

    return wrapped
