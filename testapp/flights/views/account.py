"""How does a visitor become a traveller?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from django.views.generic import FormView

from testapp.flights.forms import SignInForm, TravellerForm
from testapp.flights.models import Airport, AuditLog, Traveller
from testapp.flights.visitors import sign_in, sign_out, traveller_required


def sign_up(request: HttpRequest) -> HttpResponse:
    """Make a traveller, and sign them in."""
    form = TravellerForm(request.POST or None)
    if form.is_valid():
        with transaction.atomic():
            if request.user.is_authenticated:
                form.instance.user = request.user
            me = form.save()
            AuditLog.objects.create(action="signed up", traveller_id=me.pk)
        sign_in(request, me)
        messages.success(request, f"Welcome, {me.name}. Your traveller number is {me.pk}.")
        return redirect("home")
    return render(request, "flights/form.html", {"form": form, "title": "Sign up"})


class SignInView(FormView):
    template_name = "flights/form.html"
    form_class = SignInForm
    extra_context = {"title": "Sign in"}

    def form_valid(self, form: SignInForm) -> HttpResponse:
        sign_in(self.request, form.traveller)
        return redirect(self.get_success_url())

    def get_success_url(self) -> str:
        target = self.request.GET.get("next", "")
        return target if url_has_allowed_host_and_scheme(target, {self.request.get_host()}) else "/"


@require_POST
def sign_out_view(request: HttpRequest) -> HttpResponse:
    """Forget who the visitor is."""
    sign_out(request)
    return redirect("home")


@traveller_required
def profile(request: HttpRequest, me: Traveller) -> HttpResponse:
    """Let travellers change what they said about themselves."""
    form = TravellerForm(request.POST or None, instance=me)
    if form.is_valid():
        form.save()
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    context = {"form": form, "traveller": me, "favourites": me.favourites.all()}
    return render(request, "flights/profile.html", context)


@require_POST
@traveller_required
def favourite(_request: HttpRequest, me: Traveller, faa: str) -> HttpResponse:
    """Add an airport to the favourites, or take it off them."""
    airport = get_object_or_404(Airport, pk=faa)
    if me.favourites.contains(airport):
        me.favourites.remove(airport)
    else:
        me.favourites.add(airport)
    return redirect(airport)
