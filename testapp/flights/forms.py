"""What may visitors write?"""

# Django's generic classes take no type arguments when they run.
# mypy: allow-any-generics

from __future__ import annotations

from typing import Any

from django import forms

from testapp.flights.models import Booking, Traveller


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
