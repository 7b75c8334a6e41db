"""What may visitors write?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.db.models import QuerySet

from testapp.flights.models import Airline, Airport, Booking, Flight, Traveller

#: The airports that the flights leave from.
NEW_YORK: Final = ("EWR", "JFK", "LGA")


class TravellerForm(forms.ModelForm):
    class Meta:
        model = Traveller
        fields = ["name", "email", "home"]


class SignInForm(forms.Form):
    """A traveller is known by a number, as an airline's customers are, and by the address given with it."""

    number = forms.IntegerField(min_value=1)
    email = forms.EmailField()

    traveller: Traveller

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = self.cleaned_data
        if "number" in values and "email" in values:
            found = Traveller.objects.filter(pk=values["number"], email__iexact=values["email"]).first()
            if found is None:
                raise forms.ValidationError("No traveller has this number and this address.", code="unknown")
            self.traveller = found
        return values


class BookingForm(forms.ModelForm):
    class Meta:
        model = Booking
        fields = ["seat"]
        widgets = {"seat": forms.TextInput({"placeholder": "12C", "size": 4})}


class FinderForm(forms.Form):
    """The tail number is painted on the plane."""

    tailnum = forms.CharField(label="Tail number", max_length=6, widget=forms.TextInput({"placeholder": "N14228"}))

    def clean_tailnum(self) -> str:
        return str(self.cleaned_data["tailnum"]).strip().upper()


class SearchForm(forms.Form):
    """Whatever is left empty does not matter."""

    origin = forms.ModelChoiceField(Airport.objects.filter(pk__in=NEW_YORK), label="From", required=False)
    dest = forms.CharField(
        label="To", max_length=3, required=False, widget=forms.TextInput({"placeholder": "IAH", "size": 4})
    )
    carrier = forms.ModelChoiceField(Airline.objects.all(), label="Airline", required=False)
    date = forms.DateField(label="On", required=False, widget=forms.DateInput({"type": "date"}))
    late = forms.IntegerField(label="Late by (min)", required=False, widget=forms.NumberInput({"style": "width: 6rem"}))

    def find(self) -> QuerySet[Flight]:
        """Return the flights that are looked for."""
        values = self.cleaned_data
        conditions = {name: values[name] for name in ("origin", "carrier") if values[name]}
        if values["dest"]:
            conditions["dest"] = values["dest"].upper()
        if values["date"]:
            conditions |= {part: getattr(values["date"], part) for part in ("year", "month", "day")}
        if values["late"] is not None:
            conditions["dep_delay__gte"] = values["late"]
        found: QuerySet[Flight] = Flight.objects.filter(**conditions)
        return found
