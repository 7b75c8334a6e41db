"""Do forms and model validation find a duplicate on whichever shard it is, and save what they accept?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError

from tests.fix_shop import START, Shop
from tests.fix_writes import same_write
from tests.shop.models import Country, Customer, Invoice, Label, Line, Order, Product, Profile

pytestmark = pytest.mark.django_db(databases="__all__")

CustomerForm = forms.modelform_factory(Customer, fields=["name", "email", "country", "referrer", "score"])
OrderForm = forms.modelform_factory(
    Order, fields=["customer", "product", "number", "status", "total", "created", "labels"]
)
LineFormSet = forms.inlineformset_factory(Order, Line, fields=["sku", "qty"], extra=1)
ORDER = {"number": 0, "status": "new", "total": "5.00", "created": START.isoformat()}


def submit(form: Any) -> Any:
    """Return what the form saved, or its errors."""
    return form.save() if form.is_valid() else form.errors.get_json_data()


def cleaned(instance: Any, how: str = "full_clean") -> Any:
    try:
        getattr(instance, how)()
    except ValidationError as error:
        return error.messages
    return "clean"


FORMS: dict[str, Callable[[Shop], Any]] = {
    "a new row": lambda shop: submit(
        CustomerForm({"name": "n", "email": "new", "country": "DE", "referrer": shop.customers[9].pk})
    ),
    "a unique value that a far row has": lambda shop: submit(
        CustomerForm({"name": "n", "email": shop.customers[14].email})
    ),
    "an edited row": lambda shop: submit(
        CustomerForm(
            {"name": "edited", "email": shop.customers[2].email}, instance=Customer.objects.get(pk=shop.customers[2].pk)
        )
    ),
    "an edited row that becomes a duplicate": lambda shop: submit(
        CustomerForm(
            {"name": "edited", "email": shop.customers[14].email},
            instance=Customer.objects.get(pk=shop.customers[2].pk),
        )
    ),
    "a choice that is not there": lambda _: submit(CustomerForm({"name": "n", "email": "new", "referrer": 4711})),
    "a constraint of two fields": lambda shop: submit(OrderForm({"customer": shop.orders[3].customer_id, **ORDER})),
    "many-to-many": lambda shop: submit(
        OrderForm(
            {
                **ORDER,
                "number": 99,
                "customer": shop.customers[7].pk,
                "product": shop.products[1].pk,
                "labels": [label.pk for label in shop.labels[:3]],
            }
        )
    ),
    "many-to-many of an edited row": lambda shop: submit(
        OrderForm(
            {
                **ORDER,
                "number": shop.orders[3].number,
                "customer": shop.orders[3].customer_id,
                "labels": [shop.labels[3].pk],
            },
            instance=Order.objects.get(pk=shop.orders[3].pk),
        )
    ),
    "inline": lambda shop: inline(Order.objects.get(pk=shop.lines[0].order_id)),
    "validate_unique": lambda shop: cleaned(Customer(name="n", email=shop.customers[14].email), "validate_unique"),
    "validate_constraints": lambda shop: cleaned(
        Order(customer_id=shop.orders[3].customer_id, number=shop.orders[3].number), "validate_constraints"
    ),
    "validate_constraints of its own row": lambda shop: cleaned(
        Order.objects.get(pk=shop.orders[3].pk), "validate_constraints"
    ),
    "a one-to-one that is taken": lambda shop: cleaned(Profile(customer_id=shop.customers[0].pk, bio="x")),
    "a foreign key to nowhere": lambda _: cleaned(Line(order_id=4711, sku="x", qty=1)),
    "a primary key that is taken": lambda shop: cleaned(
        Customer(pk=shop.customers[14].pk, name="n", email="new"), "validate_unique"
    ),
    "a copied row": lambda _: cleaned(Country(code="DE", name="x")),
    "a copied row with a number": lambda shop: cleaned(Label(pk=shop.labels[0].pk, name="x"), "validate_unique"),
    "a placed row": lambda _: cleaned(Invoice(number=1, amount=1)),
    "a global row": lambda shop: cleaned(Product(pk=shop.products[0].pk, name="x", price=1), "validate_unique"),
}


def inline(order: Order) -> Any:
    lines = list(order.lines.all())
    data: dict[str, Any] = {"lines-TOTAL_FORMS": len(lines) + 1, "lines-INITIAL_FORMS": len(lines)}
    for number, line in enumerate(lines):
        data |= {f"lines-{number}-id": line.pk, f"lines-{number}-sku": "edited", f"lines-{number}-qty": 7}
    data |= {f"lines-{len(lines)}-sku": "added", f"lines-{len(lines)}-qty": 8, "lines-0-DELETE": "on"}
    return submit_all(LineFormSet(data, instance=order))


def submit_all(formset: Any) -> Any:
    return len(formset.save()) if formset.is_valid() else formset.errors


@pytest.mark.parametrize("name", FORMS)
def test_it_equals_one_database(shop: Shop, name: str) -> None:
    same_write(lambda: FORMS[name](shop))


def test_a_duplicate_on_another_shard_is_found(shop: Shop) -> None:
    near, distant = shop.customers[2], shop.customers[14]
    assert near.shard != distant.shard

    found = CustomerForm({"name": "n", "email": distant.email}, instance=Customer.objects.get(pk=near.pk))

    assert ["Customer with this Email already exists."] == found.errors["email"]
