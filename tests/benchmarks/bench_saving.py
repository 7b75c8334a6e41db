"""What does it cost to write one row?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cached_property
from itertools import count
from typing import Any, ClassVar, Final

from django.db import transaction

from tests.benchmarks.cases import CREATED, Case, first_customer, new_order
from tests.benchmarks.measuring import Clock, Side, compare, count_calls
from tests.benchmarks.report import Goal, Line, Report
from tests.benchmarks.twins import one_plain_database, twin
from tests.fix_queries import queries_by_database
from tests.shop.models import Country, Order, Product

SECTION: Final = "Writes of one row, against the same write in a project with one plain database"
SAVED: Final = Goal(1.10, 1.10)
#: Rows whose statements are counted: several of the ranges in which ids are taken.
ROWS: Final = 5000


def test_writing_one_row(report: Report, clock: Clock) -> None:
    plain, ours = Writes(twin(Order)), Writes(Order)
    for case in (
        compared("`save()` of a new row", plain.save_new, ours.save_new, SAVED),
        compared("`create()`", plain.create, ours.create),
        compared("`save()` of a row that is there", plain.save_again, ours.save_again),
        compared("`save(update_fields=…)`", plain.save_one_field, ours.save_one_field),
        compared("`save()` of a new row in `atomic()`", plain.save_in_transaction, ours.save_in_transaction),
    ):
        report.add(SECTION, measured(case, clock))


def test_writing_one_row_of_other_models(report: Report, clock: Clock) -> None:
    product, twin_product = Product(name="bulb", price=1), twin(Product)(name="bulb", price=1)
    country = Country.objects.get()
    twin_country = twin(Country)(code=country.code, name=country.name)
    for case in (
        compared("global model: `save()` of a row that is there", twin_product.save, product.save),
        compared("reference model: `save()` of a row, to five copies", twin_country.save, country.save),
    ):
        report.add(SECTION, measured(case, clock))


def compared(name: str, plain: Callable[[], object], ours: Callable[[], object], goal: Goal | None = None) -> Case:
    return Case(name, Side(plain, one_plain_database), Side(ours), goal)


class Writes:
    """The writes of an order, by its own model or by a twin."""

    numbers: ClassVar[Iterator[int]] = count(1_000_000)

    def __init__(self, model: Any) -> None:
        self.model, self.customer = model, first_customer()

    def save_new(self) -> Any:
        order = new_order(self.customer, next(self.numbers), self.model)
        order.save()
        return order

    def create(self) -> None:
        self.model.objects.create(
            customer_id=self.customer.pk,
            number=next(self.numbers),
            status="new",
            total=Decimal("12.50"),
            weight=1.5,
            created=CREATED,
            note="",
        )

    @cached_property
    def order(self) -> Any:
        return self.save_new()

    def save_again(self) -> None:
        self.order.save()

    def save_one_field(self) -> None:
        self.order.save(update_fields=["status"])

    def save_in_transaction(self) -> None:
        with transaction.atomic():
            self.save_new()


def measured(case: Case, clock: Clock) -> Line:
    return Line(
        case.name,
        compare(case.plain, case.ours, clock=clock),
        case.goal,
        statements=(statements_per_call(case.plain), statements_per_call(case.ours)),
        calls=(count_calls(case.plain), count_calls(case.ours)),
    )


def statements_per_call(side: Side) -> float:
    """Count the statements of many calls on all databases, those that take a range of ids included."""
    with queries_by_database() as seen, side.world():
        side.call()
        before = seen.total()
        for _ in range(ROWS):
            side.call()
    return (seen.total() - before) / ROWS
