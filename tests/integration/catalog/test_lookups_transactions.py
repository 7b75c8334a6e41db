"""Which transaction is it that wrote to a directory?"""

from __future__ import annotations

import pytest
from django.db import connections, transaction

from shardkit.catalog import lookups
from tests.shop.models import Booth

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


@pytest.mark.parametrize("commits", [True, False])
def test_what_one_transaction_wrote_is_not_what_the_next_one_did(commits: bool) -> None:  # noqa: FBT001
    """Only the one that wrote has to commit `default` before the shards."""
    with transaction.atomic():
        Booth.objects.create(fair="north", number=1)
        assert lookups.has_uncommitted(connections["default"])
        transaction.set_rollback(not commits)

    with transaction.atomic():
        assert not lookups.has_uncommitted(connections["default"])
