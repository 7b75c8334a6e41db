"""Can a transaction that gathered rows be prepared for a two-phase commit?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from tests.shop.models import Customer, Document

pytestmark = [
    pytest.mark.django_db(databases="__all__", transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only it refuses to prepare what used such tables"),
]


def test_a_transaction_that_gathered_few_rows_is_prepared() -> None:
    first = Customer.objects.create(name="a", email="a")
    others = [Customer.objects.create(name="b", email=f"b{n}", referrer=first) for n in range(8)]
    rows: Any = Customer.objects.filter(referrer__name="a")

    with transaction.atomic():
        Document.objects.create(customer=first, title="written here")
        assert len(others) == rows.count()
        with connection.cursor() as cursor:
            cursor.execute("PREPARE TRANSACTION 'gathered'")
    with connection.cursor() as cursor:
        cursor.execute("COMMIT PREPARED 'gathered'")

    assert len(others) == rows.count()
