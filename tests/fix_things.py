"""Things with columns of every type, on all shards in turn and on the plain database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from shardkit.routing import owners
from shardkit.topology.ids import compose_id
from shardkit.topology.names import BucketId
from tests.fix_shop import same
from tests.nasty.models import Box, Thing
from tests.oracle import ORACLE, on_plain_database


@pytest.fixture
def things(db: None) -> Callable[..., None]:
    """Return a function that makes things on all shards in turn, and the same on the plain database."""
    del db
    every = owners.owners()
    boxes = [
        Box(id=compose_id(1, BucketId(every.index(alias))), name=f"box {n}")
        for n, alias in enumerate(owners.all_aliases())
    ]
    Box.objects.bulk_create(boxes)
    Box.objects.using(ORACLE).bulk_create(boxes)

    def make(rows: Sequence[dict[str, Any]], *, on: Sequence[int] = (0, 1, 2, 3)) -> None:
        made = [Thing(box=boxes[on[n % len(on)]], binary="", **values) for n, values in enumerate(rows)]
        Thing.objects.bulk_create(made)
        Thing.objects.using(ORACLE).bulk_create(made)

    return make


def columns(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows that have *values* in their columns."""
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def same_of_each(names: Sequence[str], make: Callable[[str], Any], *, ordered: bool | None = None) -> None:
    """Demand `same` of what *make* makes of each column."""
    for name in names:
        same(partial(make, name), ordered=ordered)


def close(make: Callable[[], dict[str, Any]], *, within: float = 1e-9) -> None:
    """Demand that floats are as those of the plain database, up to the order in which it may add them."""
    here = make()
    with on_plain_database():
        there = make()
    assert there.keys() == here.keys()
    for name, value in there.items():
        assert type(value) is type(here[name]), name
        assert value == here[name] or pytest.approx(float(value), rel=within, nan_ok=True) == float(here[name]), name
