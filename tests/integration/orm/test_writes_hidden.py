"""Does a base manager that hides rows hide them from what must see every row?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat, Upper

from shardkit.errors import ShardKeyImmutable
from shardkit.routing import owners
from tests.fix_writes import content_of_shards
from tests.shop.models import Notice, Token

pytestmark = pytest.mark.django_db(databases="__all__")


def test_a_primary_key_that_a_hidden_row_of_another_shard_has_is_not_given_again():
    hidden = Token.everything.create(code="a", amount=Decimal("1.50"), hidden=True)
    other = next(n for n in map(Decimal, range(99)) if Token(code="a", amount=n).shard != hidden.shard)

    with pytest.raises(ShardKeyImmutable):
        Token(code="a", amount=other).save()

    assert sum(QuerySet(Token, using=alias).count() for alias in owners.all_aliases()) == 1


@pytest.mark.parametrize("text", ["x", Upper(Value("x"))], ids=["value", "expression"])
def test_a_hidden_row_reaches_every_copy(text):
    Notice.everything.create(text=text, hidden=True)

    Notice.everything.update(text=Concat(Upper("text"), Value("!")))

    content_of_shards()
    assert Notice.everything.get().text == "X!"
