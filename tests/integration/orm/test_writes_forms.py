"""Do forms and model validation find a duplicate on whichever shard it is, and save what they accept?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Exists, Q, UniqueConstraint

from shardkit.routing.registry import placement_of
from shardkit.testing import assert_num_queries
from tests.fix_shop import START, Shop, cases, same
from tests.fix_writes import same_write
from tests.nasty.models import Locker
from tests.oracle import on_plain_database
from tests.shop.models import (
    Booth,
    Country,
    Customer,
    Gadget,
    Invoice,
    Label,
    Line,
    Order,
    Parcel,
    Product,
    Profile,
    Reading,
    RushOrder,
    Stand,
)

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


def judged(customer: Customer) -> Any:
    """Judge *customer* by a constraint for rows that have a name."""
    constraint = UniqueConstraint(fields=["email"], condition=Q(name__gt=""), name="one_email_of_the_named")
    try:
        constraint.validate(Customer, customer)
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
    "a constraint with a condition that a far row violates": lambda shop: judged(
        Customer(name="n", email=shop.customers[14].email)
    ),
    "a constraint with a condition that its own row meets": lambda shop: judged(
        Customer.objects.get(pk=shop.customers[14].pk)
    ),
    "a constraint whose condition the row does not meet": lambda shop: judged(
        Customer(name="", email=shop.customers[14].email)
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


MovingForm = forms.modelform_factory(Order, fields=["customer", "number"])


def moving_form(shop: Shop, customer: Customer, number: Any = 88) -> Any:
    """Return a form in which somebody has chosen another *customer* for an order."""
    order = Order.objects.get(pk=shop.orders[3].pk)
    return MovingForm({"customer": customer.pk, "number": number}, instance=order)


def test_a_key_of_another_shard_is_an_error_of_its_field(shop: Shop) -> None:
    form = moving_form(shop, shop.customers[-1])

    assert form.has_error("customer", "shard_key_immutable")
    (said,) = form.errors.pop("customer")
    assert said.startswith("Order cannot be moved to this customer, whose rows are stored elsewhere. Create it anew")
    assert not form.errors


def test_a_key_of_another_bucket_of_the_same_shard_is_one_too_where_the_id_carries_it(shop: Shop) -> None:
    order = shop.orders[3]
    neighbour = next(one for one in shop.customers if one.shard == order.shard and one.pk != order.customer_id)

    assert moving_form(shop, neighbour).has_error("customer", "shard_key_immutable")
    assert moving_form(shop, Customer.objects.get(pk=order.customer_id)).is_valid()


def test_other_errors_of_the_form_stay(shop: Shop) -> None:
    form = moving_form(shop, shop.customers[-1], number="many")

    assert {"customer", "number"} == set(form.errors)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda shop: changed(Order, shop.orders[3].pk, customer=shop.customers[-1]), {"customer"}),
        (lambda shop: changed(Line, shop.lines[0].pk, order=shop.orders[-1]), {"order"}),
        (lambda shop: changed(Order, shop.orders[3].pk, number=99), set()),
        (lambda _: changed(Gadget, "g1", maker=elsewhere(1)), {"maker"}),
        (lambda _: changed(Gadget, "g1", maker=neighbour_of(1)), set()),
        (lambda _: changed(Reading, Reading.objects.all()[0].pk, station="another"), {"station"}),
        (lambda shop: Order.objects.defer("customer").get(pk=shop.orders[3].pk), set()),
        (lambda _: Order(number=1, status="new", total=1, created=START), {"customer"}),
        (lambda _: Gadget(code="g99", maker="many"), {"maker"}),
        (lambda _: Gadget(code="g99", maker=7), set()),
        (lambda _: Parcel(zone=2000, weight=1), {"zone"}),
        (lambda _: Stand(market=77, name="new"), {"market"}),
        (lambda _: Booth(fair="new", number=1), set()),
        (lambda _: Customer(name="n", email="e"), set()),
    ],
)
def test_validation_says_of_a_key_what_saving_would_refuse(shop: Shop, make: Any, expected: set[str]) -> None:
    row = make(shop)

    assert expected == told_of_key(row)


def changed(model: Any, pk: Any, **values: Any) -> Any:
    row = model.objects.get(pk=pk)
    for name, value in values.items():
        setattr(row, name, value)
    return row


def elsewhere(maker: int) -> int:
    return next(other for other in range(100) if Gadget(maker=other).shard != Gadget(maker=maker).shard)


def neighbour_of(maker: int) -> int:
    return next(
        other for other in range(100) if other != maker and Gadget(maker=other).shard == Gadget(maker=maker).shard
    )


def told_of_key(row: Any) -> set[str]:
    """Return the fields of the shard key of which validation complains."""
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        return set(error.error_dict) & set(placement_of(type(row)).key_names)
    return set()


def test_the_key_of_a_child_is_one_of_its_parent(shop: Shop) -> None:
    made = RushOrder.objects.create(
        customer=shop.customers[0], number=77, status="new", total=1, created=START, hours=1
    )

    assert {"customer"} == told_of_key(changed(RushOrder, made.pk, customer=shop.customers[-1]))


def test_judging_a_key_asks_nothing(shop: Shop) -> None:
    order = changed(Order, shop.orders[3].pk, customer=shop.customers[-1])
    others = {field.name for field in Order._meta.fields} - {"customer"}

    with assert_num_queries(default=0, **{str(shop.customers[-1].shard): 1}), pytest.raises(ValidationError):
        order.clean_fields(exclude=others)  # Django looks whether the customer is there


def test_what_is_excluded_is_left_alone(shop: Shop) -> None:
    changed(Order, shop.orders[3].pk, customer=shop.customers[-1]).clean_fields(exclude={"customer", "note", "product"})


def test_on_one_plain_database_every_key_may_change(shop: Shop) -> None:
    with on_plain_database():
        assert set() == told_of_key(changed(Order, shop.orders[3].pk, customer=shop.customers[-1]))


def _checked(*loads: int) -> Any:
    Locker.objects.create(number=1, load=9)
    return [cleaned(Locker(number=1, load=load), "validate_constraints") for load in loads]


def test_a_conditional_unique_constraint_is_validated_on_all_shards() -> None:
    found = same(lambda: _checked(9, 1, 6))[1]

    assert [answer == "clean" for answer in found] == [False, True, False]


@cases(
    a_condition=lambda: Q(Exists(Order.objects.filter(number=0))).check({}),
    a_condition_that_fails=lambda: Q(Exists(Order.objects.filter(number=-1))).check({}),
    of_one_shard=lambda: Q(Exists(Order.objects.filter(customer=1))).check({}),
    beside_values=lambda: Q(number__in=Order.objects.values("number")).check({"number": 2}),
    of_copied_rows=lambda: Q(Exists(Country.objects.filter(code="FR"))).check({}),
    of_global_rows=lambda: Q(Exists(Product.objects.filter(pk=0))).check({}),
)
@pytest.mark.usefixtures("shop")
def test_a_condition_of_no_model_is_checked(case: Any) -> None:
    same(case)
